//! Sensor chips of many kinds, each on a host of its own.

use super::*;
use crate::testing::{FakeSys, assert_watts, find, read_at, series, watts};

/// A chip whose files hold these values; `device` is where it is on its bus.
fn chip(
    sys: FakeSys,
    number: u32,
    name: &str,
    device: Option<&str>,
    files: &[(&str, &str)],
) -> FakeSys {
    let chip = format!("class/hwmon/hwmon{number}");
    let mut sys = sys.write(&format!("{chip}/name"), &format!("{name}\n"));
    if let Some(device) = device {
        sys = sys.link(&format!("{chip}/device"), &format!("../../../{device}"));
    }
    files.iter().fold(sys, |sys, (file, text)| {
        sys.write(&format!("{chip}/{file}"), &format!("{text}\n"))
    })
}

fn open(sys: &FakeSys, filter: &[&str]) -> Hwmon {
    let filter: Vec<String> = filter.iter().map(|word| (*word).to_owned()).collect();
    Hwmon::open(sys.path(), &filter).unwrap()
}

fn names(sys: &FakeSys, filter: &[&str]) -> Vec<String> {
    series(&read_at(&mut open(sys, filter), 0).0)
}

#[test]
fn two_sockets_of_one_label_are_two_zones_at_their_known_watts() {
    let files = [("energy1_input", "5000000"), ("energy1_label", "Esocket0")];
    let sys = chip(
        FakeSys::new(),
        1,
        "xgene_hwmon",
        Some("APMC0D29:00"),
        &files,
    );
    let sys = chip(sys, 2, "xgene_hwmon", Some("APMC0D29:01"), &files);
    let mut meter = open(&sys, &[]);
    let (before, _) = read_at(&mut meter, 0);
    sys.put("class/hwmon/hwmon1/energy1_input", "55000000");
    sys.put("class/hwmon/hwmon2/energy1_input", "75000000");
    let (after, problems) = read_at(&mut meter, 5);
    assert_eq!(
        series(&after),
        ["esocket0/APMC0D29:00", "esocket0/APMC0D29:01"]
    );
    assert_watts(watts(&before, &after, "esocket0/APMC0D29:00"), 10.0);
    assert_watts(watts(&before, &after, "esocket0/APMC0D29:01"), 14.0);
    assert_eq!(problems, [""; 0]);
}

#[test]
fn an_average_is_better_than_an_instant_and_says_so() {
    let files = [
        ("power1_average", "7500000"),
        ("power1_input", "9000000"),
        ("power2_input", "1250000"),
    ];
    let sys = chip(
        FakeSys::new(),
        0,
        "power_meter",
        Some("ACPI000D:00"),
        &files,
    );
    let (readings, _) = read_at(&mut open(&sys, &[]), 0);
    assert_eq!(
        series(&readings),
        [
            "power_meter_power1/ACPI000D:00",
            "power_meter_power2/ACPI000D:00"
        ]
    );
    assert_eq!(
        readings[0].value,
        ZoneValue::Power {
            power: Watts(7.5),
            is_average: true
        }
    );
    assert_eq!(
        readings[1].value,
        ZoneValue::Power {
            power: Watts(1.25),
            is_average: false
        }
    );
    assert_watts(
        watts(&readings, &readings, "power_meter_power1/ACPI000D:00"),
        7.5,
    );
}

#[test]
fn voltage_and_current_are_paired_by_label_else_by_number() {
    let files = [
        ("in1_input", "5000"),
        ("in1_label", "VDD IO"),
        ("in2_input", "12000"),
        ("in2_label", "VDD CPU"),
        ("in3_input", "1000"),
        ("curr1_input", "2500"),
        ("curr1_label", "VDD CPU"),
        ("curr3_input", "300"),
        ("curr4_input", "77"),
    ];
    let sys = chip(FakeSys::new(), 4, "ina3221", Some("1-0040"), &files);
    let (readings, _) = read_at(&mut open(&sys, &[]), 0);
    assert_eq!(
        series(&readings),
        ["vdd_cpu/1-0040", "ina3221_curr3/1-0040"]
    );
    assert_watts(watts(&readings, &readings, "vdd_cpu/1-0040"), 30.0);
    assert_watts(watts(&readings, &readings, "ina3221_curr3/1-0040"), 0.3);
}

#[test]
fn a_chip_is_read_by_its_best_kind_only() {
    let files = [
        ("energy1_input", "5"),
        ("power1_input", "6"),
        ("in1_input", "7"),
        ("curr1_input", "8"),
    ];
    let sys = chip(FakeSys::new(), 0, "multi", None, &files);
    assert_eq!(names(&sys, &[]), ["multi_energy1/hwmon0"]);
    sys.put("class/hwmon/hwmon0/energy1_enable", "0\n");
    assert_eq!(names(&sys, &[]), ["multi_power1/hwmon0"]);
    sys.put("class/hwmon/hwmon0/power1_enable", "0\n");
    assert_eq!(names(&sys, &[]), ["multi_curr1/hwmon0"]);
    sys.put("class/hwmon/hwmon0/in1_enable", "0\n");
    assert!(Hwmon::open(sys.path(), &[]).is_err());
}

#[test]
fn batteries_adapters_and_their_supplies_are_no_consumption() {
    let files = [("power1_input", "6000000")];
    let sys = chip(FakeSys::new(), 0, "BAT0", None, &files);
    let sys = chip(sys, 1, "ADP1", None, &files);
    let sys = chip(sys, 2, "AC", None, &files);
    let sys = chip(sys, 3, "ucsi_source_psy_USBC000:001", None, &files);
    let sys = chip(sys, 4, "cw2015", Some("cw2015-battery"), &files)
        .write("class/power_supply/cw2015-battery/type", "Battery\n");
    let reason = Hwmon::open(sys.path(), &[]).unwrap_err().reason;
    assert!(
        reason.contains("class/hwmon/*: no power sensor; "),
        "{reason}"
    );
    assert!(Hwmon::open(sys.path(), &["BAT0".into()]).is_err());
}

#[test]
fn graphics_and_networks_are_read_only_where_they_are_named() {
    let sys = chip(
        FakeSys::new(),
        0,
        "amdgpu",
        Some("0000:03:00.0"),
        &[("power1_average", "33000000"), ("power1_label", "PPT")],
    );
    let sys = chip(sys, 1, "iwlwifi_1", None, &[("power1_input", "5")]);
    let sys = chip(
        sys,
        2,
        "ibmpowernv",
        None,
        &[("power1_input", "90000000"), ("power1_label", "System")],
    );
    assert_eq!(names(&sys, &[]), ["system/hwmon2"]);
    assert_eq!(
        names(&sys, &["amdgpu", "system"]),
        ["ppt/0000:03:00.0", "system/hwmon2"]
    );
    assert_eq!(names(&sys, &["PPT"]), ["ppt/0000:03:00.0"]);
    let error = Hwmon::open(sys.path(), &["fan".into()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "hwmon: no zone is called fan; this host has system"
    );
}

#[test]
fn cores_that_are_shown_beside_their_socket_count_only_by_name() {
    let files = [
        ("energy1_input", "5"),
        ("energy1_label", "Ecore000"),
        ("energy2_input", "9"),
        ("energy2_label", "Esocket0"),
    ];
    let sys = chip(FakeSys::new(), 0, "amd_energy", None, &files);
    assert_eq!(names(&sys, &[]), ["esocket0/hwmon0"]);
    assert_eq!(names(&sys, &["ecore000"]), ["ecore000/hwmon0"]);
}

#[test]
fn what_place_and_label_do_not_tell_apart_the_chip_and_the_channel_do() {
    let files = [
        ("power1_input", "1"),
        ("power1_label", "Rail"),
        ("power2_input", "2"),
        ("power2_label", "Rail"),
    ];
    let sys = chip(FakeSys::new(), 7, "a", Some("platform"), &files[..2]);
    let sys = chip(sys, 10, "b", Some("platform"), &files[..2]);
    assert_eq!(
        names(&sys, &[]),
        ["rail/platform-hwmon7", "rail/platform-hwmon10"]
    );
    let sys = chip(FakeSys::new(), 3, "a", None, &files);
    assert_eq!(
        names(&sys, &[]),
        ["rail/hwmon3-power1", "rail/hwmon3-power2"]
    );
}

#[test]
fn a_rail_that_feeds_consumes_nothing_and_is_no_zero() {
    let sys = chip(
        FakeSys::new(),
        0,
        "ina226",
        None,
        &[("in1_input", "12000"), ("curr1_input", "-20")],
    );
    assert_eq!(
        read_at(&mut open(&sys, &[]), 0).0[0].value,
        ZoneValue::Absent
    );
}

#[test]
fn one_bad_sensor_hides_no_other_and_one_that_went_away_is_dropped() {
    let sys = chip(FakeSys::new(), 0, "a", None, &[("power1_input", "5")]);
    let sys = chip(sys, 1, "b", None, &[("power1_input", "6000000")]);
    let mut meter = open(&sys, &[]);
    sys.put("class/hwmon/hwmon0/power1_input", "garbage");
    let (readings, problems) = read_at(&mut meter, 1);
    assert_eq!(find(&readings, "a_power1/hwmon0").value, ZoneValue::Failed);
    assert_eq!(
        find(&readings, "b_power1/hwmon1").value,
        ZoneValue::Power {
            power: Watts(6.0),
            is_average: false
        }
    );
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].contains("hwmon0/power1_input: \"garbage\" is no number; "),
        "{}",
        problems[0]
    );
    sys.remove("class/hwmon/hwmon0");
    assert_eq!(read_at(&mut meter, 2).0.len(), 2);
    assert_eq!(series(&read_at(&mut meter, 3).0), ["b_power1/hwmon1"]);
    sys.remove("class/hwmon/hwmon1");
    meter.rediscover();
    let (readings, problems) = read_at(&mut meter, 4);
    assert!(
        readings.is_empty() && problems[0].contains("all sensors went away"),
        "{problems:?}"
    );
}

#[test]
fn a_host_without_the_class_is_unsupported() {
    let sys = FakeSys::new();
    let reason = Hwmon::open(sys.path(), &[]).unwrap_err().reason;
    assert!(
        reason.starts_with(&format!(
            "read {}: No such file",
            sys.at("class/hwmon").display()
        )),
        "{reason}"
    );
}
