//! A hardware energy counter and what one reading of it said.

use std::sync::Arc;

use crate::units::{Nanos, Watts};

/// Where a number comes from; every exported zone says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Running average power limit, through powercap.
    Rapl,
    /// A sensor chip of the hwmon class.
    Hwmon,
    /// A battery of the `power_supply` class.
    Battery,
    /// A model of power by load: no sensor was read.
    Estimate,
    /// Made up, for demonstrations and tests.
    Fake,
}

impl Source {
    /// The label value, and the word that `--meter` takes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rapl => "rapl",
            Self::Hwmon => "hwmon",
            Self::Battery => "battery",
            Self::Estimate => "estimate",
            Self::Fake => "fake",
        }
    }
}

/// One zone: what is exported as one series. `(source, class, index)` is unique in a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// `package`, `dram`, `core`, `uncore`, `psys`, or the sensor's label.
    pub class: String,
    /// The socket or die (`0`, `0-1`), or the sensor's place.
    pub index: String,
    /// Where its numbers come from.
    pub source: Source,
    /// The directory or file it is read from, for error messages.
    pub path: String,
    /// More power than this zone could ever draw.
    pub ceiling: Watts,
}

impl Zone {
    /// Whether both are the same series.
    pub fn is_same_series(&self, other: &Self) -> bool {
        self.source == other.source && self.class == other.class && self.index == other.index
    }
}

/// What one reading of a zone said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ZoneValue {
    /// A cumulative counter in microjoules and the largest value it can hold, where that is known.
    Energy {
        /// The counter.
        microjoules: u64,
        /// Its largest value; `None` where it cannot be read, so a wrap cannot be corrected.
        range: Option<u64>,
    },
    /// A power, held to be the mean since the last reading where `is_average`, else of this instant.
    Power {
        /// The power.
        power: Watts,
        /// Whether the chip averages by itself.
        is_average: bool,
    },
    /// No sensor: power is modelled, linear in the machine's load from `idle` to `max`.
    Modelled {
        /// The whole machine's power with nothing to do.
        idle: Watts,
        /// The whole machine's power with every CPU busy.
        max: Watts,
    },
    /// The zone was read and has nothing to say now (a battery that is not discharging).
    Absent,
    /// The zone could not be read; the next good reading is a baseline.
    Failed,
}

/// One reading of one zone.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneReading {
    /// The zone.
    pub zone: Arc<Zone>,
    /// When it was read: the middle between the clock before and after, `CLOCK_MONOTONIC`.
    pub at: Nanos,
    /// How long the read took: the timing error of `at`.
    pub spread: Nanos,
    /// What it said.
    pub value: ZoneValue,
}
