//! What the table of cgroups forgets, on the hierarchies of the host that runs the tests or on
//! written ones.

use super::*;
use crate::testing::FakeSys;

/// A host whose cpuacct hierarchy has one cgroup, `/jobs`.
fn hybrid() -> FakeSys {
    FakeSys::new()
        .write("fs/cgroup/unified/cgroup.controllers", "cpu\n")
        .write("fs/cgroup/cpuacct/cpuacct.usage", "0\n")
        .write("fs/cgroup/cpuacct/jobs/cpuacct.usage", "0\n")
}

#[test]
fn texts_that_bill_the_same_cgroup_do_not_pile_up() {
    let sys = hybrid();
    let mut cgroups = Cgroups::new(sys.path());
    let text = |job: u32| format!("4:memory:/jobs/{job}\n2:cpuacct:/jobs\n0::/\n");
    let first = cgroups.resolve(text(0).as_bytes(), || None);
    for job in 1..100 {
        let cgroup = cgroups.resolve(text(job).as_bytes(), || None);
        assert!(Arc::ptr_eq(&first, &cgroup));
    }
    cgroups.sweep([&first].into_iter());
    assert!(cgroups.by_text.is_empty());
    let again = cgroups.resolve(text(0).as_bytes(), || None);
    assert!(Arc::ptr_eq(&first, &again));
}

#[test]
fn who_comes_after_a_cgroup_was_removed_is_not_placed_inside_it() {
    let sys = hybrid();
    let mut cgroups = Cgroups::new(sys.path());
    let text = b"2:cpuacct:/jobs\n1:name=systemd:/a.service\n0::/\n";
    let before = cgroups.resolve(text, || None);
    let around = before.parent.clone().unwrap();
    assert_eq!(
        (before.path.as_str(), around.path.as_str()),
        ("/a.service", "/jobs")
    );
    cgroups.forget(&FxHashSet::from_iter([around.serial]));
    let after = cgroups.resolve(text, || None);
    assert!(after.serial > before.serial);
    assert!(after.parent.as_ref().unwrap().serial > around.serial);
    let is_kept = |node: &Node| node.cgroup.serial == before.serial;
    assert!(
        cgroups.nodes.iter().any(is_kept),
        "who is in it, stays in it"
    );
    let root = cgroups.resolve(b"2:cpuacct:/\n", || None);
    assert!(
        root.serial < before.serial,
        "the cgroup around the removed one stays"
    );
}

#[test]
fn a_cgroup_without_a_counter_goes_when_nobody_is_in_it() {
    let sys = hybrid();
    let mut cgroups = Cgroups::new(sys.path());
    let text = b"2:cpuacct:/\n1:name=systemd:/a.service\n0::/\n";
    let used = cgroups.resolve(text, || None);
    cgroups.sweep([&used].into_iter());
    assert!(Arc::ptr_eq(&used, &cgroups.resolve(text, || None)));
    cgroups.sweep(std::iter::empty());
    assert!(!Arc::ptr_eq(&used, &cgroups.resolve(text, || None)));
    cgroups.read();
    let paths: Vec<String> = (cgroups.take_readings().iter())
        .map(|reading| reading.cgroup.path.clone())
        .collect();
    assert_eq!(paths, ["/", "/a.service"]);
}

#[test]
fn a_counter_that_could_not_be_opened_is_tried_again() {
    let sys = hybrid();
    let mut cgroups = Cgroups::new(sys.path());
    let late = cgroups.resolve(b"2:cpuacct:/late\n0::/\n", || None);
    sys.put("fs/cgroup/cpuacct/late/cpuacct.usage", "7\n");
    cgroups.sweep([&late].into_iter());
    assert_eq!(cgroups.read(), 0);
    let readings = cgroups.take_readings();
    assert_eq!(readings.last().unwrap().cpu, Some(Nanos(7)));
}

/// A host of version 2 alone, mounted from the top or from a private namespace's root.
fn unified(is_namespaced: bool) -> FakeSys {
    let sys = FakeSys::new()
        .write("fs/cgroup/cgroup.controllers", "cpu\n")
        .write("fs/cgroup/cpu.stat", "usage_usec 1000\n")
        .write("fs/cgroup/a.slice/cpu.stat", "usage_usec 7\n")
        .write("fs/cgroup/a.slice/x.service/cpu.stat", "usage_usec 7\n");
    if is_namespaced {
        sys.write("fs/cgroup/cgroup.events", "populated 1\n")
    } else {
        sys
    }
}

/// The paths from a cgroup outwards with the counter of each.
fn outwards(cgroups: &mut Cgroups, cgroup: &Arc<Cgroup>) -> Vec<(String, Option<Nanos>)> {
    cgroups.read();
    let readings = cgroups.take_readings();
    let mut paths = Vec::new();
    let mut next = Some(cgroup);
    while let Some(cgroup) = next {
        let reading = readings
            .iter()
            .find(|reading| reading.cgroup.serial == cgroup.serial);
        paths.push((cgroup.path.clone(), reading.unwrap().cpu));
        next = cgroup.parent.as_ref();
    }
    paths
}

#[test]
fn what_is_outside_a_private_namespace_is_not_below_its_root() {
    let sys = unified(true);
    let mut cgroups = Cgroups::new(sys.path());
    let outside = cgroups.resolve(b"0::/../a.slice/x.service\n", || None);
    let counters = outwards(&mut cgroups, &outside);
    assert!(
        counters
            .iter()
            .all(|(path, cpu)| path.starts_with("/..") && cpu.is_none()),
        "the counters below the mount are those of others: {counters:?}"
    );
}

#[test]
fn the_whole_tree_seen_from_a_private_namespace_has_no_counter_at_its_root() {
    let sys = unified(false);
    let mut cgroups = Cgroups::new(sys.path());
    let inside = cgroups.resolve(b"0::/../../a.slice/x.service\n", || None);
    let us = Some(Nanos(7000));
    let expected = [
        ("/../../a.slice/x.service", us),
        ("/../../a.slice", us),
        ("/../..", None),
    ];
    assert_eq!(
        outwards(&mut cgroups, &inside),
        expected.map(|(path, cpu)| (path.to_owned(), cpu))
    );
}

#[test]
fn a_zombie_in_a_removed_cgroup_is_counted_by_the_one_around_it() {
    let sys = unified(true);
    let mut cgroups = Cgroups::new(sys.path());
    let zombie = cgroups.resolve(b"0::/a.slice/gone.service (deleted)\n", || None);
    let paths = outwards(&mut cgroups, &zombie);
    assert_eq!(paths[0], ("/a.slice/gone.service".to_owned(), None));
    assert_eq!(paths[1], ("/a.slice".to_owned(), Some(Nanos(7000))));
}

#[test]
fn a_container_has_one_name_in_all_its_cgroups() {
    let id = "c".repeat(64);
    let sys = unified(true);
    let mut cgroups = Cgroups::new(sys.path());
    let text = |below: &str| format!("0::/docker/{id}{below}\n").into_bytes();
    let name = |name: &str| Some(name.to_owned());
    let first = cgroups.resolve(&text("/init"), || name("web"));
    let others = [
        cgroups.resolve(&text(""), || name("web")),
        cgroups.resolve(&text("/app/worker"), || name("worker.example")),
    ];
    for cgroup in others.iter().chain([&first]) {
        let container = cgroup.owner.container.as_ref().unwrap();
        assert_eq!(container.name.as_deref(), Some("web"), "{}", cgroup.path);
    }
}

#[test]
fn outside_a_private_namespace_version_1_has_one_root_of_all() {
    let sys = FakeSys::new()
        .write("fs/cgroup/cpuacct/release_agent", "\n")
        .write("fs/cgroup/cpuacct/cpuacct.usage", "90\n")
        .write("fs/cgroup/cpuacct/jobs/cpuacct.usage", "7\n");
    let mut cgroups = Cgroups::new(sys.path());
    let outside = cgroups.resolve(b"2:cpuacct:/../../jobs\n", || None);
    let expected = [
        ("/../../jobs", Some(Nanos(7))),
        ("/../..", None),
        ("/", Some(Nanos(90))),
    ];
    assert_eq!(
        outwards(&mut cgroups, &outside),
        expected.map(|(path, cpu)| (path.to_owned(), cpu))
    );
}

#[test]
fn counters_beyond_the_room_for_descriptors_wait_for_others_to_go() {
    let sys = hybrid();
    let mut cgroups = Cgroups::new(sys.path());
    cgroups.room = 1;
    let root = cgroups.resolve(b"2:cpuacct:/\n", || None);
    let jobs = cgroups.resolve(b"2:cpuacct:/jobs\n", || None);
    let counted = |cgroups: &Cgroups| {
        let nodes = cgroups.nodes.iter();
        nodes.filter(|node| node.counter.is_some()).count()
    };
    assert_eq!((counted(&cgroups), cgroups.room), (1, 0));
    cgroups.forget(&FxHashSet::from_iter([root.serial]));
    assert_eq!((counted(&cgroups), cgroups.room), (0, 1));
    cgroups.sweep([&jobs].into_iter());
    assert_eq!((counted(&cgroups), cgroups.room), (1, 0));
}
