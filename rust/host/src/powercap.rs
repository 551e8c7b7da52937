//! The meter of running average power limit (RAPL) counters, through the powercap class.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jouled_core::units::Nanos;
use jouled_core::zone::{Source, Zone, ZoneReading, ZoneValue};

use crate::error::Unsupported;
use crate::meter::Meter;
use crate::powercap_mirror::Mirrors;
use crate::powercap_topology::{FoundZone, Topology, ceiling_of};
use crate::sensor_file::{SensorFile, zone_reading};
use crate::zone_filter::ZoneFilter;

/// The energy counters below `<sys>/class/powercap`.
#[derive(Debug)]
pub struct Powercap {
    class_directory: PathBuf,
    filter: ZoneFilter,
    mirrors: Mirrors,
    counters: Vec<Counter>,
    findings: Vec<String>,
    /// Lines of the last look at the host, said with the next reading.
    unsaid: Vec<String>,
    /// A zone went away: look at the host again before the next reading.
    is_stale: bool,
}

/// One counter and its open file.
#[derive(Debug)]
struct Counter {
    zone: Arc<Zone>,
    directory: PathBuf,
    energy: SensorFile,
    range: Option<u64>,
    is_range_known: bool,
}

/// Whether the host shows any energy counter, readable or not.
pub(crate) fn has_counters(sys: &Path) -> bool {
    let topology = Topology::discover(&class_directory(sys), &mut Mirrors::default());
    topology.is_ok_and(|topology| !topology.zones.is_empty())
}

fn class_directory(sys: &Path) -> PathBuf {
    sys.join("class/powercap")
}

impl Powercap {
    /// The counters below `sys` whose class `filter` names; all of them where it is empty.
    pub fn open(sys: &Path, filter: &[String]) -> Result<Self, Unsupported> {
        let mut meter = Self {
            class_directory: class_directory(sys),
            filter: ZoneFilter::new(filter),
            mirrors: Mirrors::default(),
            counters: Vec::new(),
            findings: Vec::new(),
            unsaid: Vec::new(),
            is_stale: false,
        };
        let topology = meter.discover()?;
        meter.adopt(&topology);
        if meter.counters.is_empty() {
            return Err(meter.filter.nothing_left(
                "rapl",
                topology.zones.iter().map(|zone| zone.class.as_str()),
            ));
        }
        meter.check_readable()?;
        Ok(meter)
    }

    /// What was left out so that nothing counts twice: a line each.
    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    fn discover(&mut self) -> Result<Topology, Unsupported> {
        let class_directory = self.class_directory.display();
        let fix = "a virtual machine has none, a host needs the module intel_rapl_msr";
        let reason = match Topology::discover(&self.class_directory, &mut self.mirrors) {
            Ok(topology) if topology.zones.is_empty() => {
                format!("read {class_directory}/intel-rapl:*: no energy counter; {fix}")
            }
            Ok(topology) => return Ok(topology),
            Err(error) => format!("read {class_directory}: {error}; {fix}"),
        };
        Err(Unsupported {
            meter: "rapl",
            reason,
        })
    }

    /// Takes over what was found. A zone that is known already keeps its open file.
    fn adopt(&mut self, topology: &Topology) {
        let mut known = std::mem::take(&mut self.counters);
        for found in topology
            .zones
            .iter()
            .filter(|found| self.filter.admits(&found.class))
        {
            let place = known.iter().position(|counter| counter.is_of(found));
            let mut counter =
                place.map_or_else(|| Counter::new(found), |place| known.swap_remove(place));
            counter.energy.close_if_replaced();
            self.unsaid.extend(counter.learn_range());
            self.counters.push(counter);
        }
        self.findings.clone_from(&topology.findings);
    }

    /// Counters that are all refused are no meter: another source may be better than none.
    fn check_readable(&mut self) -> Result<(), Unsupported> {
        let mut first_refusal = None;
        for counter in &mut self.counters {
            match counter.energy.unsigned() {
                Err(trouble) if trouble.is_denied() => {
                    first_refusal.get_or_insert_with(|| trouble.line(counter.energy.path()));
                }
                // Other errors may pass: the zone is there.
                _ => return Ok(()),
            }
        }
        first_refusal.map_or(Ok(()), |reason| {
            Err(Unsupported {
                meter: "rapl",
                reason,
            })
        })
    }
}

impl Meter for Powercap {
    fn source(&self) -> Source {
        Source::Rapl
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
        problems.append(&mut self.unsaid);
        for counter in &mut self.counters {
            let (zone, range) = (Arc::clone(&counter.zone), counter.range);
            let energy = &mut counter.energy;
            let (reading, is_gone) = zone_reading(zone, now, problems, || {
                let microjoules = energy.unsigned();
                let microjoules = microjoules.map_err(|trouble| (trouble, energy.path().into()))?;
                Ok(ZoneValue::Energy { microjoules, range })
            });
            self.is_stale |= is_gone;
            readings.push(reading);
        }
        if self.counters.is_empty() {
            let class_directory = self.class_directory.display();
            problems.push(format!(
                "read {class_directory}: all zones went away; they are looked for again"
            ));
            self.is_stale = true;
        }
    }

    fn rediscover(&mut self) {
        self.is_stale = false;
        let Ok(topology) = self.discover() else {
            self.counters.clear();
            return;
        };
        let said = std::mem::take(&mut self.findings);
        self.adopt(&topology);
        let news = self
            .findings
            .iter()
            .filter(|finding| !said.contains(finding));
        self.unsaid.extend(news.cloned());
    }
}

impl Counter {
    fn new(found: &FoundZone) -> Self {
        let zone = Zone {
            class: found.class.clone(),
            index: found.index.clone(),
            source: Source::Rapl,
            path: found.path.display().to_string(),
            ceiling: ceiling_of(&found.path, &found.class),
        };
        Self {
            zone: Arc::new(zone),
            directory: found.path.clone(),
            energy: SensorFile::at(found.path.join("energy_uj")),
            range: None,
            is_range_known: true,
        }
    }

    fn is_of(&self, found: &FoundZone) -> bool {
        self.directory == found.path
            && self.zone.class == found.class
            && self.zone.index == found.index
    }

    /// Reads the range; the line to say where that fails for the first time. Some distributions
    /// let only root read it: a wrap then cannot be corrected, and 0 must not be assumed.
    fn learn_range(&mut self) -> Option<String> {
        let mut file = SensorFile::at(self.directory.join("max_energy_range_uj"));
        let result = match file.unsigned() {
            Ok(0) => Err("a range of 0".to_owned()),
            result => result.map_err(|trouble| trouble.reason()),
        };
        let was_known = std::mem::replace(&mut self.is_range_known, result.is_ok());
        self.range = result.as_ref().ok().copied();
        let reason = result.err().filter(|_| was_known)?;
        let path = file.path().display();
        Some(format!(
            "read {path}: {reason}; wraps of this counter are lost until jouled may read it"
        ))
    }
}

#[cfg(test)]
#[path = "powercap_tests.rs"]
mod tests;
