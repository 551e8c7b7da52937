//! Rows whose workload has ended: counted to the end, kept for a while, gone with their totals.

use jouled_core::book::Retention;
use jouled_core::ledger::LedgerOptions;
use jouled_core::level::Level;
use jouled_core::units::Nanos;

use crate::book_of::{begun, joules, row, rows};
use crate::fake_host::FakeHost;

const A: &str = "/system.slice/a.service";

fn keeping(keep_s: u64, most: usize) -> LedgerOptions {
    LedgerOptions {
        retention: Retention {
            keep: Nanos::from_secs(keep_s),
            most,
        },
        ..LedgerOptions::default()
    }
}

#[test]
fn the_last_part_of_an_interval_counts_and_the_row_stays_without_watts() {
    let mut host = FakeHost::new();
    host.process(10, A, "worker");
    let mut book = begun(&mut host, &keeping(3, 10));
    host.run(10, 1000);
    let living = book.second(&mut host);
    host.run(10, 600);
    host.exit(10);
    let last = book.second(&mut host);
    assert!(row(&last, Level::Process, "worker").is_some_and(|row| row.weight.is_some()));
    let total = joules(&last, Level::Process, "worker");
    assert!(total > joules(&living, Level::Process, "worker"));
    for _ in 0..2 {
        let kept = book.second(&mut host);
        let kept = row(&kept, Level::Process, "worker").expect("it stays for three seconds");
        assert_eq!((kept.weight, kept.joules[0]), (None, total));
    }
    let snapshot = book.second(&mut host);
    assert!(
        row(&snapshot, Level::Process, "worker").is_none(),
        "it has left"
    );
    assert!(
        row(&snapshot, Level::Unit, "a.service").is_some(),
        "its unit lives"
    );
}

#[test]
fn of_too_many_ended_rows_the_largest_stay() {
    let mut host = FakeHost::new();
    for pid in 10..20 {
        host.process(pid, A, "worker");
    }
    let mut book = begun(&mut host, &keeping(60, 3));
    for pid in 10..20 {
        host.run(pid, u64::from(pid) * 10);
    }
    book.second(&mut host);
    for pid in 10..20 {
        host.exit(pid);
    }
    for _ in 0..2 {
        let snapshot = book.second(&mut host);
        let stay: Vec<_> = rows(&snapshot, Level::Process)
            .iter()
            .map(|row| &row.labels[..8])
            .collect();
        assert_eq!(stay, ["pid=\"17\"", "pid=\"18\"", "pid=\"19\""]);
    }
}

/// The audit of the page is the test: what they spent at last is on it.
#[test]
fn rows_that_end_together_are_all_on_the_page_of_their_last_interval() {
    for options in [keeping(60, 3), keeping(60, 0), keeping(0, 500)] {
        let mut host = FakeHost::new();
        for pid in 10..20 {
            host.process(pid, A, "worker");
        }
        let mut book = begun(&mut host, &options);
        for pid in 10..20 {
            host.run(pid, 100);
        }
        book.second(&mut host);
        for pid in 10..20 {
            host.run(pid, 50);
            host.exit(pid);
        }
        assert_eq!(rows(&book.second(&mut host), Level::Process).len(), 10);
        let most = if options.retention.keep == Nanos(0) {
            0
        } else {
            options.retention.most
        };
        assert_eq!(rows(&book.second(&mut host), Level::Process).len(), most);
    }
}

#[test]
fn a_successor_with_the_same_label_set_goes_on_with_the_row() {
    let mut host = FakeHost::new();
    host.process(10, A, "worker");
    let mut book = begun(&mut host, &keeping(10, 10));
    host.run(10, 1000);
    let first = book.second(&mut host);
    host.exit(10);
    book.second(&mut host);
    host.process(10, A, "worker");
    host.run(10, 100);
    let second = book.second(&mut host);
    let of = |snapshot| {
        row(snapshot, Level::Process, "worker")
            .expect("a row")
            .clone()
    };
    assert!(of(&second).joules[0] > of(&first).joules[0]);
    assert_eq!(
        of(&second).created_s.to_bits(),
        of(&first).created_s.to_bits()
    );
}

#[test]
fn a_successor_after_the_row_has_left_begins_anew() {
    let mut host = FakeHost::new();
    host.process(10, A, "worker");
    let mut book = begun(&mut host, &keeping(1, 10));
    host.run(10, 1000);
    let first = book.second(&mut host);
    host.exit(10);
    book.second(&mut host);
    book.second(&mut host);
    host.process(10, A, "worker");
    host.run(10, 100);
    let second = book.second(&mut host);
    let of = |snapshot| {
        row(snapshot, Level::Process, "worker")
            .expect("a row")
            .clone()
    };
    assert!(of(&second).joules[0] < of(&first).joules[0]);
    assert!(of(&second).created_s > of(&first).created_s);
}

#[test]
fn a_unit_that_is_started_again_goes_on_with_its_row() {
    let mut host = FakeHost::new();
    host.process(10, A, "worker");
    let mut book = begun(&mut host, &keeping(10, 10));
    host.run(10, 1000);
    let first = book.second(&mut host);
    host.exit(10);
    host.remove_cgroup(A);
    let stopped = book.second(&mut host);
    assert!(row(&stopped, Level::Unit, "a.service").is_some_and(|row| row.weight.is_none()));
    host.process(11, A, "worker");
    host.run(11, 100);
    let second = book.second(&mut host);
    assert!(joules(&second, Level::Unit, "a.service") > joules(&first, Level::Unit, "a.service"));
}

#[test]
fn a_live_row_stays_on_the_page_however_long_it_sleeps() {
    let mut host = FakeHost::new();
    host.process(10, A, "sleeper");
    let mut book = begun(&mut host, &keeping(1, 0));
    host.run(10, 1000);
    book.second(&mut host);
    for _ in 0..5 {
        let snapshot = book.second(&mut host);
        for (level, text) in [
            (Level::Process, "sleeper"),
            (Level::Unit, "a.service"),
            (Level::User, "1000"),
        ] {
            let weight = row(&snapshot, level, text).and_then(|row| row.weight);
            assert_eq!(weight, Some(0.0), "{level:?}");
        }
    }
}
