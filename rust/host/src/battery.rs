//! The meter of batteries: what leaves them is what the whole host draws, display included.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jouled_core::units::{Nanos, Watts};
use jouled_core::zone::{Source, Zone, ZoneReading, ZoneValue};

use crate::error::Unsupported;
use crate::meter::Meter;
use crate::sensor_file::{Failure, SensorFile, names_in, word, zone_reading};

/// More than any battery of a computer gives. A level has no ceiling: it falls by a whole step at
/// once, and only this program's own sum of the falls is compared.
const CEILING: Watts = Watts(1000.0);
const NO_CEILING: Watts = Watts(f64::INFINITY);

/// The batteries below `<sys>/class/power_supply` that feed the host.
#[derive(Debug)]
pub struct Battery {
    sys: PathBuf,
    supplies: Vec<Supply>,
    /// A battery was taken out: look at the host again before the next reading.
    is_stale: bool,
}

#[derive(Debug)]
struct Supply {
    zone: Arc<Zone>,
    directory: PathBuf,
    status: SensorFile,
    gauge: Gauge,
}

/// How a battery tells what leaves it, in order of preference.
#[derive(Debug)]
enum Gauge {
    /// `power_now`, in microwatts.
    Power(SensorFile),
    /// `current_now` in microamperes times `voltage_now` in microvolts.
    Product {
        microamperes: SensorFile,
        microvolts: SensorFile,
    },
    /// `energy_now`, in microwatt hours: it falls in coarse steps, so only long intervals are right.
    Energy {
        microwatt_hours: SensorFile,
        drawn: Drawn,
    },
    /// `charge_now` in microampere hours times `voltage_now`.
    Charge {
        microampere_hours: SensorFile,
        microvolts: SensorFile,
        drawn: Drawn,
    },
}

/// A store's level made into a counter of what was taken out of it.
#[derive(Debug, Default)]
struct Drawn {
    last_level: Option<u64>,
    microjoules: u64,
}

impl Battery {
    /// The batteries below `sys`.
    pub fn open(sys: &Path) -> Result<Self, Unsupported> {
        let mut meter = Self {
            sys: sys.to_owned(),
            supplies: Vec::new(),
            is_stale: false,
        };
        meter.rediscover();
        if meter.supplies.is_empty() {
            let directory = sys.join("class/power_supply");
            let reason = format!(
                "read {}/*/type: no battery that tells its power; use another --meter on a host without one",
                directory.display()
            );
            return Err(Unsupported {
                meter: "battery",
                reason,
            });
        }
        Ok(meter)
    }
}

impl Meter for Battery {
    fn source(&self) -> Source {
        Source::Battery
    }

    fn read(
        &mut self,
        now: &dyn Fn() -> Nanos,
        readings: &mut Vec<ZoneReading>,
        problems: &mut Vec<String>,
    ) {
        if self.is_stale {
            self.rediscover();
        }
        for supply in &mut self.supplies {
            let zone = Arc::clone(&supply.zone);
            let (reading, is_gone) = zone_reading(zone, now, problems, || supply.read());
            self.is_stale |= is_gone;
            readings.push(reading);
        }
    }

    fn rediscover(&mut self) {
        self.is_stale = false;
        let directory = self.sys.join("class/power_supply");
        let mut known = std::mem::take(&mut self.supplies);
        for name in names_in(&directory).unwrap_or_default() {
            let place = known.iter().position(|supply| supply.zone.index == name);
            let kept = place
                .map(|place| known.swap_remove(place))
                .filter(|supply| supply.directory.exists());
            self.supplies
                .extend(kept.or_else(|| Supply::open(&directory.join(&name), &name)));
        }
    }
}

impl Supply {
    fn open(directory: &Path, name: &str) -> Option<Self> {
        // The battery of a mouse (scope Device) does not feed the host.
        let is_of_device = word(&directory.join("scope")).is_some_and(|scope| scope == "Device");
        if word(&directory.join("type"))? != "Battery" || is_of_device {
            return None;
        }
        let gauge = Gauge::of(directory)?;
        let zone = Zone {
            class: "battery".into(),
            index: name.to_owned(),
            source: Source::Battery,
            path: directory.display().to_string(),
            ceiling: match gauge {
                Gauge::Power(_) | Gauge::Product { .. } => CEILING,
                Gauge::Energy { .. } | Gauge::Charge { .. } => NO_CEILING,
            },
        };
        let status = SensorFile::at(directory.join("status"));
        Some(Self {
            zone: Arc::new(zone),
            directory: directory.to_owned(),
            status,
            gauge,
        })
    }

    /// The direction is the status's word alone: drivers disagree about the sign of the power.
    fn read(&mut self) -> Result<ZoneValue, Failure> {
        let status = self
            .status
            .word()
            .map_err(|trouble| (trouble, self.status.path().to_owned()))?;
        if status == "Discharging" {
            return self.gauge.read();
        }
        self.gauge.rest();
        Ok(ZoneValue::Absent)
    }
}

impl Gauge {
    /// The first kind whose files answer; some drivers show `power_now` and refuse to read it.
    fn of(directory: &Path) -> Option<Self> {
        let file = |name: &str| SensorFile::at(directory.join(name));
        let answers = |name: &str| file(name).signed().is_ok();
        if answers("power_now") {
            return Some(Self::Power(file("power_now")));
        }
        let microvolts = file("voltage_now");
        if answers("current_now") && answers("voltage_now") {
            return Some(Self::Product {
                microamperes: file("current_now"),
                microvolts,
            });
        }
        if answers("energy_now") {
            return Some(Self::Energy {
                microwatt_hours: file("energy_now"),
                drawn: Drawn::default(),
            });
        }
        let microampere_hours = file("charge_now");
        let has_charge = answers("charge_now") && answers("voltage_now");
        has_charge.then(|| Self::Charge {
            microampere_hours,
            microvolts,
            drawn: Drawn::default(),
        })
    }

    fn read(&mut self) -> Result<ZoneValue, Failure> {
        match self {
            Self::Power(microwatts) => Ok(power(magnitude(microwatts)? as f64 / 1e6)),
            Self::Product {
                microamperes,
                microvolts,
            } => Ok(power(
                magnitude(microamperes)? as f64 * magnitude(microvolts)? as f64 / 1e12,
            )),
            Self::Energy {
                microwatt_hours,
                drawn,
            } => {
                let level = magnitude(microwatt_hours)?;
                Ok(drawn.fall_to(level, 3600.0))
            }
            Self::Charge {
                microampere_hours,
                microvolts,
                drawn,
            } => {
                let volts = magnitude(microvolts)? as f64 / 1e6;
                let level = magnitude(microampere_hours)?;
                Ok(drawn.fall_to(level, 3600.0 * volts))
            }
        }
    }

    /// The battery does not discharge: what its level does now is none of the host's consumption.
    fn rest(&mut self) {
        match self {
            Self::Energy { drawn, .. } | Self::Charge { drawn, .. } => drawn.last_level = None,
            Self::Power(_) | Self::Product { .. } => (),
        }
    }
}

impl Drawn {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a fall of a level: small, not negative
    fn fall_to(&mut self, level: u64, microjoules_each: f64) -> ZoneValue {
        let fall = self.last_level.map_or(0, |last| last.saturating_sub(level));
        self.last_level = Some(level);
        self.microjoules = self
            .microjoules
            .saturating_add((fall as f64 * microjoules_each).round() as u64);
        ZoneValue::Energy {
            microjoules: self.microjoules,
            range: None,
        }
    }
}

fn magnitude(file: &mut SensorFile) -> Result<u64, Failure> {
    let number = file
        .signed()
        .map_err(|trouble| (trouble, file.path().to_owned()))?;
    Ok(number.unsigned_abs())
}

fn power(watts: f64) -> ZoneValue {
    ZoneValue::Power {
        power: Watts(watts),
        is_average: false,
    }
}

#[cfg(test)]
#[path = "battery_tests.rs"]
mod tests;
