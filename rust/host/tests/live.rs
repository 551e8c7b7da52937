//! The host that runs the tests: its own processes, cgroups and CPU clocks.

#![allow(clippy::unwrap_used)] // a host that cannot be read is a failed test

mod common;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{
    LiveCgroup, Page, Reaped, alone, as_nobody, find, is_root, live_observer, new_shell, pause,
    reuse, scanner, skip, wait_until,
};
use jouled_core::sample::CgroupReading;
use jouled_host::scanner::Scanner;

#[test]
fn this_process_is_there_with_its_cpu_clock() {
    let _alone = alone();
    let mut scanner = scanner();
    let before = find(&scanner.scan().unwrap(), std::process::id())
        .unwrap()
        .cpu;
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(30) {}
    let sample = scanner.scan().unwrap();
    let reading = find(&sample, std::process::id()).unwrap();
    // Nanoseconds: the tick of `stat` would not move by this.
    assert!(reading.cpu.unwrap().since(before.unwrap()).seconds() > 0.005);
    let own = std::env::current_exe().unwrap();
    assert_eq!(reading.process.exe.as_deref(), own.to_str());
    assert!(!sample.cgroups.is_empty() && sample.cpu.cpus > 0);
    let serials = sample.cgroups.iter().map(|reading| reading.cgroup.serial);
    assert!(serials.is_sorted_by(|a, b| a < b));
}

#[test]
fn hostile_names_of_real_processes() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b") R 1\n\xff");
    let path = directory.path().join(name);
    std::fs::copy("/bin/sleep", &path).unwrap();
    let child = Reaped::spawn(Command::new(&path).arg("60"));
    wait_until("exec", || {
        std::fs::read(format!("/proc/{}/comm", child.pid())).unwrap() == b") R 1\n\xff\n"
    });
    let mut scanner = scanner();
    let sample = scanner.scan().unwrap();
    let process = &find(&sample, child.pid()).unwrap().process;
    assert_eq!(process.comm, ") R 1\n\u{fffd}");
    assert!(process.exe.as_ref().unwrap().ends_with(") R 1\n\u{fffd}"));
}

fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

#[test]
fn a_zombie_keeps_its_time_until_it_is_reaped() {
    let _alone = alone();
    let mut scanner = scanner();
    let mut child = Reaped::spawn(&mut new_shell(
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done",
    ));
    scanner.scan().unwrap();
    wait_until("a zombie", || state(child.pid()) == 'Z');
    for _ in 0..3 {
        let sample = scanner.scan().unwrap();
        let reading = find(&sample, child.pid()).unwrap();
        assert!(reading.cpu.unwrap().0 > 0);
    }
    let reused = scanner.stats().troubles.reused;
    child.0.wait().unwrap();
    assert!(find(&scanner.scan().unwrap(), child.pid()).is_none());
    assert_eq!(scanner.stats().troubles.reused, reused);
}

#[test]
fn a_reused_pid_is_another_process_at_once() {
    let _alone = alone();
    let mut scanner = scanner();
    let mut first = Reaped::spawn(&mut new_shell("while :; do :; done"));
    pause(100);
    let sample = scanner.scan().unwrap();
    let before = find(&sample, first.pid()).unwrap().process.key;
    first.end();
    let pid = first.pid();
    pause(20);
    let Some(second) = reuse(pid, || Reaped::spawn(Command::new("sleep").arg("60"))) else {
        skip("pids cannot be chosen here; run the tests as root");
        return;
    };
    wait_until("exec", || {
        std::fs::read(format!("/proc/{pid}/comm")).unwrap() == b"sleep\n"
    });
    let sample = scanner.scan().unwrap();
    let reading = find(&sample, second.pid()).unwrap();
    assert_eq!(reading.process.key.pid, before.pid);
    assert!(reading.process.key.start_ticks > before.start_ticks);
    assert_eq!(reading.process.comm, "sleep");
    assert!(reading.cpu.unwrap().seconds() < 0.05);
    assert!(scanner.stats().troubles.reused >= 1);
}

#[test]
fn an_unprivileged_user_scans_too_and_what_may_not_be_read_is_no_trouble() {
    let _alone = alone();
    if !is_root() {
        skip("only root can lose its rights; run the tests as root");
        return;
    }
    let child = Reaped::spawn(Command::new("sleep").arg("60"));
    wait_until("exec", || {
        std::fs::read(format!("/proc/{}/comm", child.pid())).unwrap() == b"sleep\n"
    });
    let (sample, stats) = as_nobody(|| {
        let mut scanner = scanner();
        scanner.scan().unwrap();
        (scanner.scan().unwrap(), scanner.stats().clone())
    });
    let reading = find(&sample, child.pid()).unwrap();
    assert_eq!(reading.process.exe, None);
    assert_eq!(reading.process.comm, "sleep");
    assert_eq!(reading.process.uid, Some(0));
    assert!(reading.cpu.unwrap().0 > 0);
    assert_eq!(stats.troubles.unreadable, 0);
}

/// A steady burner, and a chain of workers that each live for 50 ms: what the peers charge to
/// whoever is alive at the scan is charged to whom the kernel charges it.
#[test]
fn short_lived_work_is_charged_to_its_own_cgroup() {
    let _alone = alone();
    let Some(slice) = LiveCgroup::or_skip() else {
        return;
    };
    let (burner, chain) = (slice.child("burner.service"), slice.child("chain.service"));
    let work = "while :; do :; done";
    let workers = format!("while :; do timeout 0.05 sh -c '{work}'; done");
    let _burner = Reaped::spawn(&mut LiveCgroup::shell(&burner, work));
    let _chain = Reaped::spawn(&mut LiveCgroup::shell(&chain, &workers));
    for cgroup in [&burner, &chain] {
        wait_until("it works", || LiveCgroup::seconds(cgroup) > 0.1);
    }
    let mut observer = live_observer();
    observer.tick().unwrap();
    pause(500);
    let before = Page::of(&observer.tick().unwrap().snapshot);
    let counted = [LiveCgroup::seconds(&burner), LiveCgroup::seconds(&chain)];
    for _ in 0..4 {
        pause(700);
        Page::of(&observer.tick().unwrap().snapshot).assert_adds_up();
    }
    let after = Page::of(&observer.tick().unwrap().snapshot);
    let spent = [
        LiveCgroup::seconds(&burner) - counted[0],
        LiveCgroup::seconds(&chain) - counted[1],
    ];
    let slice = format!("slice=\"{}\"", slice.name());
    let joules = ["burner", "chain"].map(|name| {
        let unit = format!("unit=\"{name}.service\"");
        let of = |page: &Page| page.value("jouled_unit_joules_total", &[&unit, &slice]);
        of(&after) - of(&before)
    });
    let share = |parts: [f64; 2]| parts[0] / (parts[0] + parts[1]);
    let (of_joules, of_cpu) = (share(joules), share(spent));
    assert!(spent[0] > 0.2 && spent[1] > 0.2, "{spent:?} s");
    assert!(
        (of_joules - of_cpu).abs() < 0.02,
        "{of_joules} of the joules, {of_cpu} of the time"
    );
}

#[test]
fn in_a_storm_of_forks_every_page_adds_up_and_no_scan_fails() {
    let _alone = alone();
    let Some(slice) = LiveCgroup::or_skip() else {
        return;
    };
    let storm = slice.child("storm.service");
    let _storms = [0, 1].map(|_| {
        Reaped::spawn(&mut LiveCgroup::shell(
            &storm,
            "while :; do /bin/true; (:) ; done",
        ))
    });
    wait_until("it works", || LiveCgroup::seconds(&storm) > 0.1);
    let mut observer = live_observer();
    observer.tick().unwrap();
    let counted = LiveCgroup::seconds(&storm);
    let started = Instant::now();
    let (mut last, mut ticks) = (None, 0);
    while started.elapsed() < Duration::from_secs(3) {
        let observation = observer.tick().unwrap();
        let page = Page::of(&observation.snapshot);
        page.assert_adds_up();
        assert_eq!(observation.stats.troubles.unreadable, 0);
        (last, ticks) = (Some(page), ticks + 1);
        pause(10);
    }
    let spent = LiveCgroup::seconds(&storm) - counted;
    let unit = [
        "unit=\"storm.service\"",
        &format!("slice=\"{}\"", slice.name()),
    ];
    let billed = last.unwrap().value("jouled_unit_cpu_seconds_total", &unit);
    assert!(ticks > 20, "{ticks} ticks");
    assert!(
        (billed - spent).abs() < 0.05 * spent + 0.05,
        "{billed} s billed, {spent} s spent"
    );
}

/// The kernel gives a cgroup that is made again another inode: nothing of the old one counts.
#[test]
fn a_cgroup_that_is_removed_and_made_again_is_another_one() {
    let _alone = alone();
    let Some(slice) = LiveCgroup::or_skip() else {
        return;
    };
    let run = |scanner: &mut Scanner| {
        let directory = slice.child("again.service");
        let script = "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; sleep 60";
        let mut child = Reaped::spawn(&mut LiveCgroup::shell(&directory, script));
        wait_until("some work", || LiveCgroup::seconds(&directory) > 0.01);
        let sample = scanner.scan().unwrap();
        let cgroup = &find(&sample, child.pid()).unwrap().process.cgroup;
        let is_it = |reading: &&CgroupReading| reading.cgroup.serial == cgroup.serial;
        let reading = sample.cgroups.iter().find(is_it).unwrap();
        child.end();
        wait_until("an empty cgroup", || {
            std::fs::remove_dir(&directory).is_ok()
        });
        (cgroup.serial, cgroup.path.clone(), reading.cpu.unwrap())
    };
    let mut scanner = scanner();
    let (first, second) = (run(&mut scanner), run(&mut scanner));
    assert_eq!(first.1, second.1);
    assert!(second.0 > first.0, "{first:?} {second:?}");
    let sample = scanner.scan().unwrap();
    let paths = sample.cgroups.iter().map(|reading| &reading.cgroup.path);
    assert!(!paths.into_iter().any(|path| *path == second.1));
}

#[test]
fn a_real_process_that_moves_is_seen_within_two_intervals() {
    let _alone = alone();
    let Some(slice) = LiveCgroup::or_skip() else {
        return;
    };
    let (from, to) = (slice.child("from.service"), slice.child("to.service"));
    let child = Reaped::spawn(&mut LiveCgroup::shell(&from, "while :; do :; done"));
    let cgroup = |scanner: &mut Scanner| {
        pause(50);
        find(&scanner.scan().unwrap(), child.pid())
            .unwrap()
            .process
            .cgroup
            .path
            .clone()
    };
    wait_until("it is in the cgroup", || LiveCgroup::seconds(&from) > 0.0);
    let mut scanner = scanner();
    assert!(cgroup(&mut scanner).ends_with("/from.service"));
    std::fs::write(to.join("cgroup.procs"), child.pid().to_string()).unwrap();
    cgroup(&mut scanner);
    assert!(cgroup(&mut scanner).ends_with("/to.service"));
}

#[test]
fn the_tests_leave_no_cgroup_behind() {
    let _alone = alone();
    let Some(slice) = LiveCgroup::or_skip() else {
        return;
    };
    let directory = slice.child("left.service");
    let child = Reaped::spawn(&mut LiveCgroup::shell(&directory, "sleep 60 & sleep 60"));
    wait_until("two sleepers", || {
        std::fs::read_to_string(directory.join("cgroup.procs"))
            .unwrap()
            .lines()
            .count()
            > 1
    });
    drop(slice);
    assert!(!Path::new(&directory).exists());
    drop(child);
}
