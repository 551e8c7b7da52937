//! What counters do to a zone's account: it never falls, and never holds what was not measured.

use jouled_core::idle::IdlePolicy;
use jouled_core::ledger::LedgerOptions;
use jouled_core::level::Level;
use jouled_core::snapshot::{Snapshot, ZoneSnapshot};
use jouled_core::units::Watts;
use jouled_core::zone::{Source, ZoneValue};

use crate::book_of::{BookOf, begun, joules, row};
use crate::fake_host::{FakeHost, START_S};
use crate::fake_zones::RANGE_UJ;

const A: &str = "/system.slice/a.service";

/// A host with one worker, busy for half a CPU of four whenever `second` passes.
fn host() -> FakeHost {
    let mut host = FakeHost::new();
    host.process(10, A, "worker");
    host
}

/// A second in which the worker worked and the zones' counters moved as the caller said.
fn second(book: &mut BookOf, host: &mut FakeHost) -> Snapshot {
    host.run(10, 500);
    host.pass(1000);
    book.scan(host)
}

fn counter(microjoules: u64) -> ZoneValue {
    ZoneValue::Energy {
        microjoules,
        range: Some(RANGE_UJ),
    }
}

fn zone<'a>(snapshot: &'a Snapshot, class: &str, index: &str) -> &'a ZoneSnapshot {
    let mut zones = snapshot.zones.iter();
    let found = zones.find(|zone| zone.zone.class == class && zone.zone.index == index);
    found.expect("a zone that was seen")
}

fn package(snapshot: &Snapshot) -> &ZoneSnapshot {
    zone(snapshot, "package", "0")
}

#[track_caller]
fn assert_total(snapshot: &Snapshot, joules: f64) {
    let total = package(snapshot).total.0;
    assert!((total - joules).abs() < 1e-9, "{total} J and not {joules}");
}

#[test]
fn the_baseline_is_no_energy_however_full_the_counter() {
    let mut host = host();
    let mut book = begun(&mut host, &LedgerOptions::default());
    host.draw("package", "0", 40.0);
    let snapshot = second(&mut book, &mut host);
    assert_total(&snapshot, 40.0);
    let zone = package(&snapshot);
    assert!(
        (zone.active.0 - 5.0).abs() < 1e-9,
        "an eighth of the CPUs' time was busy"
    );
    assert!((zone.created_s - START_S).abs() < 1e-9);
}

#[test]
fn a_wrap_is_energy() {
    let mut host = host();
    let mut book = begun(&mut host, &LedgerOptions::default());
    host.set_value("package", "0", counter(RANGE_UJ - 9_999_999));
    second(&mut book, &mut host);
    let before = package(&second(&mut book, &mut host)).total.0;
    host.set_value("package", "0", counter(30_000_000));
    let snapshot = second(&mut book, &mut host);
    assert_total(&snapshot, before + 40.0);
    assert_eq!(package(&snapshot).wraps, 1);
}

#[test]
fn a_reset_is_dropped_and_counted_and_no_phantom_of_a_whole_range() {
    let mut host = host();
    let value = |microjoules| ZoneValue::Energy {
        microjoules,
        range: Some(262_143_328_850),
    };
    host.zone_of(Source::Rapl, "package", "0", value(100_000_000_000));
    let mut book = BookOf::new(&LedgerOptions::default());
    book.scan(&host);
    host.set_value("package", "0", value(17));
    let snapshot = second(&mut book, &mut host);
    assert_total(&snapshot, 0.0);
    assert_eq!(
        (package(&snapshot).resets, package(&snapshot).power),
        (1, None)
    );
    host.draw("package", "0", 40.0);
    let snapshot = second(&mut book, &mut host);
    assert_total(&snapshot, 40.0);
}

#[test]
fn a_wrap_whose_range_cannot_be_read_is_a_new_baseline() {
    let value = |microjoules| ZoneValue::Energy {
        microjoules,
        range: None,
    };
    let mut host = host();
    host.zone_of(Source::Rapl, "package", "0", value(900_000_000));
    let mut book = BookOf::new(&LedgerOptions::default());
    book.scan(&host);
    for (microjoules, total) in [(920_000_000, 20.0), (7_000_000, 20.0), (17_000_000, 30.0)] {
        host.set_value("package", "0", value(microjoules));
        assert_total(&second(&mut book, &mut host), total);
    }
}

#[test]
fn after_a_failed_reading_comes_a_baseline_and_workloads_keep_their_totals() {
    let mut host = host();
    let mut book = begun(&mut host, &LedgerOptions::default());
    host.draw("package", "0", 40.0);
    let before = second(&mut book, &mut host);
    host.set_failing("package", "0", true);
    host.draw("package", "0", 40.0);
    let failed = second(&mut book, &mut host);
    assert_total(&failed, 40.0);
    assert_eq!(
        (package(&failed).read_errors, package(&failed).power),
        (1, None)
    );
    let of = |snapshot| joules(snapshot, Level::Process, "worker");
    assert_eq!(
        of(&failed).to_bits(),
        of(&before).to_bits(),
        "no counter falls to zero"
    );
    host.set_failing("package", "0", false);
    host.draw("package", "0", 40.0);
    assert_total(&second(&mut book, &mut host), 40.0);
    host.draw("package", "0", 40.0);
    assert_total(&second(&mut book, &mut host), 80.0);
}

#[test]
fn of_two_sockets_one_that_fails_does_not_hide_the_other() {
    let mut host = host();
    host.zone("package", "1");
    let mut book = begun(&mut host, &LedgerOptions::default());
    for is_failing in [false, true, true, false, false] {
        host.set_failing("package", "1", is_failing);
        host.draw("package", "0", 40.0);
        host.draw("package", "1", 80.0);
        second(&mut book, &mut host);
    }
    host.draw("package", "0", 40.0);
    let snapshot = second(&mut book, &mut host);
    assert_total(&snapshot, 240.0);
    let other = zone(&snapshot, "package", "1");
    assert!(
        (other.total.0 - 160.0).abs() < 1e-9,
        "the first and the fifth: {:?}",
        other.total
    );
    assert_eq!(other.read_errors, 2);
    let worker = joules(&snapshot, Level::Process, "worker");
    assert!(
        (worker - 400.0 / 8.0).abs() < 1e-6,
        "both sockets' active energy: {worker}"
    );
}

#[test]
fn a_suspend_is_a_reset_of_counters_and_no_time_of_power() {
    let mut host = host();
    let power = ZoneValue::Power {
        power: Watts(10.0),
        is_average: true,
    };
    host.zone_of(Source::Hwmon, "soc", "0", power);
    let mut book = begun(&mut host, &LedgerOptions::default());
    host.draw("package", "0", 40.0);
    host.sleep(3_600_000);
    let snapshot = second(&mut book, &mut host);
    assert_total(&snapshot, 0.0);
    assert_eq!(package(&snapshot).resets, 1);
    assert!(
        (zone(&snapshot, "soc", "0").total.0 - 10.0).abs() < 1e-9,
        "one second awake"
    );
    host.draw("package", "0", 40.0);
    assert_total(&second(&mut book, &mut host), 40.0);
}

#[test]
fn a_gap_in_which_a_counter_could_have_gone_round_twice_is_a_reset() {
    let mut host = host();
    let mut book = begun(&mut host, &LedgerOptions::default());
    for (minutes, joules, total) in [(1, 40.0, 40.0), (3, 500.0, 40.0), (1, 40.0, 80.0)] {
        host.draw("package", "0", joules);
        host.pass(minutes * 60_000);
        assert_total(&book.scan(&host), total);
    }
    assert_eq!(package(&second(&mut book, &mut host)).resets, 1);
}

#[test]
fn a_zone_that_returns_begins_with_a_baseline_and_goes_on_with_its_total() {
    let mut host = host();
    let mut book = begun(&mut host, &LedgerOptions::default());
    for (is_gone, total) in [(false, 40.0), (true, 40.0), (false, 40.0), (false, 80.0)] {
        host.set_gone("package", "0", is_gone);
        host.draw("package", "0", 40.0);
        assert_total(&second(&mut book, &mut host), total);
    }
    host.replace_path("package", "0", "/sys/elsewhere");
    host.draw("package", "0", 40.0);
    assert_total(&second(&mut book, &mut host), 80.0);
    host.draw("package", "0", 40.0);
    assert_total(&second(&mut book, &mut host), 120.0);
}

#[test]
fn a_zone_that_comes_later_gives_every_row_another_column() {
    let mut host = host();
    let mut book = begun(&mut host, &LedgerOptions::default());
    host.draw("package", "0", 40.0);
    second(&mut book, &mut host);
    host.zone("dram", "0");
    second(&mut book, &mut host);
    host.draw("dram", "0", 8.0);
    let snapshot = second(&mut book, &mut host);
    let worker = row(&snapshot, Level::Process, "worker").expect("its row");
    assert!((worker.joules[0] - 5.0).abs() < 1e-6 && (worker.joules[1] - 1.0).abs() < 1e-6);
    assert!((zone(&snapshot, "dram", "0").created_s - START_S - 2.0).abs() < 1e-9);
}

#[test]
fn power_is_held_as_a_mean_or_drawn_as_a_line_between_two_instants() {
    for (is_average, total) in [(true, 30.0), (false, 20.0)] {
        let value = |watts| ZoneValue::Power {
            power: Watts(watts),
            is_average,
        };
        let mut host = host();
        host.zone_of(Source::Hwmon, "package", "0", value(10.0));
        let mut book = BookOf::new(&LedgerOptions::default());
        book.scan(&host);
        host.set_value("package", "0", value(30.0));
        assert_total(&second(&mut book, &mut host), total);
        host.set_value("package", "0", ZoneValue::Absent);
        let snapshot = second(&mut book, &mut host);
        assert_total(&snapshot, total);
        assert_eq!(
            (package(&snapshot).power, package(&snapshot).read_errors),
            (None, 0)
        );
    }
}

#[test]
fn a_modelled_zone_follows_the_load_and_its_idle_part_is_known() {
    let mut host = host();
    let value = ZoneValue::Modelled {
        idle: Watts(20.0),
        max: Watts(100.0),
    };
    host.zone_of(Source::Estimate, "package", "0", value);
    let mut book = BookOf::new(&LedgerOptions::default());
    book.scan(&host);
    let snapshot = second(&mut book, &mut host);
    assert_total(&snapshot, 20.0 + 80.0 / 8.0);
}

#[test]
fn by_a_learned_floor_a_fully_busy_machine_still_has_idle_energy() {
    let options = LedgerOptions {
        idle: IdlePolicy::Learned,
        ..LedgerOptions::default()
    };
    let mut host = host();
    let mut book = begun(&mut host, &options);
    let mut last = Snapshot::default();
    for step in 0..80_u64 {
        let busy = step % 5 * 1000;
        host.run(10, busy);
        host.draw("package", "0", 20.0 + 60.0 * busy as f64 / 4000.0);
        host.pass(1000);
        last = book.scan(&host);
    }
    let power = package(&last).power.expect("it was measured");
    assert!((power.idle.0 - 20.0).abs() < 0.5, "{power:?}");
}

#[test]
fn zones_overlap_and_each_class_is_divided_on_its_own() {
    let mut host = host();
    host.zone("psys", "0");
    host.zone("dram", "0");
    let mut book = begun(&mut host, &LedgerOptions::default());
    for (class, energy) in [("package", 40.0), ("psys", 64.0), ("dram", 8.0)] {
        host.draw(class, "0", energy);
    }
    let snapshot = second(&mut book, &mut host);
    let worker = row(&snapshot, Level::Process, "worker").expect("its row");
    for (class, joules) in snapshot.classes.iter().zip(&worker.joules) {
        let total = zone(&snapshot, &class.name, "0").total.0;
        assert!((joules - total / 8.0).abs() < 1e-6, "{}", class.name);
    }
}
