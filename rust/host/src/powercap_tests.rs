//! Reading the energy counters of hosts where something is wrong.

use rustix::io::Errno;

use super::*;
use crate::sensor_file::Trouble;
use crate::testing::{FakeSys, find, read_at, series, two_sockets};

const RANGE: u64 = 262_143_328_850;

fn open(sys: &FakeSys) -> Powercap {
    Powercap::open(sys.path(), &[]).unwrap()
}

#[test]
fn the_filter_takes_classes_in_any_case() {
    let meter = &mut Powercap::open(two_sockets().path(), &["DRAM".into()]).unwrap();
    assert_eq!(
        meter
            .counters
            .iter()
            .map(|counter| counter.zone.class.as_str())
            .collect::<Vec<_>>(),
        ["dram", "dram"]
    );
    let error = Powercap::open(two_sockets().path(), &["psys".into()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rapl: no zone is called psys; this host has dram, package"
    );
}

#[test]
fn a_host_without_counters_is_unsupported_and_the_place_is_named() {
    let sys = FakeSys::new();
    let reason = Powercap::open(sys.path(), &[]).unwrap_err().reason;
    assert!(
        reason.starts_with(&format!(
            "read {}: No such file",
            sys.at("class/powercap").display()
        )),
        "{reason}"
    );
    let sys = sys.write("class/powercap/intel-rapl/enabled", "1");
    let reason = Powercap::open(sys.path(), &[]).unwrap_err().reason;
    assert!(
        reason.contains("intel-rapl:*: no energy counter; "),
        "{reason}"
    );
    assert!(!has_counters(sys.path()) && has_counters(two_sockets().path()));
}

#[test]
fn one_bad_zone_hides_no_other_and_comes_back() {
    let sys = two_sockets();
    let mut meter = open(&sys);
    sys.put("class/powercap/intel-rapl:0/energy_uj", "");
    let (readings, problems) = read_at(&mut meter, 1);
    assert_eq!(find(&readings, "package/1").value, ZoneValue::Failed);
    assert_eq!(
        find(&readings, "dram/1").value,
        ZoneValue::Energy {
            microjoules: 1_000,
            range: Some(65_712_999_613)
        }
    );
    assert_eq!(problems.len(), 1);
    let path = sys.at("class/powercap/intel-rapl:0/energy_uj");
    assert!(
        problems[0].starts_with(&format!("read {}: \"\" is no number; ", path.display())),
        "{}",
        problems[0]
    );
    assert_eq!(read_at(&mut meter, 2).1, problems);
    sys.set_energy("intel-rapl:0", 7);
    let (readings, problems) = read_at(&mut meter, 3);
    assert_eq!(
        find(&readings, "package/1").value,
        ZoneValue::Energy {
            microjoules: 7,
            range: Some(RANGE)
        }
    );
    assert_eq!(problems, [""; 0]);
}

#[test]
fn an_error_of_the_kernel_is_told_in_its_words() {
    // The memory of this process cannot be read at address 0: a real EIO.
    let sys = two_sockets();
    std::fs::remove_file(sys.at("class/powercap/intel-rapl:0/energy_uj")).unwrap();
    let sys = sys.link("class/powercap/intel-rapl:0/energy_uj", "/proc/self/mem");
    let (readings, problems) = read_at(&mut open(&sys), 1);
    assert_eq!(
        readings
            .iter()
            .filter(|reading| reading.value == ZoneValue::Failed)
            .count(),
        1
    );
    assert!(
        problems[0].contains("energy_uj: Input/output error (os error 5); "),
        "{}",
        problems[0]
    );
}

#[test]
fn a_zone_that_went_away_is_dropped_and_taken_again_when_it_comes_back() {
    let sys = two_sockets();
    let mut meter = open(&sys);
    sys.remove("class/powercap/intel-rapl:0");
    sys.remove("class/powercap/intel-rapl:0:0");
    meter.rediscover();
    assert_eq!(series(&read_at(&mut meter, 1).0), ["package/0", "dram/0"]);
    let sys = sys.zone("intel-rapl:0", "package-1", 42, Some(RANGE));
    meter.rediscover();
    let (readings, _) = read_at(&mut meter, 2);
    assert_eq!(series(&readings), ["package/1", "package/0", "dram/0"]);
    assert_eq!(
        find(&readings, "package/1").value,
        ZoneValue::Energy {
            microjoules: 42,
            range: Some(RANGE)
        }
    );
    drop(sys);
}

#[test]
fn a_zone_that_fails_with_no_such_device_is_looked_for_at_the_next_reading() {
    assert!(Trouble::Refused(Errno::NODEV).is_gone());
    let sys = two_sockets();
    let mut meter = open(&sys);
    std::fs::remove_file(sys.at("class/powercap/intel-rapl:1/energy_uj")).unwrap();
    meter.counters[2].energy.close_if_replaced();
    let (readings, problems) = read_at(&mut meter, 1);
    assert_eq!(find(&readings, "package/0").value, ZoneValue::Failed);
    assert!(problems[0].ends_with(
        "No such file or directory (os error 2); the zone went away: it is looked for again"
    ));
    assert_eq!(
        series(&read_at(&mut meter, 2).0),
        ["package/1", "dram/1", "dram/0"]
    );
}

#[test]
fn when_all_zones_went_away_that_is_a_problem_and_no_silence() {
    let sys = two_sockets();
    let mut meter = open(&sys);
    sys.remove("class/powercap");
    meter.rediscover();
    let (readings, problems) = read_at(&mut meter, 1);
    assert!(readings.is_empty());
    assert!(
        problems[0].ends_with("class/powercap: all zones went away; they are looked for again"),
        "{problems:?}"
    );
    let sys = sys.zone("intel-rapl:0", "package-0", 3, Some(RANGE));
    assert_eq!(series(&read_at(&mut meter, 2).0), ["package/0"]);
    drop(sys);
}

#[test]
fn a_driver_that_was_loaded_again_is_read_anew() {
    let sys = two_sockets();
    let mut meter = open(&sys);
    read_at(&mut meter, 1);
    sys.remove("class/powercap/intel-rapl:0");
    let sys = sys.zone("intel-rapl:0", "package-1", 42, Some(RANGE));
    meter.rediscover();
    let value = find(&read_at(&mut meter, 2).0, "package/1").value;
    assert_eq!(
        value,
        ZoneValue::Energy {
            microjoules: 42,
            range: Some(RANGE)
        }
    );
    drop(sys);
}

#[test]
fn a_range_that_cannot_be_read_is_unknown_and_said_once() {
    let sys = two_sockets();
    std::fs::remove_file(sys.at("class/powercap/intel-rapl:0/max_energy_range_uj")).unwrap();
    sys.put("class/powercap/intel-rapl:1/max_energy_range_uj", "0\n");
    let mut meter = open(&sys);
    let (readings, problems) = read_at(&mut meter, 1);
    assert!(matches!(
        find(&readings, "package/1").value,
        ZoneValue::Energy { range: None, .. }
    ));
    assert!(matches!(
        find(&readings, "package/0").value,
        ZoneValue::Energy { range: None, .. }
    ));
    assert!(matches!(
        find(&readings, "dram/0").value,
        ZoneValue::Energy { range: Some(_), .. }
    ));
    assert_eq!(problems.len(), 2);
    assert!(
        problems[0].contains("max_energy_range_uj: No such file"),
        "{}",
        problems[0]
    );
    meter.rediscover();
    assert_eq!(read_at(&mut meter, 2).1, [""; 0]);
    sys.put(
        "class/powercap/intel-rapl:0/max_energy_range_uj",
        "262143328850\n",
    );
    meter.rediscover();
    assert!(matches!(
        find(&read_at(&mut meter, 3).0, "package/1").value,
        ZoneValue::Energy {
            range: Some(RANGE),
            ..
        }
    ));
}

#[test]
fn counters_that_only_root_may_read_are_unsupported_and_the_fix_is_named() {
    use std::os::unix::fs::PermissionsExt;

    let sys = FakeSys::new().zone("intel-rapl:0", "package-0", 5, Some(RANGE));
    let energy = sys.at("class/powercap/intel-rapl:0/energy_uj");
    std::fs::set_permissions(sys.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&energy, PermissionsExt::from_mode(0o000)).unwrap();
    let error = crate::testing::as_nobody(|| Powercap::open(sys.path(), &[]).unwrap_err());
    assert_eq!(
        error.to_string(),
        format!(
            "rapl: read {}: Permission denied (os error 13); run as root or let group jouled read it",
            energy.display()
        )
    );
    // One readable zone is a meter: the other is a problem, not the end.
    let sys = sys.zone("intel-rapl:1", "package-1", 5, Some(RANGE));
    let (readings, problems) = crate::testing::as_nobody(|| read_at(&mut open(&sys), 0));
    assert_eq!(find(&readings, "package/0").value, ZoneValue::Failed);
    assert_eq!(problems.len(), 1);
}
