//! A page that is cut to its largest rows still adds up, and what leaves it returns as it left.

use jouled_core::ledger::LedgerOptions;
use jouled_core::level::{Level, Reason};
use jouled_core::snapshot::Snapshot;

use crate::book_of::{BookOf, assert_share, begun, joules, residual, row, rows, share};
use crate::fake_host::FakeHost;

const A: &str = "/system.slice/a.service";

fn top(rows: usize) -> LedgerOptions {
    LedgerOptions {
        top: Some(rows),
        ..LedgerOptions::default()
    }
}

fn three_workers() -> FakeHost {
    let mut host = FakeHost::new();
    for (pid, comm) in [(10, "large"), (11, "middle"), (12, "small")] {
        host.process(pid, A, comm);
    }
    host
}

#[test]
fn what_the_others_spend_is_other_as_it_is_spent() {
    let mut host = three_workers();
    let mut book = begun(&mut host, &top(1));
    let mut before = 0.0;
    for _ in 0..3 {
        host.run(10, 600);
        host.run(11, 300);
        host.run(12, 100);
        let snapshot = book.second(&mut host);
        assert_eq!(rows(&snapshot, Level::Process).len(), 1);
        assert_share(share(&snapshot, Level::Process, "large"), 0.6, "the top");
        assert_share(
            residual(&snapshot, Level::Process, Reason::Other),
            0.4,
            "the others",
        );
        let now = joules(&snapshot, Level::Process, "large");
        assert!(
            (now - before - 6.0).abs() < 1e-6,
            "6 of 10 active joules each second: {now}"
        );
        before = now;
    }
}

#[test]
fn a_row_that_leaves_the_page_returns_with_its_total() {
    let mut host = three_workers();
    let mut book = begun(&mut host, &top(1));
    host.run(10, 500);
    let first = book.second(&mut host);
    host.run(11, 900);
    let second = book.second(&mut host);
    assert!(
        row(&second, Level::Process, "large").is_none(),
        "the middle one is on top"
    );
    host.run(10, 100);
    let third = book.second(&mut host);
    assert!(row(&third, Level::Process, "large").is_none());
    host.run(10, 900);
    let fourth = book.second(&mut host);
    let of = |snapshot| {
        row(snapshot, Level::Process, "large")
            .expect("it is on top")
            .clone()
    };
    let (first, fourth) = (of(&first), of(&fourth));
    let grown = fourth.joules[0] - first.joules[0];
    assert!(
        (grown - 9.0).abs() < 1e-6,
        "only what it spent on the page: {grown}"
    );
    assert_eq!(first.created_s.to_bits(), fourth.created_s.to_bits());
}

#[test]
fn the_last_fifteen_minutes_decide() {
    let mut host = three_workers();
    let mut book = begun(&mut host, &top(1));
    host.run(10, 50_000);
    minute(&mut book, &mut host);
    for passed in 1..17 {
        host.run(11, 2_000);
        let snapshot = minute(&mut book, &mut host);
        let is_on_top = row(&snapshot, Level::Process, "large").is_some();
        assert_eq!(is_on_top, passed < 15, "after {passed} minutes");
    }
}

fn minute(book: &mut BookOf, host: &mut FakeHost) -> Snapshot {
    host.draw("package", "0", 500.0);
    host.pass(60_000);
    book.scan(host)
}

#[test]
fn rows_with_nothing_to_say_are_not_on_the_page() {
    let mut host = three_workers();
    let mut book = begun(&mut host, &top(10));
    host.run(10, 500);
    let snapshot = book.second(&mut host);
    assert_eq!(rows(&snapshot, Level::Process).len(), 1);
    for _ in 0..15 {
        minute(&mut book, &mut host);
    }
    assert!(rows(&minute(&mut book, &mut host), Level::Process).is_empty());
    host.run(10, 500);
    let returned = book.second(&mut host);
    assert!(
        joules(&returned, Level::Process, "large") > joules(&snapshot, Level::Process, "large")
    );
}

#[test]
fn of_none_all_is_other() {
    let mut host = three_workers();
    let mut book = begun(&mut host, &top(0));
    host.run(10, 500);
    let snapshot = book.second(&mut host);
    for level in [Level::Process, Level::Unit, Level::User] {
        assert!(rows(&snapshot, level).is_empty());
        assert_share(residual(&snapshot, level, Reason::Other), 1.0, "the others");
    }
}

#[test]
fn without_a_measured_zone_cpu_time_decides() {
    let mut host = three_workers();
    let mut book = BookOf::new(&top(1));
    book.scan(&host);
    for _ in 0..2 {
        host.run(11, 900);
        host.run(10, 100);
        host.pass(1000);
        let snapshot = book.scan(&host);
        assert!(row(&snapshot, Level::Process, "middle").is_some_and(|row| row.cpu_s > 0.8));
    }
    host.run(10, 2000);
    host.pass(1000);
    book.scan(&host);
    host.run(11, 2000);
    host.pass(1000);
    // Its counter goes on, as the audit sees by when it began.
    assert!(row(&book.scan(&host), Level::Process, "middle").is_some_and(|row| row.cpu_s > 3.7));
}

#[test]
fn a_new_name_for_a_user_does_not_set_back_what_is_off_the_page() {
    let mut host = three_workers();
    host.name_users(&[(1000, "ann")]);
    let mut book = begun(&mut host, &top(1));
    host.run(10, 500);
    let first = book.second(&mut host);
    host.run(11, 900);
    book.second(&mut host);
    host.name_users(&[(1000, "eve")]);
    book.second(&mut host);
    host.run(10, 900);
    let last = book.second(&mut host);
    assert!(joules(&last, Level::Process, "large") > joules(&first, Level::Process, "large"));
}

#[test]
fn one_that_ends_off_the_page_never_comes_onto_it() {
    let mut host = three_workers();
    let mut book = begun(&mut host, &top(1));
    host.run(10, 900);
    host.run(12, 100);
    book.second(&mut host);
    host.run(10, 900);
    host.run(12, 100);
    host.exit(12);
    let snapshot = book.second(&mut host);
    assert!(row(&snapshot, Level::Process, "small").is_none());
    assert_share(
        residual(&snapshot, Level::Process, Reason::Other),
        0.1,
        "its last moments",
    );
}
