//! The meter of sensor chips: energy counters, power sensors, and voltage times current.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jouled_core::units::{Nanos, Watts};
use jouled_core::zone::{Source, Zone, ZoneReading, ZoneValue};

use crate::error::Unsupported;
use crate::hwmon_chip::{Channel, Quantity, channels};
use crate::meter::Meter;
use crate::sensor_file::{Failure, SensorFile, zone_reading};
use crate::zone_filter::ZoneFilter;

/// More than any board draws: only a counter that was set back implies more.
const CEILING: Watts = Watts(5000.0);

/// The sensors below `<sys>/class/hwmon` that measure the host's consumption.
#[derive(Debug)]
pub struct Hwmon {
    sys: PathBuf,
    filter: ZoneFilter,
    sensors: Vec<Sensor>,
    /// A sensor went away: look at the host again before the next reading.
    is_stale: bool,
}

/// A channel and its open files.
#[derive(Debug)]
struct Sensor {
    zone: Arc<Zone>,
    channel: Channel,
    files: Files,
}

#[derive(Debug)]
enum Files {
    Energy(SensorFile),
    Power {
        file: SensorFile,
        is_average: bool,
    },
    Product {
        millivolts: SensorFile,
        milliamperes: SensorFile,
    },
}

impl Hwmon {
    /// The sensors below `sys` whose label (zone class) or chip `filter` names; where it is empty,
    /// all of them that measure a processor, a board or the whole host.
    pub fn open(sys: &Path, filter: &[String]) -> Result<Self, Unsupported> {
        let unsupported = |reason| Unsupported {
            meter: "hwmon",
            reason,
        };
        let mut meter = Self {
            sys: sys.to_owned(),
            filter: ZoneFilter::new(filter),
            sensors: Vec::new(),
            is_stale: false,
        };
        let directory = sys.join("class/hwmon");
        let fix = "a virtual machine has none, a host needs the module of its sensor chip";
        let found = channels(sys, &meter.filter).map_err(|error| {
            unsupported(format!("read {}: {error}; {fix}", directory.display()))
        })?;
        meter.adopt(found);
        if meter.sensors.is_empty() {
            let all = channels(sys, &ZoneFilter::default()).unwrap_or_default();
            if all.is_empty() {
                return Err(unsupported(format!(
                    "read {}/*: no power sensor; {fix}",
                    directory.display()
                )));
            }
            return Err(meter
                .filter
                .nothing_left("hwmon", all.iter().map(|channel| channel.class.as_str())));
        }
        meter.check_readable().map_err(unsupported)?;
        Ok(meter)
    }

    /// Takes over what was found. A sensor that is known already keeps its open files.
    fn adopt(&mut self, found: Vec<Channel>) {
        let mut known = std::mem::take(&mut self.sensors);
        for (channel, index) in with_indexes(found) {
            let is_it = |sensor: &Sensor| sensor.channel == channel && sensor.zone.index == index;
            let place = known.iter().position(is_it);
            let mut sensor = place.map_or_else(
                || Sensor::new(channel, index),
                |place| known.swap_remove(place),
            );
            sensor.files.close_if_replaced();
            self.sensors.push(sensor);
        }
    }

    /// The refusal, where every sensor refuses.
    fn check_readable(&mut self) -> Result<(), String> {
        let mut first_refusal = None;
        for sensor in &mut self.sensors {
            match sensor.files.read() {
                Err((trouble, path)) if trouble.is_denied() => {
                    first_refusal.get_or_insert_with(|| trouble.line(&path));
                }
                _ => return Ok(()),
            }
        }
        first_refusal.map_or(Ok(()), Err)
    }
}

impl Meter for Hwmon {
    fn source(&self) -> Source {
        Source::Hwmon
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
        for sensor in &mut self.sensors {
            let zone = Arc::clone(&sensor.zone);
            let (reading, is_gone) = zone_reading(zone, now, problems, || sensor.files.read());
            self.is_stale |= is_gone;
            readings.push(reading);
        }
        if self.sensors.is_empty() {
            let directory = self.sys.join("class/hwmon");
            problems.push(format!(
                "read {}: all sensors went away; they are looked for again",
                directory.display()
            ));
            self.is_stale = true;
        }
    }

    fn rediscover(&mut self) {
        self.is_stale = false;
        let found = channels(&self.sys, &self.filter).unwrap_or_default();
        self.adopt(found);
    }
}

/// Every channel with an index that makes `(class, index)` unique: the chip's place; where that
/// says too little, all of the same name get the chip's directory, and then the channel too.
fn with_indexes(channels: Vec<Channel>) -> Vec<(Channel, String)> {
    let mut indexes: Vec<String> = channels
        .iter()
        .map(|channel| channel.place.clone())
        .collect();
    for more in [
        |channel: &Channel| channel.chip.clone(),
        |channel: &Channel| channel.name.clone(),
    ] {
        let mut count: HashMap<(String, String), u32> = HashMap::new();
        for (channel, index) in channels.iter().zip(&indexes) {
            *count
                .entry((channel.class.clone(), index.clone()))
                .or_default() += 1;
        }
        for (channel, index) in channels.iter().zip(&mut indexes) {
            let more = more(channel);
            if count[&(channel.class.clone(), index.clone())] > 1 && *index != more {
                *index = format!("{index}-{more}");
            }
        }
    }
    channels.into_iter().zip(indexes).collect()
}

impl Sensor {
    fn new(channel: Channel, index: String) -> Self {
        let files = Files::of(&channel.quantity);
        let path = files.path().display().to_string();
        let zone = Zone {
            class: channel.class.clone(),
            index,
            source: Source::Hwmon,
            path,
            ceiling: CEILING,
        };
        Self {
            zone: Arc::new(zone),
            channel,
            files,
        }
    }
}

impl Files {
    fn of(quantity: &Quantity) -> Self {
        let file = |path: &PathBuf| SensorFile::at(path.clone());
        match quantity {
            Quantity::Energy(path) => Self::Energy(file(path)),
            Quantity::AveragePower(path) => Self::Power {
                file: file(path),
                is_average: true,
            },
            Quantity::Power(path) => Self::Power {
                file: file(path),
                is_average: false,
            },
            Quantity::Product {
                millivolts,
                milliamperes,
            } => Self::Product {
                millivolts: file(millivolts),
                milliamperes: file(milliamperes),
            },
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Energy(file) | Self::Power { file, .. } => file.path(),
            Self::Product { milliamperes, .. } => milliamperes.path(),
        }
    }

    fn close_if_replaced(&mut self) {
        match self {
            Self::Energy(file) | Self::Power { file, .. } => file.close_if_replaced(),
            Self::Product {
                millivolts,
                milliamperes,
            } => {
                millivolts.close_if_replaced();
                milliamperes.close_if_replaced();
            }
        }
    }

    fn read(&mut self) -> Result<ZoneValue, Failure> {
        match self {
            Self::Energy(file) => {
                let microjoules = file
                    .unsigned()
                    .map_err(|trouble| (trouble, file.path().to_owned()))?;
                // hwmon has no attribute for a counter's range.
                Ok(ZoneValue::Energy {
                    microjoules,
                    range: None,
                })
            }
            Self::Power { file, is_average } => Ok(power(signed(file)? as f64, *is_average)),
            Self::Product {
                millivolts,
                milliamperes,
            } => Ok(power(
                signed(millivolts)? as f64 * signed(milliamperes)? as f64,
                false,
            )),
        }
    }
}

fn signed(file: &mut SensorFile) -> Result<i64, Failure> {
    file.signed()
        .map_err(|trouble| (trouble, file.path().to_owned()))
}

/// Power that flows the other way (a rail that feeds) is no consumption, and no zero either.
fn power(microwatts: f64, is_average: bool) -> ZoneValue {
    if microwatts < 0.0 {
        return ZoneValue::Absent;
    }
    ZoneValue::Power {
        power: Watts(microwatts / 1e6),
        is_average,
    }
}

#[cfg(test)]
#[path = "hwmon_tests.rs"]
mod tests;
