//! Counters on written hosts: what is added up, and what is not known.

use super::*;
use crate::fake::{Fake, FakeZone};
use crate::meters::{self, MeterOptions, MeterWord};
use crate::root::Root;
use crate::testing::FakeSys;

const STAT: &str = "cpu  100 0 0 900 0 0 0 0 0 0\ncpu0 50 0 0 450\ncpu1 50 0 0 450\nintr 5\n";

fn open(sys: &FakeSys, word: MeterWord) -> Counters {
    let options = MeterOptions {
        words: vec![word],
        estimate_idle_w: Some(1.0),
        estimate_max_w: Some(5.0),
        ..MeterOptions::default()
    };
    let root = Root::at(sys.path(), sys.path());
    let opened = meters::open(&root, &options).map_err(|tried| tried[0].to_string());
    Counters::open(sys.path(), opened.unwrap().meter)
}

fn fake(zones: &[&str]) -> Counters {
    let zones = zones.iter().map(|zone| FakeZone::parse(zone).unwrap());
    Counters::open(Path::new("/proc"), Box::new(Fake::new(zones.collect(), 7)))
}

fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(5));
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= expected.abs() * 1e-3 + 2e-6
}

#[test]
fn joules_grow_by_the_power_of_the_time_between_reads() {
    let mut counters = fake(&["package:0=400W", "dram:0=5W"]);
    let first = counters.read(false);
    assert!(first.zones.iter().all(|zone| zone.joules == Joules(0.0)));
    assert_eq!((first.load, first.zones.len()), (None, 2));
    for _ in 0..6 {
        pause();
        let now = counters.read(false);
        for (zone, watts) in [(0, 400.0), (1, 5.0)] {
            let (a, b) = (&first.zones[zone], &now.zones[zone]);
            let expected = watts * b.at.since(a.at).seconds();
            assert!(near(b.joules.0, expected), "{b:?} is not {expected} J");
            assert_eq!((b.gaps, b.kind), (0, Kind::Counter));
        }
    }
    assert!(near(counters.read(false).zones[1].power.unwrap().0, 5.0));
}

#[test]
fn a_counter_that_passes_the_end_of_its_range_goes_on() {
    let sys = FakeSys::new().zone("intel-rapl:0", "package-0", 9_000_000, Some(9_999_999));
    let mut counters = open(&sys, MeterWord::Rapl);
    counters.read(false);
    pause();
    sys.set_energy("intel-rapl:0", 500_000);
    let now = counters.read(false);
    assert_eq!((now.zones[0].joules, now.zones[0].gaps), (Joules(1.5), 0));
}

#[test]
fn power_is_the_mean_of_a_tenth_of_a_second_however_often_is_read() {
    let sys = FakeSys::new().zone("intel-rapl:0", "package-0", 0, Some(u64::MAX));
    let mut counters = open(&sys, MeterWord::Rapl);
    assert_eq!(counters.read(false).zones[0].power, None);
    std::thread::sleep(std::time::Duration::from_millis(110));
    sys.set_energy("intel-rapl:0", 1_000_000);
    let mean = counters.read(false).zones[0].power.unwrap().0;
    assert!(mean > 0.0 && mean < 9.1, "{mean}");
    let again = counters.read(false).zones[0].power.unwrap().0;
    assert!(
        (again - mean).abs() < 0.2 * mean,
        "a counter that has not moved yet: {again}"
    );
}

#[test]
fn what_could_not_be_read_is_a_gap_and_never_energy() {
    let sys = FakeSys::new().zone("intel-rapl:0", "package-0", 1_000_000, Some(10_000_000));
    let mut counters = open(&sys, MeterWord::Rapl);
    counters.read(false);
    pause();
    sys.put("class/powercap/intel-rapl:0/energy_uj", "nonsense\n");
    let failed = counters.read(false);
    assert_eq!(
        (failed.zones[0].gaps, failed.zones[0].joules),
        (1, Joules(0.0))
    );
    assert_eq!(failed.problems.len(), 1);
    pause();
    sys.set_energy("intel-rapl:0", 3_000_000);
    let baseline = counters.read(false);
    assert_eq!(
        (baseline.zones[0].gaps, baseline.zones[0].joules),
        (2, Joules(0.0))
    );
    assert_eq!(baseline.problems, [""; 0]);
    pause();
    sys.set_energy("intel-rapl:0", 3_500_000);
    let good = counters.read(false);
    assert_eq!((good.zones[0].gaps, good.zones[0].joules), (2, Joules(0.5)));
}

#[test]
fn a_model_follows_the_load_and_the_load_is_read_where_it_is_asked_for() {
    let sys = FakeSys::new()
        .write("cpuinfo", "processor\t: 0\n\nprocessor\t: 1\n")
        .write("stat", STAT);
    let mut counters = open(&sys, MeterWord::Estimate);
    let first = counters.read(false);
    assert_eq!(first.zones[0].kind, Kind::Model);
    assert_eq!(first.load, Some(Load::default()));
    std::thread::sleep(std::time::Duration::from_millis(50));
    // One of the two CPUs was busy for 20 ms.
    sys.put("stat", &STAT.replace("cpu  100", "cpu  102"));
    let now = counters.read(false);
    let span = now.zones[0].at.since(first.zones[0].at).seconds();
    let load = now.load.unwrap();
    assert_eq!(load.busy, Nanos(20_000_000));
    // 2 CPUs at 1 W idle, 5 W busy: 4 W more for each second of one CPU.
    let expected = 2.0 * span + 4.0 * 0.02;
    let found = now.zones[0].joules.0;
    assert!(
        (found - expected).abs() < expected * 0.02,
        "{found} is not {expected} J"
    );
}

#[test]
fn the_work_that_a_clock_tick_books_late_is_not_lost_to_many_short_reads() {
    let sys = FakeSys::new()
        .write("cpuinfo", "processor\t: 0\n\nprocessor\t: 1\n")
        .write("stat", STAT);
    let mut counters = open(&sys, MeterWord::Estimate);
    counters.read(false);
    sys.put("stat", &STAT.replace("cpu  100", "cpu  101"));
    let now = counters.read(false);
    assert_eq!(
        now.load.unwrap().busy,
        Nanos(10_000_000),
        "in a span far shorter than a tick"
    );
    assert!(
        now.zones[0].joules.0 >= 4.0 * 0.01,
        "{:?}",
        now.zones[0].joules
    );
}

#[test]
fn at_an_edge_the_counter_has_just_moved() {
    let mut counters = fake(&["dram:0=5W", "package:0=40W"]);
    let reading = counters.read_at_edge(Nanos(5_000_000), false);
    let edges: Vec<bool> = reading.zones.iter().map(|zone| zone.is_edge).collect();
    assert_eq!(edges, [false, true]);
    let plain = counters.read(false);
    assert!(plain.zones.iter().all(|zone| !zone.is_edge));
}

#[test]
fn a_counter_that_stands_still_is_waited_for_no_longer_than_the_limit() {
    let sys = FakeSys::new().zone("intel-rapl:0", "package-0", 0, Some(u64::MAX));
    let mut counters = open(&sys, MeterWord::Rapl);
    let before = clock(ClockId::Monotonic);
    let reading = counters.read_at_edge(Nanos(3_000_000), false);
    assert!(!reading.zones[0].is_edge);
    assert!(reading.at.since(before).0 >= 3_000_000);
}
