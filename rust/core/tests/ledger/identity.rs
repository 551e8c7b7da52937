//! Who a row is: never a pid alone, any bytes as a name, and no level that nobody asked for.

use jouled_core::exposition::{Format, render};
use jouled_core::ledger::LedgerOptions;
use jouled_core::level::{Level, Reason};
use jouled_core::workload::{Hypervisor, Vm};

use crate::book_of::{assert_share, begun, joules, residual, row, rows, share};
use crate::fake_host::FakeHost;
use crate::page;

const ALL: fn() -> LedgerOptions = LedgerOptions::default;
const A: &str = "/system.slice/a.service";
const B: &str = "/system.slice/b.service";

/// Keyed by the pid alone the heir would have had a negative share, and its neighbour too much.
#[test]
fn a_reused_pid_is_another_process() {
    let mut host = FakeHost::new();
    host.process(10, A, "old");
    host.process(11, B, "neighbour");
    host.run(10, 90_000);
    let mut book = begun(&mut host, &ALL());
    host.run(10, 500);
    host.run(11, 500);
    book.second(&mut host);
    host.exit(10);
    host.process(10, A, "new");
    host.run(10, 250);
    host.run(11, 750);
    let snapshot = book.second(&mut host);
    assert_share(
        share(&snapshot, Level::Process, "\"new\""),
        0.25,
        "the new one",
    );
    assert_share(
        share(&snapshot, Level::Process, "neighbour"),
        0.75,
        "its neighbour",
    );
    let old = row(&snapshot, Level::Process, "\"old\"").expect("it has ended");
    assert_eq!(old.weight, None);
}

/// One label set is one series, or the whole page would be refused.
#[test]
fn a_reused_pid_of_the_same_name_is_the_same_row() {
    let mut host = FakeHost::new();
    host.process(10, A, "twin");
    let mut book = begun(&mut host, &ALL());
    host.run(10, 500);
    book.second(&mut host);
    host.run(10, 500);
    host.exit(10);
    host.process(10, A, "twin");
    host.run(10, 500);
    let snapshot = book.second(&mut host);
    assert_share(share(&snapshot, Level::Process, "twin"), 1.0, "both");
}

#[test]
fn an_exec_ends_one_row_and_begins_another() {
    let mut host = FakeHost::new();
    host.process(10, A, "shell");
    let mut book = begun(&mut host, &ALL());
    host.run(10, 500);
    let before = book.second(&mut host);
    host.exec(10, "compiler");
    host.run(10, 500);
    let snapshot = book.second(&mut host);
    assert_share(
        share(&snapshot, Level::Process, "compiler"),
        1.0,
        "the new image",
    );
    let shell = row(&snapshot, Level::Process, "shell").expect("it stays for a while");
    assert_eq!(shell.weight, None);
    assert_eq!(
        shell.joules[0].to_bits(),
        joules(&before, Level::Process, "shell").to_bits()
    );
    assert_share(share(&snapshot, Level::User, "1000"), 1.0, "its user");
    assert_eq!(rows(&snapshot, Level::User).len(), 1);
}

#[test]
fn any_bytes_are_safe_as_a_name() {
    let hostile = [
        "evil\u{fffd}\u{fffd}",
        "a\"b",
        "back\\slash",
        "new\nline",
        "\u{1b}[31m",
        "}{,=\"",
        "",
        "ünï",
    ];
    let mut host = FakeHost::new();
    for (pid, comm) in (10..).zip(hostile) {
        host.process(pid, A, comm);
    }
    let mut book = begun(&mut host, &ALL());
    for pid in host.pids() {
        host.run(pid, 100);
    }
    // The audit parses both pages and compares them to the snapshot.
    let snapshot = book.second(&mut host);
    assert_eq!(rows(&snapshot, Level::Process).len(), hostile.len());
    let text = String::from_utf8(render(&snapshot, Format::Prometheus)).expect("it is UTF-8");
    let page = page::read(&text, Format::Prometheus);
    let has = |comm: &str| {
        let label = format!("{:?}", ("comm", comm));
        page.keys()
            .any(|key| key.starts_with("jouled_process_watts") && key.contains(&label))
    };
    for comm in ["a\"b", "back\\slash", "new\nline", "}{,=\"", "ünï"] {
        assert!(has(comm), "{comm:?} is not on the page as it is");
    }
    assert!(
        has("\u{fffd}[31m"),
        "an escape character would colour the terminal"
    );
}

#[test]
fn a_user_lives_while_any_of_their_processes_does() {
    let mut host = FakeHost::new();
    host.process(10, A, "worker");
    host.process(11, A, "sleeper");
    let mut book = begun(&mut host, &ALL());
    host.run(10, 500);
    book.second(&mut host);
    host.exit(10);
    for _ in 0..3 {
        let snapshot = book.second(&mut host);
        let user = row(&snapshot, Level::User, "1000").expect("the sleeper is theirs");
        assert_eq!(user.weight, Some(0.0));
    }
    host.exit(11);
    let snapshot = book.second(&mut host);
    assert!(row(&snapshot, Level::User, "1000").is_some_and(|user| user.weight.is_none()));
}

#[test]
fn a_new_name_of_a_user_is_a_new_row_of_that_user_alone() {
    let mut host = FakeHost::new();
    host.name_users(&[(1000, "ann"), (1001, "bob")]);
    host.process(10, A, "worker");
    host.process(11, B, "sleeper");
    host.set_uid(11, Some(1001));
    let mut book = begun(&mut host, &ALL());
    host.run(10, 500);
    host.run(11, 500);
    let before = book.second(&mut host);
    host.name_users(&[(1000, "eve"), (1001, "bob")]);
    book.second(&mut host);
    host.run(10, 500);
    let snapshot = book.second(&mut host);
    assert!(row(&snapshot, Level::User, "ann").is_some_and(|row| row.weight.is_none()));
    assert_share(share(&snapshot, Level::User, "eve"), 1.0, "the same user");
    for (level, text) in [
        (Level::User, "bob"),
        (Level::Process, "sleeper"),
        (Level::Unit, "b.service"),
    ] {
        let row = row(&snapshot, level, text).expect("it sleeps and lives");
        assert_eq!(
            row.weight,
            Some(0.0),
            "{level:?} {text} has ended by another's name"
        );
    }
    let of = |snapshot| joules(snapshot, Level::Process, "worker");
    assert!(of(&snapshot) > of(&before));
}

#[test]
fn a_process_of_another_user_takes_nothing_along() {
    let mut host = FakeHost::new();
    host.process(10, A, "login");
    host.set_uid(10, Some(0));
    let mut book = begun(&mut host, &ALL());
    host.run(10, 400);
    let before = book.second(&mut host);
    host.set_uid(10, Some(1000));
    host.run(10, 400);
    let after = book.second(&mut host);
    let root = |snapshot| joules(snapshot, Level::User, "uid=\"0\"");
    assert_eq!(root(&after).to_bits(), root(&before).to_bits());
    assert_share(
        share(&after, Level::User, "uid=\"1000\""),
        1.0,
        "the new user",
    );
}

#[test]
fn what_belongs_to_nothing_of_a_level_is_ungrouped_or_exited() {
    let mut host = FakeHost::new();
    host.process(10, "/somewhere", "stray");
    host.set_uid(10, None);
    let mut book = begun(&mut host, &ALL());
    host.run(10, 600);
    host.spend("/somewhere", 400);
    let snapshot = book.second(&mut host);
    for level in [
        Level::Unit,
        Level::Container,
        Level::Pod,
        Level::Vm,
        Level::User,
    ] {
        assert_share(
            residual(&snapshot, level, Reason::Ungrouped),
            0.6,
            "the stray",
        );
        assert_share(residual(&snapshot, level, Reason::Exited), 0.4, "the dead");
    }
}

#[test]
fn a_machine_of_two_processes_is_one_row() {
    let mut host = FakeHost::new();
    for pid in [10, 11] {
        host.process(pid, A, "qemu");
        let id = "d0511cd2".to_owned();
        host.set_vm(
            pid,
            Vm {
                id,
                name: "guest".into(),
                hypervisor: Hypervisor::Kvm,
            },
        );
    }
    let mut book = begun(&mut host, &ALL());
    host.run(10, 500);
    host.run(11, 250);
    let snapshot = book.second(&mut host);
    assert_share(share(&snapshot, Level::Vm, "guest"), 1.0, "the guest");
    host.exit(10);
    host.run(11, 250);
    let snapshot = book.second(&mut host);
    assert!(share(&snapshot, Level::Vm, "guest") > 0.99);
}

#[test]
fn levels_that_nobody_asked_for_are_not_there() {
    let mut host = FakeHost::new();
    host.process(10, A, "worker");
    let levels = vec![Level::Unit, Level::Unit];
    let mut book = begun(&mut host, &LedgerOptions { levels, ..ALL() });
    host.run(10, 500);
    let snapshot = book.second(&mut host);
    let levels: Vec<_> = snapshot.levels.iter().map(|level| level.level).collect();
    assert_eq!(levels, [Level::Unit]);
    let text = String::from_utf8(render(&snapshot, Format::Prometheus)).expect("it is UTF-8");
    assert!(text.contains("jouled_unit_watts{") && !text.contains("jouled_process"));
}

#[test]
fn without_any_level_the_zones_are_still_there() {
    let mut host = FakeHost::new();
    let mut book = begun(
        &mut host,
        &LedgerOptions {
            levels: Vec::new(),
            ..ALL()
        },
    );
    let snapshot = book.second(&mut host);
    assert!(snapshot.levels.is_empty());
    assert!(snapshot.zones[0].power.is_some());
}
