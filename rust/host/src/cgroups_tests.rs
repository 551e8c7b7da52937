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
