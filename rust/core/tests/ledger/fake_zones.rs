//! The energy counters of a fake host.

use std::sync::Arc;

use jouled_core::units::{Nanos, Watts};
use jouled_core::zone::{Source, Zone, ZoneReading, ZoneValue};

use crate::fake_host::FakeHost;

/// The zones of a fake host wrap after a kilojoule.
pub(crate) const RANGE_UJ: u64 = 1_000_000_000;

/// All zones of a host.
#[derive(Default)]
pub(crate) struct FakeZones(Vec<FakeZone>);

struct FakeZone {
    zone: Arc<Zone>,
    value: ZoneValue,
    is_failing: bool,
    is_gone: bool,
}

impl FakeZones {
    /// What a meter reads now.
    pub(crate) fn readings(&self, at: Nanos) -> Vec<ZoneReading> {
        let there = self.0.iter().filter(|known| !known.is_gone);
        let readings = there.map(|known| ZoneReading {
            zone: Arc::clone(&known.zone),
            at,
            spread: Nanos(2000),
            value: if known.is_failing {
                ZoneValue::Failed
            } else {
                known.value
            },
        });
        readings.collect()
    }

    fn known(&mut self, class: &str, index: &str) -> &mut FakeZone {
        self.0
            .iter_mut()
            .find(|known| known.zone.class == class && known.zone.index == index)
            .expect("a zone of this host")
    }
}

impl FakeHost {
    /// A new RAPL zone that cannot draw more than a kilowatt.
    pub(crate) fn zone(&mut self, class: &str, index: &str) {
        let value = ZoneValue::Energy {
            microjoules: 123_456_789,
            range: Some(RANGE_UJ),
        };
        self.zone_of(Source::Rapl, class, index, value);
    }

    pub(crate) fn zone_of(&mut self, source: Source, class: &str, index: &str, value: ZoneValue) {
        let zone = Arc::new(Zone {
            class: class.to_owned(),
            index: index.to_owned(),
            source,
            path: format!("/sys/{}/{class}-{index}", source.as_str()),
            ceiling: Watts(1000.0),
        });
        self.zones.0.push(FakeZone {
            zone,
            value,
            is_failing: false,
            is_gone: false,
        });
    }

    /// A zone's counter moves on, and past its end to the beginning.
    pub(crate) fn draw(&mut self, class: &str, index: &str, joules: f64) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small and positive
        let more = (joules * 1e6) as u64;
        if let ZoneValue::Energy { microjoules, .. } = &mut self.zones.known(class, index).value {
            *microjoules = (*microjoules + more) % (RANGE_UJ + 1);
        }
    }

    pub(crate) fn set_value(&mut self, class: &str, index: &str, value: ZoneValue) {
        self.zones.known(class, index).value = value;
    }

    pub(crate) fn set_failing(&mut self, class: &str, index: &str, is_failing: bool) {
        self.zones.known(class, index).is_failing = is_failing;
    }

    pub(crate) fn set_gone(&mut self, class: &str, index: &str, is_gone: bool) {
        self.zones.known(class, index).is_gone = is_gone;
    }

    /// The zone's files are somewhere else now.
    pub(crate) fn replace_path(&mut self, class: &str, index: &str, path: &str) {
        let known = self.zones.known(class, index);
        known.zone = Arc::new(Zone {
            path: path.to_owned(),
            ..(*known.zone).clone()
        });
    }

    /// Class and index of each zone.
    pub(crate) fn zone_names(&self) -> Vec<(String, String)> {
        let zones = self.zones.0.iter().map(|known| &known.zone);
        zones
            .map(|zone| (zone.class.clone(), zone.index.clone()))
            .collect()
    }
}
