//! Which energy counters a host has, under which names: each one once.
//!
//! A zone is known by its `name` file, never by its directory: the ids are hexadecimal
//! (`intel-rapl:a` is the eleventh), and their order is not the order of the sockets.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use jouled_core::parse::powercap::zone_name;
use jouled_core::units::Watts;

use crate::powercap_mirror::{self, Mirrors};
use crate::sensor_file::{SensorFile, names_in, word};

/// The control type of the registers that are reached through memory.
const MMIO: &str = "intel-rapl-mmio";

/// A directory of the powercap class that holds an energy counter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FoundZone {
    /// The directory.
    pub(crate) path: PathBuf,
    /// Its name in the class directory: `intel-rapl:0:1`.
    pub(crate) id: String,
    /// `package`, `dram`, …
    pub(crate) class: String,
    /// The socket or the die.
    pub(crate) index: String,
}

/// What a look at the powercap class found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topology {
    /// The zones, each counter once, each `(class, index)` once.
    pub(crate) zones: Vec<FoundZone>,
    /// What was left out, and why: a line each.
    pub(crate) findings: Vec<String>,
}

impl Topology {
    /// Looks at `<sys>/class/powercap`.
    pub(crate) fn discover(class_directory: &Path, mirrors: &mut Mirrors) -> std::io::Result<Self> {
        let mut topology = Self {
            zones: list(class_directory)?,
            findings: Vec::new(),
        };
        // In this order: a merged package is what the MMIO zone repeats.
        topology.merge_mirrors(mirrors);
        topology.drop_mmio_doubles();
        topology.make_unique();
        Ok(topology)
    }

    fn merge_mirrors(&mut self, mirrors: &mut Mirrors) {
        let mut packages: Vec<(String, Vec<FoundZone>)> = Vec::new();
        for zone in self
            .zones
            .iter()
            .filter(|zone| zone.class == "package" && !zone.is_mmio())
        {
            let Some(package) = powercap_mirror::package_of_die(&zone.index) else {
                continue;
            };
            match packages.iter_mut().find(|(known, _)| known == package) {
                Some((_, dies)) => dies.push(zone.clone()),
                None => packages.push((package.to_owned(), vec![zone.clone()])),
            }
        }
        for (package, mut dies) in packages {
            dies.sort_by(|a, b| (a.index.len(), &a.index).cmp(&(b.index.len(), &b.index)));
            let paths: Vec<PathBuf> = dies.iter().map(|die| die.path.clone()).collect();
            if dies.len() > 1 && mirrors.are(&paths) {
                self.findings
                    .push(powercap_mirror::finding(&package, &paths[0], dies.len()));
                self.keep_one(&package, &dies);
            }
        }
    }

    /// The first die becomes the package; the others go, and so do the zones below them: what is
    /// below a mirror mirrors too.
    fn keep_one(&mut self, package: &str, dies: &[FoundZone]) {
        self.zones
            .retain(|zone| !dies[1..].iter().any(|die| zone.is_in(die)));
        for zone in self.zones.iter_mut().filter(|zone| zone.is_in(&dies[0])) {
            package.clone_into(&mut zone.index);
        }
    }

    /// Client chips show package 0 a second time through MMIO registers.
    fn drop_mmio_doubles(&mut self) {
        let series = |zone: &FoundZone| (zone.class.clone(), zone.index.clone());
        let others = self.zones.iter().filter(|zone| !zone.is_mmio());
        let others: HashMap<(String, String), String> =
            others.map(|zone| (series(zone), zone.id.clone())).collect();
        let findings = &mut self.findings;
        self.zones.retain(|zone| {
            let Some(first) = others.get(&series(zone)).filter(|_| zone.is_mmio()) else {
                return true;
            };
            findings.push(format!(
                "{} repeats {first} ({} {}): counted once, from {first}",
                zone.id, zone.class, zone.index
            ));
            false
        });
    }

    /// No kernel is known to give one name to two counters, but a series that exists twice would
    /// make the whole page invalid.
    fn make_unique(&mut self) {
        let mut seen = HashSet::new();
        for zone in &mut self.zones {
            if !seen.insert((zone.class.clone(), zone.index.clone())) {
                zone.index = format!("{}-{}", zone.index, zone.id);
                seen.insert((zone.class.clone(), zone.index.clone()));
            }
        }
    }
}

impl FoundZone {
    fn is_mmio(&self) -> bool {
        self.id.split(':').next() == Some(MMIO)
    }

    /// Whether this is `other` or below it.
    fn is_in(&self, other: &Self) -> bool {
        let rest = self.id.strip_prefix(&other.id);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }
}

/// All counters under all their names, parents before children.
fn list(class_directory: &Path) -> std::io::Result<Vec<FoundZone>> {
    let mut ids = names_in(class_directory)?;
    ids.retain(|id| id.starts_with("intel-rapl") && id.contains(':'));
    ids.sort_by_key(|id| numbers(id));
    let mut indexes: HashMap<String, String> = HashMap::new();
    let mut zones = Vec::new();
    for id in ids {
        let path = class_directory.join(&id);
        // A zone without a counter (dtpm makes such) has nothing to say: no error.
        let Some(name) = word(&path.join("name")) else {
            continue;
        };
        let (class, own_index) = class_and_index(&name);
        let index = own_index
            .or_else(|| indexes.get(parent_of(&id)?).cloned())
            .unwrap_or_else(|| "0".into());
        indexes.insert(id.clone(), index.clone());
        if path.join("energy_uj").exists() {
            zones.push(FoundZone {
                path,
                id,
                class,
                index,
            });
        }
    }
    Ok(zones)
}

fn class_and_index(name: &str) -> (String, Option<String>) {
    // Each socket after the first that has a platform domain calls it `psys-N`.
    if let Some(socket) = name.strip_prefix("psys-") {
        return ("psys".into(), Some(socket.to_owned()));
    }
    let name = zone_name(name.as_bytes());
    (name.class, name.index)
}

/// `intel-rapl:0` of `intel-rapl:0:1`; `None` at the top.
pub(crate) fn parent_of(id: &str) -> Option<&str> {
    let (parent, _) = id.rsplit_once(':')?;
    parent.contains(':').then_some(parent)
}

/// The hexadecimal ids of a directory, MMIO after all others, so that order is stable.
pub(crate) fn numbers(id: &str) -> (bool, Vec<u32>, String) {
    let ids = id
        .split(':')
        .skip(1)
        .map(|part| u32::from_str_radix(part, 16).unwrap_or(u32::MAX));
    (id.starts_with(MMIO), ids.collect(), id.to_owned())
}

/// More power than the zone could ever draw.
///
/// A suspend or a driver reload sets a counter back, and a step that implies more than this is
/// such a reset and no energy. Twice the thermal design power would do for a healthy zone, but
/// the limits that the kernel shows may be below it, 0, or left at a wrong default: four times the
/// largest of them, and never less than a large server's socket (for psys: a whole server).
pub(crate) fn ceiling_of(zone: &Path, class: &str) -> Watts {
    let floor = if class == "psys" { 5000.0 } else { 1000.0 };
    let limit = limit_w(zone).or_else(|| limit_w(&parent_directory(zone)));
    Watts(limit.map_or(floor, |limit| (4.0 * limit).max(floor)))
}

fn parent_directory(zone: &Path) -> PathBuf {
    let id = zone
        .file_name()
        .map(|id| id.to_string_lossy().into_owned())
        .unwrap_or_default();
    zone.with_file_name(parent_of(&id).unwrap_or(&id))
}

/// The largest of the limits and maxima of a zone's constraints; 0 stands for unknown.
fn limit_w(zone: &Path) -> Option<f64> {
    let read = |file: String| SensorFile::at(zone.join(file)).unsigned().ok();
    let constraints =
        (0..).take_while(|number| zone.join(format!("constraint_{number}_name")).exists());
    let limits = constraints.flat_map(|number| {
        [
            read(format!("constraint_{number}_max_power_uw")),
            read(format!("constraint_{number}_power_limit_uw")),
        ]
    });
    limits
        .flatten()
        .filter(|microwatts| *microwatts > 0)
        .max()
        .map(|microwatts| microwatts as f64 / 1e6)
}

#[cfg(test)]
#[path = "powercap_topology_tests.rs"]
mod tests;
