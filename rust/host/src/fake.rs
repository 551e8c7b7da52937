//! A meter that makes its counters up, for demonstrations and tests: exact and repeatable.

use std::sync::Arc;

use jouled_core::units::{Nanos, Watts};
use jouled_core::zone::{Source, Zone, ZoneReading, ZoneValue};

use crate::meter::Meter;
use crate::sensor_file::timed;

/// The range of a real server's package counter.
const USUAL_WRAP: u64 = 262_143_328_850;

/// A zone that draws the same power all the time.
#[derive(Clone, Debug, PartialEq)]
pub struct FakeZone {
    /// `package`, `dram`, …
    pub class: String,
    /// The socket.
    pub index: String,
    /// Its power.
    pub watts: f64,
    /// The largest value of its counter in microjoules; `None` for a counter without an end.
    pub wrap: Option<u64>,
}

impl FakeZone {
    /// The zone of a text `package:0=40W` or, with a counter that wraps soon, `dram:0=5W@1000000`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!("fake zone {text:?}: {what}; write it as package:0=40W or dram:0=5W@1000000")
        };
        let (name, power) = text.trim().split_once('=').ok_or_else(|| wrong("no ="))?;
        let (class, index) = name.split_once(':').unwrap_or((name, "0"));
        if class.is_empty() || index.is_empty() {
            return Err(wrong("no name"));
        }
        let (watts, wrap) = match power.split_once('@') {
            Some((watts, wrap)) => (
                watts,
                Some(wrap.parse().map_err(|_| wrong("the wrap is no number"))?),
            ),
            None => (power, None),
        };
        let watts = watts
            .trim()
            .trim_end_matches(['W', 'w'])
            .parse()
            .map_err(|_| wrong("the power is no number"))?;
        // The upper limit keeps every sum of the counter's arithmetic in its integers.
        if !(0.0..=1e9).contains(&watts) {
            return Err(wrong("the power is not between 0 and 1000000000 W"));
        }
        Ok(Self {
            class: class.to_lowercase(),
            index: index.to_owned(),
            watts,
            wrap,
        })
    }

    /// What is shown where no zones are asked for: a socket and its memory.
    pub fn usual() -> Vec<Self> {
        let zone = |class: &str, watts| Self {
            class: class.into(),
            index: "0".into(),
            watts,
            wrap: Some(USUAL_WRAP),
        };
        vec![zone("package", 40.0), zone("dram", 5.0)]
    }
}

/// Counters that grow by exactly their watts.
#[derive(Debug)]
pub struct Fake {
    counters: Vec<Counter>,
    started: Option<Nanos>,
}

#[derive(Debug)]
struct Counter {
    zone: Arc<Zone>,
    microwatts: u64,
    first_value: u64,
    range: Option<u64>,
}

impl Fake {
    /// A meter of these zones, [`FakeZone::usual`] where there are none. The same seed gives the
    /// same counters, which start anywhere in their range, as real ones do.
    pub fn new(zones: Vec<FakeZone>, seed: u64) -> Self {
        let zones = if zones.is_empty() {
            FakeZone::usual()
        } else {
            zones
        };
        let counters = (1..)
            .zip(zones)
            .map(|(number, zone)| Counter::new(zone, scatter(seed.wrapping_add(number))));
        Self {
            counters: counters.collect(),
            started: None,
        }
    }
}

impl Meter for Fake {
    fn source(&self) -> Source {
        Source::Fake
    }

    fn read(
        &mut self,
        now: &dyn Fn() -> Nanos,
        readings: &mut Vec<ZoneReading>,
        _problems: &mut Vec<String>,
    ) {
        for counter in &self.counters {
            let ((), at, spread) = timed(now, || ());
            let started = *self.started.get_or_insert(at);
            let value = counter.value_after(at.since(started));
            readings.push(ZoneReading {
                zone: Arc::clone(&counter.zone),
                at,
                spread,
                value,
            });
        }
    }

    fn rediscover(&mut self) {}
}

impl Counter {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked by FakeZone::parse
    fn new(fake: FakeZone, random: u64) -> Self {
        let zone = Zone {
            path: format!("fake:{}:{}", fake.class, fake.index),
            class: fake.class,
            index: fake.index,
            source: Source::Fake,
            ceiling: Watts((4.0 * fake.watts).max(1000.0)),
        };
        let first_value = random % fake.wrap.unwrap_or(USUAL_WRAP).saturating_add(1);
        let microwatts = (fake.watts * 1e6).round() as u64;
        Self {
            zone: Arc::new(zone),
            microwatts,
            first_value,
            range: fake.wrap,
        }
    }

    /// Always computed from the beginning, in integers: nothing is rounded twice, nothing drifts.
    fn value_after(&self, span: Nanos) -> ZoneValue {
        // µW · ns = 10⁻¹⁵ J.
        let femtojoules = u128::from(self.microwatts) * u128::from(span.0);
        let total = u128::from(self.first_value) + femtojoules / 1_000_000_000;
        let modulus = u128::from(self.range.unwrap_or(u64::MAX)) + 1;
        let microjoules = u64::try_from(total % modulus).expect("the remainder is below 2^64");
        ZoneValue::Energy {
            microjoules,
            range: self.range,
        }
    }
}

/// A number without a pattern from one with (the finaliser of `SplitMix64`).
fn scatter(seed: u64) -> u64 {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_watts, read_at, series, watts};

    #[test]
    fn a_zone_is_written_as_text() {
        let zone = |class: &str, index: &str, watts, wrap| FakeZone {
            class: class.into(),
            index: index.into(),
            watts,
            wrap,
        };
        assert_eq!(
            FakeZone::parse("package:0=40W"),
            Ok(zone("package", "0", 40.0, None))
        );
        assert_eq!(
            FakeZone::parse("dram:0-1=5.5w@1000000"),
            Ok(zone("dram", "0-1", 5.5, Some(1_000_000)))
        );
        assert_eq!(
            FakeZone::parse("psys=100"),
            Ok(zone("psys", "0", 100.0, None))
        );
        for text in [
            "",
            "package:0",
            "package:0=",
            ":0=4W",
            "a:=4W",
            "a:0=-1W",
            "a:0=nanW",
            "a:0=infW",
            "a:0=4W@x",
        ] {
            let error = FakeZone::parse(text).unwrap_err();
            assert!(
                error.starts_with(&format!("fake zone {text:?}: "))
                    && error.ends_with("dram:0=5W@1000000"),
                "{error}"
            );
        }
    }

    #[test]
    fn counters_grow_by_exactly_their_watts_for_years() {
        let zones = vec![
            FakeZone::parse("package:0=40W").unwrap(),
            FakeZone::parse("dram:0=0.333333W").unwrap(),
        ];
        let mut meter = Fake::new(zones, 7);
        let counters = |readings: &[ZoneReading]| -> Vec<u64> {
            let value = |reading: &ZoneReading| match reading.value {
                ZoneValue::Energy { microjoules, .. } => microjoules,
                value => panic!("{value:?}"),
            };
            readings.iter().map(value).collect()
        };
        let first = counters(&read_at(&mut meter, 100).0);
        let mut last = Vec::new();
        for second in 101..=100_000 {
            last = counters(&read_at(&mut meter, second).0);
        }
        assert_eq!(last[0] - first[0], 40_000_000 * 99_900);
        assert_eq!(last[1] - first[1], 333_333 * 99_900);
    }

    #[test]
    fn a_counter_wraps_at_its_end() {
        let mut meter = Fake::new(vec![FakeZone::parse("package:0=0.3W@1000000").unwrap()], 3);
        let mut before = read_at(&mut meter, 0).0;
        let mut falls = 0;
        for second in 1..=10 {
            let after = read_at(&mut meter, second).0;
            assert_watts(watts(&before, &after, "package/0"), 0.3);
            let (
                ZoneValue::Energy {
                    microjoules: last, ..
                },
                ZoneValue::Energy { microjoules, range },
            ) = (before[0].value, after[0].value)
            else {
                panic!("a counter");
            };
            assert!(microjoules <= 1_000_000 && range == Some(1_000_000));
            falls += u32::from(microjoules < last);
            before = after;
        }
        // 3 J through a range of 1 J.
        assert!((2..=3).contains(&falls), "{falls}");
    }

    #[test]
    fn the_same_seed_gives_the_same_counters_and_another_seed_others() {
        let read = |seed| read_at(&mut Fake::new(Vec::new(), seed), 5).0;
        assert_eq!(read(1), read(1));
        assert_ne!(read(1)[0].value, read(2)[0].value);
        assert_ne!(read(1)[0].value, read(1)[1].value);
        assert_eq!(series(&read(0)), ["package/0", "dram/0"]);
    }

    #[test]
    fn the_usual_zones_draw_forty_and_five_watts() {
        let mut meter = Fake::new(Vec::new(), 0);
        let (before, after) = (read_at(&mut meter, 10).0, read_at(&mut meter, 15).0);
        assert_watts(watts(&before, &after, "package/0"), 40.0);
        assert_watts(watts(&before, &after, "dram/0"), 5.0);
    }
}
