//! Which zones a host has, and that each gives its watts: each trap on a host of its own.

use super::*;
use crate::powercap::Powercap;
use crate::testing::{FakeSys, assert_watts, find, read_at, series, two_sockets, watts};

const RANGE: u64 = 262_143_328_850;

fn open(sys: &FakeSys) -> Powercap {
    Powercap::open(sys.path(), &[]).unwrap()
}

fn names(sys: &FakeSys) -> Vec<String> {
    series(&read_at(&mut open(sys), 0).0)
}

/// Draws the watts of every zone for five seconds between two readings and checks them.
#[track_caller]
fn check_watts(sys: &FakeSys, zones: &[(&str, f64)], expected: &[(&str, f64)]) {
    let mut meter = open(sys);
    let (before, problems) = read_at(&mut meter, 10);
    assert_eq!(problems, [""; 0]);
    for (id, watts) in zones {
        sys.draw(id, *watts, 5.0);
    }
    let (after, _) = read_at(&mut meter, 15);
    let expected_series: Vec<String> = expected
        .iter()
        .map(|(series, _)| (*series).to_owned())
        .collect();
    assert_eq!(series(&after), expected_series);
    for (series, expected) in expected {
        assert_watts(watts(&before, &after, series), *expected);
    }
}

#[test]
fn two_sockets_are_named_by_name_and_not_by_order_and_wrap_rightly() {
    let zones = [
        ("intel-rapl:0", 80.0),
        ("intel-rapl:0:0", 7.5),
        ("intel-rapl:1", 40.0),
        ("intel-rapl:1:0", 5.0),
    ];
    let expected = [
        ("package/1", 80.0),
        ("dram/1", 7.5),
        ("package/0", 40.0),
        ("dram/0", 5.0),
    ];
    check_watts(&two_sockets(), &zones, &expected);
}

#[test]
fn the_eleventh_zone_is_called_a() {
    let mut sys = FakeSys::new().zone("intel-rapl:a:0", "dram", 7, Some(RANGE));
    for id in 0..18u64 {
        let zone = format!("intel-rapl:{id:x}");
        sys = sys.zone(&zone, &format!("package-{id}"), id, Some(RANGE));
    }
    let names = names(&sys);
    assert_eq!(names.len(), 19);
    assert_eq!(names[1..3], ["package/1", "package/2"]);
    assert_eq!(names[10..12], ["package/10", "dram/10"]);
    assert_eq!(names[17..], ["package/16", "package/17"]);
}

#[test]
fn dies_with_counters_of_their_own_are_zones_of_their_own() {
    let sys = FakeSys::new()
        .zone(
            "intel-rapl:0",
            "package-0-die-0",
            9_000_000_000,
            Some(RANGE),
        )
        .zone("intel-rapl:0:0", "dram", 1_000_000_000, Some(RANGE))
        .zone(
            "intel-rapl:1",
            "package-0-die-1",
            13_000_000_000,
            Some(RANGE),
        )
        .zone("intel-rapl:1:0", "dram", 1_200_000_000, Some(RANGE));
    let zones = [
        ("intel-rapl:0", 120.0),
        ("intel-rapl:0:0", 9.0),
        ("intel-rapl:1", 110.0),
        ("intel-rapl:1:0", 8.0),
    ];
    let expected = [
        ("package/0-0", 120.0),
        ("dram/0-0", 9.0),
        ("package/0-1", 110.0),
        ("dram/0-1", 8.0),
    ];
    check_watts(&sys, &zones, &expected);
}

#[test]
fn mirrored_dies_are_one_package_and_the_finding_says_so() {
    let sys = FakeSys::new()
        .zone(
            "intel-rapl:0",
            "package-0-die-0",
            9_000_000_000,
            Some(RANGE),
        )
        .zone("intel-rapl:0:0", "core", 31_000_000, Some(RANGE))
        .zone(
            "intel-rapl:1",
            "package-0-die-1",
            9_000_000_000,
            Some(RANGE),
        )
        .zone("intel-rapl:1:0", "core", 31_000_000, Some(RANGE))
        .zone(
            "intel-rapl:2",
            "package-1-die-0",
            77_000_000_000,
            Some(RANGE),
        )
        .zone(
            "intel-rapl:3",
            "package-1-die-1",
            77_000_000_000,
            Some(RANGE),
        );
    let zones = [
        ("intel-rapl:0", 180.0),
        ("intel-rapl:1", 180.0),
        ("intel-rapl:2", 95.0),
        ("intel-rapl:3", 95.0),
    ];
    check_watts(
        &sys,
        &zones,
        &[("package/0", 180.0), ("core/0", 0.0), ("package/1", 95.0)],
    );
    let findings = open(&sys).findings().join("\n");
    let kept = sys.at("class/powercap/intel-rapl:0");
    let expected = format!(
        "the 2 dies of package 0 show one counter under 2 names (AMD counts per package): counted once, from {}",
        kept.display()
    );
    assert!(findings.starts_with(&expected), "{findings}");
    assert_eq!(findings.lines().count(), 2);
}

#[test]
fn mmio_doubles_are_dropped_and_named_dram_included() {
    let sys = FakeSys::new()
        .zone("intel-rapl:0", "package-0", 1_000_000, Some(RANGE))
        .zone("intel-rapl:0:0", "core", 1_000_000, Some(RANGE))
        .zone("intel-rapl:0:1", "dram", 1_000_000, Some(RANGE))
        .zone("intel-rapl-mmio:0", "package-0", 1_000_077, Some(RANGE))
        .zone("intel-rapl-mmio:0:0", "dram", 1_000_077, Some(RANGE));
    let zones = [
        ("intel-rapl:0", 15.0),
        ("intel-rapl:0:0", 9.0),
        ("intel-rapl:0:1", 5.0),
        ("intel-rapl-mmio:0:0", 5.0),
    ];
    check_watts(
        &sys,
        &zones,
        &[("package/0", 15.0), ("core/0", 9.0), ("dram/0", 5.0)],
    );
    let expected = [
        "intel-rapl-mmio:0 repeats intel-rapl:0 (package 0): counted once, from intel-rapl:0",
        "intel-rapl-mmio:0:0 repeats intel-rapl:0:1 (dram 0): counted once, from intel-rapl:0:1",
    ];
    assert_eq!(open(&sys).findings(), expected);
}

#[test]
fn mmio_zones_that_repeat_nothing_are_kept() {
    let sys = FakeSys::new().zone("intel-rapl-mmio:0", "package-0", 5, Some(RANGE));
    check_watts(&sys, &[("intel-rapl-mmio:0", 12.0)], &[("package/0", 12.0)]);
    assert!(open(&sys).findings().is_empty());
}

#[test]
fn psys_is_a_zone_beside_the_packages() {
    let sys = FakeSys::new()
        .zone("intel-rapl:0", "package-0", 1_000_000, Some(RANGE))
        .zone("intel-rapl:0:0", "core", 1_000_000, Some(RANGE))
        .zone("intel-rapl:0:1", "uncore", 1_000_000, Some(RANGE))
        .zone("intel-rapl:1", "psys", 1_000_000, Some(RANGE))
        .zone("intel-rapl:2", "psys-1", 7_000_000, Some(RANGE));
    let zones = [
        ("intel-rapl:0", 20.0),
        ("intel-rapl:0:0", 12.0),
        ("intel-rapl:1", 33.0),
        ("intel-rapl:2", 31.0),
    ];
    let expected = [
        ("package/0", 20.0),
        ("core/0", 12.0),
        ("uncore/0", 0.0),
        ("psys/0", 33.0),
        ("psys/1", 31.0),
    ];
    check_watts(&sys, &zones, &expected);
}

#[test]
fn disabled_zones_count_and_zones_without_a_counter_are_no_error() {
    let sys = FakeSys::new()
        .zone("intel-rapl:0", "package-0", 5, Some(RANGE))
        .write("class/powercap/intel-rapl:0/enabled", "0\n")
        .write("class/powercap/dtpm:0/name", "dtpm\n")
        .write("class/powercap/intel-rapl:1/name", "package-1\n")
        .write("class/powercap/intel-rapl/enabled", "1\n");
    let (readings, problems) = read_at(&mut open(&sys), 0);
    assert_eq!(series(&readings), ["package/0"]);
    assert_eq!(problems, [""; 0]);
}

#[test]
fn two_counters_of_one_name_are_two_series() {
    let sys = FakeSys::new()
        .zone("intel-rapl:0", "package-0", 5, Some(RANGE))
        .zone("intel-rapl:1", "package-0", 6, Some(RANGE));
    assert_eq!(names(&sys), ["package/0", "package/0-intel-rapl:1"]);
}

#[test]
fn the_ceiling_is_four_times_the_largest_limit_and_never_below_a_socket() {
    let sys = FakeSys::new()
        .zone("intel-rapl:0", "package-0", 5, Some(RANGE))
        .write(
            "class/powercap/intel-rapl:0/constraint_0_name",
            "long_term\n",
        )
        .write(
            "class/powercap/intel-rapl:0/constraint_0_max_power_uw",
            "350000000\n",
        )
        .write(
            "class/powercap/intel-rapl:0/constraint_0_power_limit_uw",
            "350000000\n",
        )
        .write(
            "class/powercap/intel-rapl:0/constraint_1_name",
            "short_term\n",
        )
        .write(
            "class/powercap/intel-rapl:0/constraint_1_max_power_uw",
            "0\n",
        )
        .write(
            "class/powercap/intel-rapl:0/constraint_1_power_limit_uw",
            "420000000\n",
        )
        .zone("intel-rapl:0:0", "dram", 5, Some(RANGE))
        .zone("intel-rapl:1", "package-1", 6, Some(RANGE))
        .write(
            "class/powercap/intel-rapl:1/constraint_0_name",
            "long_term\n",
        )
        .write(
            "class/powercap/intel-rapl:1/constraint_0_max_power_uw",
            "0\n",
        )
        .zone("intel-rapl:2", "psys", 6, Some(RANGE));
    let (readings, _) = read_at(&mut open(&sys), 0);
    let ceiling = |series| find(&readings, series).zone.ceiling;
    assert_eq!(ceiling("package/0"), Watts(1680.0));
    assert_eq!(ceiling("dram/0"), Watts(1680.0));
    assert_eq!(ceiling("package/1"), Watts(1000.0));
    assert_eq!(ceiling("psys/0"), Watts(5000.0));
}
