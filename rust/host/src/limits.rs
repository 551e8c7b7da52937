//! The power limits below `<sys>/class/powercap`, as they are at one moment.
//!
//! Zones and limits are known by their names, never by their numbers. Both ways to the registers are
//! listed, MSR (TPMI registers under the same name) and MMIO: the lower limit of the two acts, so
//! nothing is left out as double here. Nothing is kept open: limits are read every few seconds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jouled_core::parse;
use jouled_core::parse::powercap::zone_name;
use rustix::io::Errno;

use crate::limits_attributes::{Attributes, Kernel};
use crate::limits_words as words;
use crate::powercap_topology::{numbers, parent_of};

/// The control type of the registers that are reached through memory.
const MMIO: &str = "intel-rapl-mmio";
/// The kernel knows three limits of a zone; no zone has more than this.
const MOST_CONSTRAINTS: u32 = 16;
/// More zones than any machine has; what lies beyond is not looked at.
const MOST_ZONES: usize = 4096;

/// How the registers of a zone are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// The control type `intel-rapl`: MSR, or TPMI.
    Msr,
    /// The control type `intel-rapl-mmio`.
    Mmio,
}

impl Interface {
    /// Its word in Python and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Msr => "msr",
            Self::Mmio => "mmio",
        }
    }
}

/// One limit of a zone. `None` is what the zone does not have, or did not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraint {
    /// The N of its files `constraint_N_*`.
    pub number: u32,
    /// `long_term`, `short_term`, `peak_power`, or a name that is not known, whole.
    pub name: String,
    /// The limit, µW.
    pub power: Option<u64>,
    /// What it is an average over, µs; `None` for a peak, which the kernel shows as 0.
    pub window: Option<u64>,
    /// What the processor is made for, µW: no hard maximum, and 0 where it is not told.
    pub max_power: Option<u64>,
    /// The least that may be asked for, µW.
    pub min_power: Option<u64>,
    /// The shortest window, µs.
    pub min_window: Option<u64>,
    /// The longest window, µs.
    pub max_window: Option<u64>,
    /// Why the limit cannot be read: the file, the kernel's answer and the fix.
    pub problem: Option<String>,
}

/// One directory of the powercap class, with its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitZone {
    /// Its name in the class directory: `intel-rapl:0:1`.
    pub id: String,
    /// The directory.
    pub directory: PathBuf,
    /// What its `name` says: `package-0-die-1`, `dram`, `psys`.
    pub name: String,
    /// How its registers are reached.
    pub interface: Interface,
    /// The socket, of the zone itself or of what it lies in; `None` for psys.
    pub package: Option<u32>,
    /// The die, where zones are per die.
    pub die: Option<u32>,
    /// The zone that this one lies in.
    pub parent: Option<String>,
    /// Whether its limits act; `None` where that cannot be read.
    pub enabled: Option<bool>,
    /// Its limits in the order of their numbers.
    pub constraints: Vec<Constraint>,
    /// What is wrong with the zone as a whole: a line each.
    pub problems: Vec<String>,
}

/// Reads all zones, parents before children, MSR before MMIO. A host without any, as a virtual
/// machine is, has an empty list; one zone that fails hides no other.
pub fn read_limits(sys: &Path) -> Vec<LimitZone> {
    read_from(&Kernel, &sys.join("class/powercap"))
}

pub(crate) fn read_from(files: &dyn Attributes, class_directory: &Path) -> Vec<LimitZone> {
    let mut ids = files.names(class_directory).unwrap_or_default();
    ids.retain(|id| interface_of(id).is_some());
    ids.sort_by_key(|id| numbers(id));
    ids.truncate(MOST_ZONES);
    let mut sockets = HashMap::new();
    let mut zones = Vec::new();
    for id in ids {
        // A zone without a name went away between listing and reading.
        let Some(zone) = read_zone(files, class_directory, &id, &sockets) else {
            continue;
        };
        sockets.insert(id, (zone.package, zone.die));
        zones.push(zone);
    }
    zones
}

/// What `intel-rapl:0:a` is reached by; `None` for names that no zone of limits has.
pub(crate) fn interface_of(id: &str) -> Option<Interface> {
    let (control_type, rest) = id.split_once(':')?;
    let is_number = |part: &str| {
        !part.is_empty() && part.len() <= 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if !rest.split(':').all(is_number) {
        return None;
    }
    match control_type {
        "intel-rapl" => Some(Interface::Msr),
        MMIO => Some(Interface::Mmio),
        _ => None,
    }
}

type Socket = (Option<u32>, Option<u32>);

fn read_zone(
    files: &dyn Attributes,
    class_directory: &Path,
    id: &str,
    sockets: &HashMap<String, Socket>,
) -> Option<LimitZone> {
    let directory = class_directory.join(id);
    let name = files.word(&directory.join("name")).ok()?;
    let parent = parent_of(id).map(str::to_owned);
    let inherited = parent.as_ref().and_then(|parent| sockets.get(parent));
    let (package, die) = own_socket(&name)
        .or_else(|| inherited.copied())
        .unwrap_or_default();
    let mut problems = Vec::new();
    let path = directory.join("enabled");
    let enabled = match files.word(&path).as_deref() {
        Ok("1") => Some(true),
        Ok("0") => Some(false),
        Ok(_) | Err(&Errno::NOENT) => None,
        Err(errno) => {
            problems.push(words::unreadable(&path, *errno));
            None
        }
    };
    let constraints = read_constraints(files, &directory);
    if constraints.is_empty() && package.is_some() && parent.is_none() {
        problems.push(words::no_limits(&directory, &name));
    }
    let interface = interface_of(id)?;
    Some(LimitZone {
        id: id.to_owned(),
        directory,
        name,
        interface,
        package,
        die,
        parent,
        enabled,
        constraints,
        problems,
    })
}

/// The socket and die that a zone's name holds.
fn own_socket(name: &str) -> Option<Socket> {
    let index = zone_name(name.as_bytes()).index?;
    let (package, die) = match index.split_once('-') {
        Some((package, die)) => (package, Some(die)),
        None => (index.as_str(), None),
    };
    Some((package.parse().ok(), die.and_then(|die| die.parse().ok())))
}

fn read_constraints(files: &dyn Attributes, directory: &Path) -> Vec<Constraint> {
    let named = (0..MOST_CONSTRAINTS).map_while(|number| {
        let path = directory.join(format!("constraint_{number}_name"));
        match files.word(&path) {
            Err(Errno::NOENT) => None,
            // One that does not tell its name is still there, and others may follow it.
            word => Some((number, word)),
        }
    });
    named
        .map(|(number, name)| match name {
            Ok(name) => read_constraint(files, directory, number, name),
            Err(errno) => Constraint {
                number,
                problem: Some(words::unreadable(
                    &directory.join(format!("constraint_{number}_name")),
                    errno,
                )),
                ..Constraint::default()
            },
        })
        .collect()
}

fn read_constraint(
    files: &dyn Attributes,
    directory: &Path,
    number: u32,
    name: String,
) -> Constraint {
    let mut problem = None;
    let mut read = |attribute: &str, is_needed: bool| {
        let path = directory.join(format!("constraint_{number}_{attribute}"));
        let trouble = match files.word(&path) {
            Ok(text) => match parse::number(text.as_bytes()) {
                Some(value) => return Some(value),
                None => words::no_number(&path, &text),
            },
            // Many limits have no window and no range: nothing is wrong with them.
            Err(Errno::NODATA | Errno::NOENT) if !is_needed => return None,
            Err(errno) => words::unreadable(&path, errno),
        };
        problem.get_or_insert(trouble);
        None
    };
    let power = read("power_limit_uw", true);
    let window = read("time_window_us", false).filter(|window| *window > 0);
    let max_power = read("max_power_uw", false);
    let min_power = read("min_power_uw", false);
    let min_window = read("min_time_window_us", false);
    let max_window = read("max_time_window_us", false);
    Constraint {
        number,
        name,
        power,
        window,
        max_power,
        min_power,
        min_window,
        max_window,
        problem,
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
