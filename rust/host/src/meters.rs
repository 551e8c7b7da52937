//! Which meter a host gets: the first of the wanted ones that works.

use std::str::FromStr;

use crate::battery::Battery;
use crate::error::Unsupported;
use crate::estimate::Estimate;
use crate::fake::{Fake, FakeZone};
use crate::hwmon::Hwmon;
use crate::meter::Meter;
use crate::powercap::{self, Powercap};
use crate::root::Root;
use crate::zone_filter::ZoneFilter;

/// A word of `--meter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterWord {
    /// The best that the host has: rapl, hwmon, battery, estimate, in this order.
    Auto,
    /// [`Powercap`].
    Rapl,
    /// [`Hwmon`].
    Hwmon,
    /// [`Battery`].
    Battery,
    /// [`Estimate`].
    Estimate,
    /// [`Fake`].
    Fake,
}

impl MeterWord {
    const ALL: [Self; 6] = [
        Self::Auto,
        Self::Rapl,
        Self::Hwmon,
        Self::Battery,
        Self::Estimate,
        Self::Fake,
    ];
    const AUTO: [Self; 4] = [Self::Rapl, Self::Hwmon, Self::Battery, Self::Estimate];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rapl => "rapl",
            Self::Hwmon => "hwmon",
            Self::Battery => "battery",
            Self::Estimate => "estimate",
            Self::Fake => "fake",
        }
    }
}

impl FromStr for MeterWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|word| word.as_str() == text);
        known.ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str).join(", ");
            format!("meter {text:?} is not known; use one of {words}")
        })
    }
}

/// What the operator asked for.
#[derive(Clone, Debug, Default)]
pub struct MeterOptions {
    /// The meters to try, in this order; empty is [`MeterWord::Auto`].
    pub words: Vec<MeterWord>,
    /// The zone classes to read; empty is all of them.
    pub zones: Vec<String>,
    /// The operator's own idle watts per logical CPU.
    pub estimate_idle_w: Option<f64>,
    /// The operator's own watts of a busy logical CPU.
    pub estimate_max_w: Option<f64>,
    /// The zones of the fake meter; empty is [`FakeZone::usual`].
    pub fake_zones: Vec<FakeZone>,
    /// Where the fake meter's counters start.
    pub fake_seed: u64,
}

/// A meter that works, and what to say about it once.
pub struct Opened {
    /// The meter.
    pub meter: Box<dyn Meter>,
    /// Why meters before it were passed over, what was left out of it, and whether it is a model.
    pub notices: Vec<String>,
}

/// Opens the first meter that works; where none does, why not, each.
pub fn open(root: &Root, options: &MeterOptions) -> Result<Opened, Vec<Unsupported>> {
    let mut notices = Vec::new();
    let mut refusals = Vec::new();
    for (word, is_asked) in candidates(&options.words) {
        match open_one(word, root, options) {
            Ok(opened) => {
                notices.extend(opened.notices);
                return Ok(Opened {
                    meter: opened.meter,
                    notices,
                });
            }
            Err(refusal) => {
                // A host without sensors is no news to its operator, counters that are there and
                // may not be read are.
                if is_asked || (word == MeterWord::Rapl && powercap::has_counters(&root.sys)) {
                    notices.push(refusal.to_string());
                }
                refusals.push(refusal);
            }
        }
    }
    Err(refusals)
}

/// The meters to try, each once, and whether the operator named it.
fn candidates(words: &[MeterWord]) -> Vec<(MeterWord, bool)> {
    let mut candidates: Vec<(MeterWord, bool)> = Vec::new();
    let words = if words.is_empty() {
        &[MeterWord::Auto]
    } else {
        words
    };
    for word in words {
        let (expanded, is_asked) = match word {
            MeterWord::Auto => (&MeterWord::AUTO[..], false),
            word => (std::slice::from_ref(word), true),
        };
        for word in expanded {
            if candidates.iter().all(|(known, _)| known != word) {
                candidates.push((*word, is_asked));
            }
        }
    }
    candidates
}

fn open_one(word: MeterWord, root: &Root, options: &MeterOptions) -> Result<Opened, Unsupported> {
    let filter = ZoneFilter::new(&options.zones);
    let (meter, notices): (Box<dyn Meter>, Vec<String>) = match word {
        MeterWord::Rapl => {
            let meter = Powercap::open(&root.sys, &options.zones)?;
            let notices = meter.findings().to_vec();
            (Box::new(meter), notices)
        }
        MeterWord::Hwmon => (
            Box::new(Hwmon::open(&root.sys, &options.zones)?),
            Vec::new(),
        ),
        MeterWord::Battery => {
            let meter = Battery::open(&root.sys)?;
            admit(&filter, "battery", "battery")?;
            (Box::new(meter), Vec::new())
        }
        MeterWord::Estimate => {
            let meter =
                Estimate::open(&root.proc, options.estimate_idle_w, options.estimate_max_w)?;
            admit(&filter, "estimate", "package")?;
            let notices = vec![meter.description()];
            (Box::new(meter), notices)
        }
        MeterWord::Fake => (Box::new(open_fake(options, &filter)?), Vec::new()),
        // Expanded before: it is no meter.
        MeterWord::Auto => {
            return Err(Unsupported {
                meter: "auto",
                reason: "no meter works".into(),
            });
        }
    };
    Ok(Opened { meter, notices })
}

fn admit(filter: &ZoneFilter, meter: &'static str, class: &str) -> Result<(), Unsupported> {
    if filter.admits(class) {
        Ok(())
    } else {
        Err(filter.nothing_left(meter, [class]))
    }
}

fn open_fake(options: &MeterOptions, filter: &ZoneFilter) -> Result<Fake, Unsupported> {
    let all = if options.fake_zones.is_empty() {
        FakeZone::usual()
    } else {
        options.fake_zones.clone()
    };
    for (number, zone) in all.iter().enumerate() {
        let is_same = |other: &FakeZone| other.class == zone.class && other.index == zone.index;
        if all[..number].iter().any(is_same) {
            let reason = format!(
                "zone {}:{} is given twice; give each its own index",
                zone.class, zone.index
            );
            return Err(Unsupported {
                meter: "fake",
                reason,
            });
        }
    }
    let wanted: Vec<FakeZone> = all
        .iter()
        .filter(|zone| filter.admits(&zone.class))
        .cloned()
        .collect();
    if wanted.is_empty() {
        return Err(filter.nothing_left("fake", all.iter().map(|zone| zone.class.as_str())));
    }
    Ok(Fake::new(wanted, options.fake_seed))
}

#[cfg(test)]
mod tests {
    use jouled_core::zone::Source;

    use super::*;
    use crate::testing::{FakeSys, read_at, series};

    const CPUINFO: &str =
        "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\n";

    /// A host whose `/proc` and `/sys` are one directory.
    fn open_at(
        sys: &FakeSys,
        words: &[MeterWord],
        zones: &[&str],
    ) -> Result<Opened, Vec<Unsupported>> {
        let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
        let options = MeterOptions {
            words: words.to_vec(),
            zones,
            ..MeterOptions::default()
        };
        open(&Root::at(sys.path(), sys.path()), &options)
    }

    fn source(sys: &FakeSys) -> Source {
        open_at(sys, &[], &[])
            .map_err(|refusals| refusals[0].to_string())
            .unwrap()
            .meter
            .source()
    }

    #[test]
    fn words_are_read_and_others_are_answered_with_the_known_ones() {
        for word in MeterWord::ALL {
            assert_eq!(word.as_str().parse(), Ok(word));
        }
        let error = "msr".parse::<MeterWord>().unwrap_err();
        assert_eq!(
            error,
            "meter \"msr\" is not known; use one of auto, rapl, hwmon, battery, estimate, fake"
        );
    }

    #[test]
    fn auto_takes_the_best_that_the_host_has() {
        let sys = FakeSys::new().write("cpuinfo", CPUINFO);
        assert_eq!(source(&sys), Source::Estimate);
        let sys = sys
            .write("class/power_supply/BAT0/type", "Battery\n")
            .write("class/power_supply/BAT0/status", "Discharging\n")
            .write("class/power_supply/BAT0/power_now", "7000000\n");
        assert_eq!(source(&sys), Source::Battery);
        let sys = sys
            .write("class/hwmon/hwmon0/name", "power_meter\n")
            .write("class/hwmon/hwmon0/power1_input", "7000000\n");
        assert_eq!(source(&sys), Source::Hwmon);
        let sys = sys.zone("intel-rapl:0", "package-0", 5, Some(10));
        assert_eq!(source(&sys), Source::Rapl);
    }

    #[test]
    fn an_estimate_says_that_it_is_one_and_sensors_that_never_were_are_not_named() {
        let sys = FakeSys::new().write("cpuinfo", CPUINFO);
        let notices = open_at(&sys, &[MeterWord::Auto], &[])
            .map_err(|_| ())
            .unwrap()
            .notices;
        assert_eq!(notices.len(), 1);
        assert!(
            notices[0].starts_with("no power sensor: estimating 0.5–2.0 W from CPU load for "),
            "{notices:?}"
        );
    }

    #[test]
    fn a_meter_that_was_asked_for_and_does_not_work_is_named() {
        let sys = FakeSys::new().write("cpuinfo", CPUINFO);
        let words = [MeterWord::Hwmon, MeterWord::Auto];
        let notices = open_at(&sys, &words, &[]).map_err(|_| ()).unwrap().notices;
        assert_eq!(notices.len(), 2);
        assert!(notices[0].starts_with("hwmon: read "), "{notices:?}");
    }

    #[test]
    fn counters_that_are_there_and_may_not_be_read_are_named() {
        use std::os::unix::fs::PermissionsExt;

        let sys =
            FakeSys::new()
                .write("cpuinfo", CPUINFO)
                .zone("intel-rapl:0", "package-0", 5, Some(10));
        std::fs::set_permissions(sys.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let energy = sys.at("class/powercap/intel-rapl:0/energy_uj");
        std::fs::set_permissions(energy, PermissionsExt::from_mode(0o000)).unwrap();
        let notices =
            crate::testing::as_nobody(|| open_at(&sys, &[], &[]).map_err(|_| ()).unwrap().notices);
        assert_eq!(notices.len(), 2);
        assert!(
            notices[0].ends_with("run as root or let group jouled read it"),
            "{notices:?}"
        );
    }

    #[test]
    fn what_rapl_left_out_is_said() {
        let sys = FakeSys::new()
            .zone("intel-rapl:0", "package-0", 5, Some(10))
            .zone("intel-rapl-mmio:0", "package-0", 5, Some(10));
        let notices = open_at(&sys, &[MeterWord::Rapl], &[])
            .map_err(|_| ())
            .unwrap()
            .notices;
        assert!(
            notices[0].starts_with("intel-rapl-mmio:0 repeats intel-rapl:0"),
            "{notices:?}"
        );
    }

    #[test]
    fn where_nothing_works_each_says_why() {
        let refusals = open_at(&FakeSys::new(), &[], &[]).map(|_| ()).unwrap_err();
        let meters: Vec<&str> = refusals.iter().map(|refusal| refusal.meter).collect();
        assert_eq!(meters, ["rapl", "hwmon", "battery", "estimate"]);
    }

    #[test]
    fn the_filter_is_the_same_for_all_meters() {
        let sys = FakeSys::new().write("cpuinfo", CPUINFO);
        let refusals = open_at(&sys, &[MeterWord::Estimate], &["dram"])
            .map(|_| ())
            .unwrap_err();
        assert_eq!(
            refusals[0].to_string(),
            "estimate: no zone is called dram; this host has package"
        );
        let mut opened = open_at(&sys, &[MeterWord::Fake], &["DRAM"])
            .map_err(|_| ())
            .unwrap();
        assert_eq!(series(&read_at(opened.meter.as_mut(), 0).0), ["dram/0"]);
    }

    #[test]
    fn a_fake_zone_that_is_given_twice_is_refused() {
        let zone = FakeZone::parse("package:0=4W").unwrap();
        let options = MeterOptions {
            words: vec![MeterWord::Fake],
            fake_zones: vec![zone.clone(), zone],
            ..MeterOptions::default()
        };
        let refusals = open(&Root::at("/nowhere", "/nowhere"), &options)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(
            refusals[0].to_string(),
            "fake: zone package:0 is given twice; give each its own index"
        );
    }
}
