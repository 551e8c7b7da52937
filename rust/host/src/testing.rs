//! Written hosts for the tests of the meters: a `/sys` in a temporary directory.

use std::path::{Path, PathBuf};

use jouled_core::counter::Step;
use jouled_core::units::{Nanos, Watts};
use jouled_core::zone::{ZoneReading, ZoneValue};
use tempfile::TempDir;

use crate::meter::Meter;

/// A directory in the shape of `/sys` (or `/proc`). Files are written in place: the attributes of
/// the real one keep their inode.
pub(crate) struct FakeSys(TempDir);

impl FakeSys {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn at(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    pub(crate) fn write(self, relative: &str, text: &str) -> Self {
        self.put(relative, text);
        self
    }

    pub(crate) fn put(&self, relative: &str, text: &str) {
        let path = self.at(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn link(self, relative: &str, target: &str) -> Self {
        let path = self.at(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }

    /// A powercap zone.
    pub(crate) fn zone(self, id: &str, name: &str, microjoules: u64, range: Option<u64>) -> Self {
        let zone = format!("class/powercap/{id}");
        let fake = self
            .write(&format!("{zone}/name"), &format!("{name}\n"))
            .write(&format!("{zone}/energy_uj"), &format!("{microjoules}\n"));
        match range {
            Some(range) => fake.write(
                &format!("{zone}/max_energy_range_uj"),
                &format!("{range}\n"),
            ),
            None => fake,
        }
    }

    /// Limits of a powercap zone, in watts, as `name=limit/made-for`: `"long_term=125/125"`.
    pub(crate) fn limits(self, id: &str, enabled: bool, limits: &[&str]) -> Self {
        let zone = format!("class/powercap/{id}");
        self.put(
            &format!("{zone}/enabled"),
            if enabled { "1\n" } else { "0\n" },
        );
        for (number, limit) in limits.iter().enumerate() {
            let (name, powers) = limit.split_once('=').unwrap();
            let (power, most) = powers.split_once('/').unwrap();
            let window = if name == "peak_power" { 0 } else { 27_983_872 };
            let put = |attribute: &str, text: &str| {
                let path = format!("{zone}/constraint_{number}_{attribute}");
                self.put(&path, &format!("{text}\n"));
            };
            put("name", name);
            put("power_limit_uw", &format!("{power}000000"));
            put("max_power_uw", &format!("{most}000000"));
            put("time_window_us", &window.to_string());
        }
        self
    }

    pub(crate) fn text(&self, relative: &str) -> String {
        std::fs::read_to_string(self.at(relative)).unwrap()
    }

    pub(crate) fn set_energy(&self, id: &str, microjoules: u64) {
        self.put(
            &format!("class/powercap/{id}/energy_uj"),
            &format!("{microjoules}\n"),
        );
    }

    pub(crate) fn energy(&self, id: &str) -> u64 {
        let text =
            std::fs::read_to_string(self.at(&format!("class/powercap/{id}/energy_uj"))).unwrap();
        text.trim().parse().unwrap()
    }

    /// Lets a powercap counter draw `watts` for `seconds`, around the end of its range.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // positive and small
    pub(crate) fn draw(&self, id: &str, watts: f64, seconds: f64) {
        let range =
            std::fs::read_to_string(self.at(&format!("class/powercap/{id}/max_energy_range_uj")));
        let modulus = range.map_or(u64::MAX, |text| text.trim().parse::<u64>().unwrap() + 1);
        let grown = self.energy(id) + (watts * seconds * 1e6).round() as u64;
        self.set_energy(id, grown % modulus);
    }

    pub(crate) fn remove(&self, relative: &str) {
        std::fs::remove_dir_all(self.at(relative)).unwrap();
    }
}

/// The range of a real server's package counter.
const PACKAGE_RANGE: u64 = 262_143_328_850;

/// Two sockets whose zones are not in the order of the sockets.
pub(crate) fn two_sockets() -> FakeSys {
    FakeSys::new()
        .zone(
            "intel-rapl:0",
            "package-1",
            PACKAGE_RANGE - 100_000_000,
            Some(PACKAGE_RANGE),
        )
        .zone("intel-rapl:0:0", "dram", 1_000, Some(65_712_999_613))
        .zone("intel-rapl:1", "package-0", 5_000_000, Some(PACKAGE_RANGE))
        .zone("intel-rapl:1:0", "dram", 2_000, Some(65_712_999_613))
}

/// One reading of a meter at a clock that stands still.
pub(crate) fn read_at(meter: &mut dyn Meter, seconds: u64) -> (Vec<ZoneReading>, Vec<String>) {
    let (mut readings, mut problems) = (Vec::new(), Vec::new());
    meter.read(&|| Nanos::from_secs(seconds), &mut readings, &mut problems);
    (readings, problems)
}

/// `class/index` of every reading, in order.
pub(crate) fn series(readings: &[ZoneReading]) -> Vec<String> {
    readings
        .iter()
        .map(|reading| format!("{}/{}", reading.zone.class, reading.zone.index))
        .collect()
}

/// The reading of one series.
pub(crate) fn find<'a>(readings: &'a [ZoneReading], series: &str) -> &'a ZoneReading {
    let is_it =
        |reading: &&ZoneReading| format!("{}/{}", reading.zone.class, reading.zone.index) == series;
    readings
        .iter()
        .find(is_it)
        .unwrap_or_else(|| panic!("no {series} in {:?}", self::series(readings)))
}

/// The mean watts of one series between two readings, as the ledger would have them.
pub(crate) fn watts(before: &[ZoneReading], after: &[ZoneReading], series: &str) -> f64 {
    let (a, b) = (find(before, series), find(after, series));
    match (a.value, b.value) {
        (
            ZoneValue::Energy {
                microjoules: last, ..
            },
            ZoneValue::Energy { microjoules, range },
        ) => {
            let span = b.at.since(a.at);
            match Step::between(last, microjoules, range, span, b.zone.ceiling) {
                Step::Grew(energy) | Step::Wrapped(energy) => energy.over(span).unwrap().0,
                step => panic!("{series}: {step:?}"),
            }
        }
        (
            _,
            ZoneValue::Power {
                power: Watts(watts),
                ..
            },
        ) => watts,
        values => panic!("{series}: {values:?}"),
    }
}

/// Fails unless `found` is within 0.1 % of `expected`.
#[track_caller]
pub(crate) fn assert_watts(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= expected.abs() * 1e-3,
        "{found} W is not {expected} W"
    );
}

/// Runs `work` on a thread without root's right to read everything.
pub(crate) fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // Only root can: whoever else runs the tests has no such right to lose.
            let _ = rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534));
            work()
        });
        thread.join().unwrap()
    })
}
