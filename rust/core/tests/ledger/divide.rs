//! Who is charged, on hosts of which the truth is known.

use std::sync::Arc;

use jouled_core::cgroup::{Cgroup, owner_of};
use jouled_core::division::{Division, Paces};
use jouled_core::interval::{CgroupChange, CgroupGrowth, Interval, ProcessGrowth};
use jouled_core::ledger::LedgerOptions;
use jouled_core::level::{Level, Reason};
use jouled_core::process::{Process, ProcessKey};
use jouled_core::units::Nanos;

use crate::book_of::{assert_share, begun, residual, row, share};
use crate::fake_host::FakeHost;

const ALL: fn() -> LedgerOptions = LedgerOptions::default;
const A: &str = "/system.slice/a.service";
const B: &str = "/system.slice/b.service";

/// 97 % against 3 % is what a daemon shows that asks only the living.
#[test]
fn a_chain_of_short_lived_workers_is_charged_to_its_cgroup_and_not_to_a_steady_neighbour() {
    let mut host = FakeHost::new();
    host.process(10, A, "burner");
    host.process(11, B, "shell");
    let mut book = begun(&mut host, &ALL());
    let mut pid = 100;
    for _ in 0..4 {
        for _ in 0..100 {
            host.run(10, 30);
            host.process(pid, B, "worker");
            host.run(pid, 20);
            host.draw("package", "0", 2.0);
            host.pass(50);
            host.exit(pid);
            pid += 1;
        }
        host.process(pid, B, "worker");
        let snapshot = book.scan(&host);
        assert_share(
            share(&snapshot, Level::Unit, "a.service"),
            0.6,
            "the burner",
        );
        assert_share(share(&snapshot, Level::Unit, "b.service"), 0.4, "the chain");
        assert_share(
            share(&snapshot, Level::Process, "burner"),
            0.6,
            "the burner",
        );
        let exited = residual(&snapshot, Level::Process, Reason::Exited);
        assert_share(exited, 0.4, "the dead");
    }
}

#[test]
fn a_burner_that_ends_is_charged_until_its_end() {
    let mut host = FakeHost::new();
    host.process(10, A, "burner");
    host.process(11, A, "neighbour");
    let mut book = begun(&mut host, &ALL());
    host.run(10, 1000);
    host.run(11, 600);
    book.second(&mut host);
    host.run(10, 400);
    host.exit(10);
    host.run(11, 600);
    let snapshot = book.second(&mut host);
    assert_share(
        share(&snapshot, Level::Process, "burner"),
        0.4,
        "the burner",
    );
    assert_share(
        share(&snapshot, Level::Process, "neighbour"),
        0.6,
        "its neighbour",
    );
    assert_share(
        share(&snapshot, Level::Unit, "a.service"),
        1.0,
        "their unit",
    );
}

#[test]
fn one_that_ends_faster_than_it_ever_was_leaves_the_rest_to_the_exited_of_its_cgroup() {
    let mut host = FakeHost::new();
    host.process(10, A, "sprinter");
    let mut book = begun(&mut host, &ALL());
    host.run(10, 100);
    book.second(&mut host);
    host.run(10, 500);
    host.exit(10);
    let snapshot = book.second(&mut host);
    assert_share(
        share(&snapshot, Level::Process, "sprinter"),
        0.2,
        "at its known pace",
    );
    assert_share(
        residual(&snapshot, Level::Process, Reason::Exited),
        0.8,
        "the rest",
    );
    assert_share(share(&snapshot, Level::Unit, "a.service"), 1.0, "its unit");
}

#[test]
fn a_process_that_could_not_be_read_comes_back_with_its_growth_and_not_with_its_life() {
    let mut host = FakeHost::new();
    host.uncount("/system.slice");
    host.uncount(A);
    host.uncount(B);
    for (pid, path) in [(10, A), (11, B)] {
        host.process(pid, path, "worker");
        host.run(pid, 100_000);
    }
    let mut book = begun(&mut host, &ALL());
    for is_readable in [true, false, true, true] {
        host.set_readable(10, is_readable);
        host.run(10, 100);
        host.run(11, 900);
        let snapshot = book.second(&mut host);
        let truth = if is_readable { 0.9 } else { 1.0 };
        let neighbour = share(&snapshot, Level::Process, "pid=\"11\"");
        assert!(
            neighbour >= 0.9 - 1e-9 && neighbour <= truth + 1e-9,
            "{neighbour}"
        );
    }
}

#[test]
fn an_old_process_that_appears_brings_nothing_of_its_past() {
    let mut host = FakeHost::new();
    host.uncount("/system.slice");
    host.uncount(A);
    host.process(10, A, "hidden");
    host.run(10, 500_000);
    host.set_hidden(10, true);
    let mut book = begun(&mut host, &ALL());
    book.second(&mut host);
    host.set_hidden(10, false);
    let snapshot = book.second(&mut host);
    assert!(row(&snapshot, Level::Process, "hidden").is_none());
    host.run(10, 100);
    let snapshot = book.second(&mut host);
    assert_share(
        share(&snapshot, Level::Process, "hidden"),
        1.0,
        "what it spent in sight",
    );
}

#[test]
fn a_cgroup_whose_counter_cannot_be_read_for_once_is_charged_by_its_living() {
    let mut host = FakeHost::new();
    host.process(10, A, "worker");
    host.process(11, B, "neighbour");
    let mut book = begun(&mut host, &ALL());
    for is_readable in [true, false, true, true] {
        host.set_cgroup_readable(A, is_readable);
        host.run(10, 250);
        host.run(11, 750);
        let snapshot = book.second(&mut host);
        assert_share(
            share(&snapshot, Level::Unit, "a.service"),
            0.25,
            "the unreadable one",
        );
        assert_share(
            share(&snapshot, Level::Unit, "b.service"),
            0.75,
            "its neighbour",
        );
    }
}

#[test]
fn kernel_threads_and_interrupts_have_their_own_lines() {
    let mut host = FakeHost::new();
    host.kernel_thread(2, "kworker");
    host.process(10, A, "worker");
    let mut book = begun(&mut host, &ALL());
    host.run(2, 300);
    host.interrupt(200);
    host.run(10, 500);
    let snapshot = book.second(&mut host);
    for level in Level::ALL {
        assert_share(
            residual(&snapshot, level, Reason::Kernel),
            0.3,
            "the kernel",
        );
        assert_share(
            residual(&snapshot, level, Reason::Unattributed),
            0.2,
            "interrupts",
        );
    }
    assert!(row(&snapshot, Level::Process, "kworker").is_none());
}

#[test]
fn a_kernel_thread_that_ends_was_one_until_its_end() {
    let mut host = FakeHost::new();
    host.count("/");
    host.kernel_thread(2, "kworker");
    let mut book = begun(&mut host, &ALL());
    host.run(2, 300);
    book.second(&mut host);
    host.run(2, 300);
    host.exit(2);
    let snapshot = book.second(&mut host);
    assert_share(
        residual(&snapshot, Level::Process, Reason::Kernel),
        1.0,
        "the kernel",
    );
    assert!(row(&snapshot, Level::Process, "kworker").is_none());
}

/// Clocks are read after counters: the page must neither invent a share nor book one twice.
#[test]
fn a_clock_that_is_ahead_of_an_idle_cgroup_spends_nothing() {
    let mut host = FakeHost::new();
    host.process(10, A, "early");
    host.process(11, B, "worker");
    let mut book = begun(&mut host, &ALL());
    host.run_ahead(10, 5_000);
    host.run(11, 500);
    let snapshot = book.second(&mut host);
    assert!(row(&snapshot, Level::Process, "early").is_none());
    assert_share(
        share(&snapshot, Level::User, "uid=\"1000\""),
        1.0,
        "their user",
    );
}

#[test]
fn a_machine_that_was_not_busy_at_all_gives_nobody_anything() {
    let mut host = FakeHost::new();
    host.process(10, A, "sleeper");
    let mut book = begun(&mut host, &ALL());
    let snapshot = book.second(&mut host);
    assert_eq!(snapshot.busy_ratio, Some(0.0));
    let zone = &snapshot.zones[0];
    assert!(zone.active.0 == 0.0 && (zone.idle.0 - 40.0).abs() < 1e-6);
    assert!(snapshot.levels.iter().all(|level| level.rows.is_empty()));
}

/// iowait and idle may go backwards, and all columns do when a CPU is unplugged.
#[test]
fn times_that_go_backwards_never_make_the_machine_busier_than_it_is() {
    let mut host = FakeHost::new();
    host.process(10, A, "worker");
    let mut book = begun(&mut host, &ALL());
    for change in 0..4 {
        match change {
            1 => host.idle_back(50_000),
            2 => host.set_cpus(2),
            3 => host.set_cpus(4),
            _ => {}
        }
        host.run(10, 500);
        let snapshot = book.second(&mut host);
        let ratio = snapshot.busy_ratio.expect("there is an interval");
        let truth = if change == 2 { 0.25 } else { 0.125 };
        // A CPU that comes back brings the time it had been busy before: that is clamped.
        assert!(
            (ratio - truth).abs() < 1e-9 || change == 3,
            "{change}: {ratio}"
        );
    }
}

#[test]
fn two_samples_of_one_instant_are_an_empty_interval() {
    let mut host = FakeHost::new();
    host.process(10, A, "worker");
    let mut book = begun(&mut host, &ALL());
    host.run(10, 500);
    let snapshot = book.scan(&host);
    assert_eq!(snapshot.zones[0].power, None);
    book.second(&mut host);
}

/// A cgroup without a counter stays where it is when the counted one around it is removed, until its
/// process is seen elsewhere: what is in it is still in the counter further out.
#[test]
fn a_cgroup_whose_parent_is_gone_is_inside_the_one_around_that() {
    let second = Nanos::from_secs(1);
    let cgroup = |serial, path: &str, parent: Option<&Arc<Cgroup>>| {
        Arc::new(Cgroup {
            serial,
            path: path.into(),
            parent: parent.map(Arc::clone),
            owner: owner_of(path.as_bytes()),
        })
    };
    let root = cgroup(0, "/", None);
    let gone = cgroup(1, "/jobs", Some(&root));
    let orphan = cgroup(2, "/a.service", Some(&gone));
    let process = Process {
        key: ProcessKey {
            pid: 10,
            start_ticks: 1,
        },
        comm: "mover".into(),
        exe: None,
        uid: None,
        is_kernel: false,
        vm: None,
        cgroup: Arc::clone(&orphan),
    };
    let change = |cgroup: &Arc<Cgroup>, growth| CgroupChange {
        cgroup: Arc::clone(cgroup),
        growth,
    };
    let interval = Interval {
        span: second,
        busy: second,
        cpus: 1,
        cgroups: vec![
            change(&root, CgroupGrowth::Grew(second)),
            change(&orphan, CgroupGrowth::Unknown),
        ],
        grown: vec![ProcessGrowth {
            process: Arc::new(process),
            cpu: second,
        }],
        ..Interval::default()
    };
    let (division, _) = Division::of(&interval, &Paces::default());
    assert_share(division.total_ns, 1e9, "one second, once");
    assert_eq!(division.shares.len(), 1);
}
