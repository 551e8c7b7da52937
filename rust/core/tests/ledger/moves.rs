//! Who is charged when the tree changes: moves, threads elsewhere, cgroups that come and go.

use jouled_core::ledger::LedgerOptions;
use jouled_core::level::Level;

use crate::book_of::{assert_share, begun, share};
use crate::fake_host::FakeHost;

const ALL: fn() -> LedgerOptions = LedgerOptions::default;
const A: &str = "/system.slice/a.service";
const B: &str = "/system.slice/b.service";
const C: &str = "/user.slice/user-1000.slice/user@1000.service/app.slice/c.service";

#[test]
fn what_a_process_spent_before_it_moved_stays_with_the_cgroup_that_it_left() {
    let mut host = FakeHost::new();
    host.process(10, A, "mover");
    let mut book = begun(&mut host, &ALL());
    host.run(10, 300);
    host.move_to(10, B);
    host.run(10, 700);
    let snapshot = book.second(&mut host);
    assert_share(
        share(&snapshot, Level::Unit, "a.service"),
        0.3,
        "the old unit",
    );
    assert_share(
        share(&snapshot, Level::Unit, "b.service"),
        0.7,
        "the new unit",
    );
    assert_share(
        share(&snapshot, Level::Process, "mover"),
        0.7,
        "what the new cgroup vouches for",
    );
}

#[test]
fn a_move_that_is_not_yet_seen_charges_the_units_right() {
    let mut host = FakeHost::new();
    host.process(10, A, "mover");
    let mut book = begun(&mut host, &ALL());
    host.run_thread_in(10, B, 500);
    let snapshot = book.second(&mut host);
    assert_share(
        share(&snapshot, Level::Unit, "a.service"),
        0.0,
        "the old unit",
    );
    assert_share(
        share(&snapshot, Level::Unit, "b.service"),
        1.0,
        "the new unit",
    );
}

#[test]
fn threads_in_sibling_cgroups_are_charged_where_they_work() {
    let mut host = FakeHost::new();
    host.process(10, "/system.slice/a.service", "server");
    let mut book = begun(&mut host, &ALL());
    host.run(10, 100);
    host.run_thread_in(10, B, 300);
    let snapshot = book.second(&mut host);
    assert_share(
        share(&snapshot, Level::Unit, "a.service"),
        0.25,
        "the main thread's unit",
    );
    assert_share(
        share(&snapshot, Level::Unit, "b.service"),
        0.75,
        "the other thread's unit",
    );
}

#[test]
fn a_unit_that_stops_is_charged_by_what_its_slice_holds() {
    let mut host = FakeHost::new();
    host.process(10, A, "burner");
    host.process(11, B, "neighbour");
    let mut book = begun(&mut host, &ALL());
    host.run(10, 1000);
    host.run(11, 600);
    book.second(&mut host);
    host.run(10, 400);
    host.exit(10);
    host.remove_cgroup(A);
    host.run(11, 600);
    let snapshot = book.second(&mut host);
    assert_share(
        share(&snapshot, Level::Unit, "a.service"),
        0.4,
        "the unit that stopped",
    );
    assert_share(
        share(&snapshot, Level::Unit, "b.service"),
        0.6,
        "its neighbour",
    );
    assert_share(
        share(&snapshot, Level::Process, "burner"),
        0.4,
        "its process",
    );
}

#[test]
fn a_unit_that_starts_is_charged_from_its_start() {
    let mut host = FakeHost::new();
    host.process(11, B, "neighbour");
    let mut book = begun(&mut host, &ALL());
    host.process(10, A, "starter");
    host.spend(A, 200);
    host.run(10, 300);
    host.run(11, 500);
    let snapshot = book.second(&mut host);
    assert_share(
        share(&snapshot, Level::Unit, "a.service"),
        0.5,
        "the new unit",
    );
    assert_share(
        share(&snapshot, Level::Unit, "b.service"),
        0.5,
        "its neighbour",
    );
    assert_share(
        share(&snapshot, Level::Process, "starter"),
        0.3,
        "the new process",
    );
}

#[test]
fn a_cgroup_that_stood_empty_for_long_does_not_bring_the_time_of_its_past() {
    let mut host = FakeHost::new();
    host.process(11, "/system.slice/b.service", "neighbour");
    let mut book = begun(&mut host, &ALL());
    host.age("/docker", 3 * 3_600_000);
    host.run(11, 900);
    host.spend("/docker", 100);
    let snapshot = book.second(&mut host);
    assert_share(
        share(&snapshot, Level::Unit, "b.service"),
        0.9,
        "the neighbour",
    );
    assert!(
        snapshot
            .busy_ratio
            .is_some_and(|ratio| (ratio - 0.25).abs() < 1e-9)
    );
}

/// The removal is seen at once, the move of an unprivileged process two scans later.
#[test]
fn a_process_whose_cgroup_is_gone_keeps_its_rows_until_it_is_seen_elsewhere() {
    for top in [None, Some(1)] {
        let mut host = FakeHost::new();
        host.process(10, A, "mover");
        host.process(11, B, "neighbour");
        host.process(12, C, "other");
        let mut book = begun(&mut host, &LedgerOptions { top, ..ALL() });
        for second in 0..5 {
            if second == 1 {
                host.remove_cgroup(A);
            }
            let at = if second == 0 { A } else { C };
            host.run_thread_in(10, at, 100);
            host.run(11, 300);
            host.run(12, 200);
            let snapshot = book.second(&mut host);
            if top.is_some() {
                continue;
            }
            let share = |unit| share(&snapshot, Level::Unit, unit);
            assert_share(share("b.service"), 0.5, "the neighbour");
            assert_share(
                share("a.service") + share("c.service"),
                0.5,
                "the other two",
            );
            if second > 0 {
                assert_share(share("a.service"), 0.0, "the unit that is gone");
            }
        }
    }
}
