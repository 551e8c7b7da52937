//! Batteries of many kinds, each on a host of its own.

use super::*;
use crate::testing::{FakeSys, assert_watts, read_at, series, watts};

fn battery(sys: FakeSys, name: &str, files: &[(&str, &str)]) -> FakeSys {
    let directory = format!("class/power_supply/{name}");
    let sys = sys.write(&format!("{directory}/type"), "Battery\n");
    let sys = sys.write(&format!("{directory}/status"), "Discharging\n");
    files.iter().fold(sys, |sys, (file, text)| {
        sys.write(&format!("{directory}/{file}"), &format!("{text}\n"))
    })
}

fn open(sys: &FakeSys) -> Battery {
    Battery::open(sys.path()).unwrap()
}

#[track_caller]
fn check_watts(sys: &FakeSys, expected: f64) {
    let (readings, problems) = read_at(&mut open(sys), 0);
    assert_watts(watts(&readings, &readings, "battery/BAT0"), expected);
    assert_eq!(problems, [""; 0]);
}

#[test]
fn power_is_read_whatever_its_sign() {
    check_watts(
        &battery(
            FakeSys::new(),
            "BAT0",
            &[("power_now", "11250000"), ("current_now", "7")],
        ),
        11.25,
    );
    check_watts(
        &battery(FakeSys::new(), "BAT0", &[("power_now", "-11250000")]),
        11.25,
    );
}

#[test]
fn current_times_voltage_is_power() {
    let sys = battery(
        FakeSys::new(),
        "BAT0",
        &[("current_now", "-802000"), ("voltage_now", "15400000")],
    );
    check_watts(&sys, 12.3508);
}

#[test]
fn a_battery_that_does_not_discharge_is_absent_and_not_zero() {
    let sys = battery(FakeSys::new(), "BAT0", &[("power_now", "30000000")]);
    let mut meter = open(&sys);
    for status in ["Charging", "Full", "Not charging", "Unknown"] {
        sys.put("class/power_supply/BAT0/status", &format!("{status}\n"));
        assert_eq!(read_at(&mut meter, 0).0[0].value, ZoneValue::Absent);
    }
    sys.put("class/power_supply/BAT0/status", "Discharging\n");
    assert_eq!(read_at(&mut meter, 1).0[0].value, power(30.0));
}

#[test]
fn a_falling_store_is_a_counter_that_never_falls() {
    let sys = battery(FakeSys::new(), "BAT0", &[("energy_now", "50000000")]);
    let mut meter = open(&sys);
    let (before, _) = read_at(&mut meter, 0);
    // 0.25 Wh in 60 s are 15 W.
    sys.put("class/power_supply/BAT0/energy_now", "49750000\n");
    let (after, _) = read_at(&mut meter, 60);
    assert_watts(watts(&before, &after, "battery/BAT0"), 15.0);
    sys.put("class/power_supply/BAT0/status", "Charging\n");
    read_at(&mut meter, 120);
    sys.put("class/power_supply/BAT0/energy_now", "60000000\n");
    read_at(&mut meter, 180);
    // What a resting battery loses by itself is none of the host's consumption.
    sys.put("class/power_supply/BAT0/energy_now", "49000000\n");
    sys.put("class/power_supply/BAT0/status", "Discharging\n");
    assert_eq!(read_at(&mut meter, 240).0[0].value, after[0].value);
}

#[test]
fn a_falling_charge_is_energy_at_the_voltage_of_the_time() {
    let sys = battery(
        FakeSys::new(),
        "BAT0",
        &[("charge_now", "4000000"), ("voltage_now", "12000000")],
    );
    let mut meter = open(&sys);
    let (before, _) = read_at(&mut meter, 0);
    sys.put("class/power_supply/BAT0/charge_now", "3990000\n");
    let (after, _) = read_at(&mut meter, 36);
    assert_watts(watts(&before, &after, "battery/BAT0"), 12.0);
}

#[test]
fn a_power_that_cannot_be_read_gives_way_to_the_energy() {
    // /proc/self/mem answers EIO, as a driver that does not know the rate answers ENODEV.
    let sys = battery(FakeSys::new(), "BAT0", &[("energy_now", "50000000")])
        .link("class/power_supply/BAT0/power_now", "/proc/self/mem");
    assert!(matches!(
        read_at(&mut open(&sys), 0).0[0].value,
        ZoneValue::Energy {
            microjoules: 0,
            range: None
        }
    ));
}

#[test]
fn only_batteries_of_the_host_count_each_by_its_name() {
    let sys = battery(
        FakeSys::new(),
        "BAT0",
        &[("power_now", "5000000"), ("scope", "System")],
    );
    let sys = battery(sys, "BAT1", &[("power_now", "6000000")]);
    let sys = battery(sys, "hid-mouse", &[("power_now", "1"), ("scope", "Device")]);
    let sys = battery(sys, "BAT9", &[]).write("class/power_supply/AC/type", "Mains\n");
    let mut meter = open(&sys);
    assert_eq!(
        series(&read_at(&mut meter, 0).0),
        ["battery/BAT0", "battery/BAT1"]
    );
    sys.remove("class/power_supply/BAT0");
    meter.rediscover();
    assert_eq!(series(&read_at(&mut meter, 1).0), ["battery/BAT1"]);
}

#[test]
fn one_bad_battery_hides_no_other() {
    let sys = battery(FakeSys::new(), "BAT0", &[("power_now", "5000000")]);
    let sys = battery(sys, "BAT1", &[("power_now", "6000000")]);
    let mut meter = open(&sys);
    sys.put("class/power_supply/BAT0/power_now", "?\n");
    let (readings, problems) = read_at(&mut meter, 0);
    assert_eq!(readings[0].value, ZoneValue::Failed);
    assert_eq!(readings[1].value, power(6.0));
    assert!(
        problems[0].contains("BAT0/power_now: \"?\" is no number; "),
        "{problems:?}"
    );
}

#[test]
fn a_host_without_a_battery_is_unsupported() {
    let sys = FakeSys::new().write("class/power_supply/AC/type", "Mains\n");
    let reason = Battery::open(sys.path()).unwrap_err().reason;
    assert!(
        reason.contains("class/power_supply/*/type: no battery"),
        "{reason}"
    );
}

#[test]
fn a_gauge_of_whole_percents_loses_nothing() {
    // One percent of 60 Wh is 2160 J, which nobody draws in the second in which it falls.
    let sys = battery(FakeSys::new(), "BAT0", &[("energy_now", "60000000")]);
    let mut meter = open(&sys);
    let (before, _) = read_at(&mut meter, 0);
    sys.put("class/power_supply/BAT0/energy_now", "59400000\n");
    let (after, _) = read_at(&mut meter, 1);
    assert_watts(watts(&before, &after, "battery/BAT0"), 2160.0);
}
