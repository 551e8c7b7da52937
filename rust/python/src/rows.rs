//! `jouled._core.Zone` and `Workload`: single rows of a snapshot, made only when they are asked for.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::str::FromStr;

use jouled_core::labels;
use jouled_core::snapshot::{self, ClassSnapshot, RowSnapshot, ZoneSnapshot};
use pyo3::prelude::*;

/// One zone: a hardware energy counter. Joules count since `created_s` and never fall.
#[pyclass(frozen, get_all, module = "jouled._core")]
#[allow(clippy::struct_field_names)] // `zone` is what the label is called everywhere
pub(crate) struct Zone {
    /// The class: "package", "dram", "core", "uncore", "psys", or the sensor's label.
    zone: String,
    /// The socket or die, or the sensor's place.
    index: String,
    /// "rapl", "hwmon", "battery", "estimate" or "fake".
    source: String,
    /// The directory or file that it is read from.
    path: String,
    /// All of its energy in joules.
    joules: f64,
    /// The part that work caused.
    active_joules: f64,
    /// The part that is spent in any case.
    idle_joules: f64,
    /// Its mean power in the interval; None where it is unknown.
    watts: Option<f64>,
    /// The part that work caused.
    active_watts: Option<f64>,
    /// The part that is spent in any case.
    idle_watts: Option<f64>,
    /// When its counters started at 0, UTC seconds.
    created_s: f64,
}

impl From<&ZoneSnapshot> for Zone {
    fn from(zone: &ZoneSnapshot) -> Self {
        Self {
            zone: zone.zone.class.clone(),
            index: zone.zone.index.clone(),
            source: zone.zone.source.as_str().to_owned(),
            path: zone.zone.path.clone(),
            joules: zone.total.0,
            active_joules: zone.active.0,
            idle_joules: zone.idle.0,
            watts: zone.power.map(|power| power.total.0),
            active_watts: zone.power.map(|power| power.active.0),
            idle_watts: zone.power.map(|power| power.idle.0),
            created_s: zone.created_s,
        }
    }
}

/// One workload, or one residual (whose labels are "level" and "reason").
// Maps in order: the same snapshot is the same JSON.
#[pyclass(frozen, get_all, module = "jouled._core")]
pub(crate) struct Workload {
    /// What it is: the labels of its series, without "zone".
    labels: BTreeMap<String, String>,
    /// Active joules by zone class since `created_s`.
    joules: BTreeMap<String, f64>,
    /// Mean active power in watts by zone class; empty where the workload has ended, or a class was not measured.
    watts: BTreeMap<String, f64>,
    /// CPU seconds since `created_s`.
    cpu_s: f64,
    /// Whether it still lives.
    is_live: bool,
    /// When its counters started at 0, UTC seconds.
    created_s: f64,
}

impl Workload {
    pub(crate) fn of(row: &RowSnapshot, classes: &[ClassSnapshot]) -> Self {
        let watts = |weight: f64| {
            classes
                .iter()
                .filter_map(|class| Some((class.name.to_string(), weight * class.active?.0)))
                .collect()
        };
        let joules = classes.iter().zip(&row.joules);
        Self {
            labels: labels::pairs(&row.labels).into_iter().collect(),
            joules: joules
                .map(|(class, joules)| (class.name.to_string(), *joules))
                .collect(),
            watts: row.weight.map(watts).unwrap_or_default(),
            cpu_s: row.cpu_s,
            is_live: row.is_live,
            created_s: row.created_s,
        }
    }
}

/// What rows are sorted by.
#[derive(Clone, Copy)]
pub(crate) enum Sort {
    Watts,
    Joules,
    Cpu,
    Name,
}

impl FromStr for Sort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "watts" => Ok(Self::Watts),
            "joules" => Ok(Self::Joules),
            "cpu" => Ok(Self::Cpu),
            "name" => Ok(Self::Name),
            _ => Err(format!(
                "sort {text:?} is not known; use one of watts, joules, cpu, name"
            )),
        }
    }
}

impl Sort {
    /// The largest first, names rising. Every zone class ranks alike by watts; joules are those of
    /// the column that covers most.
    pub(crate) fn compare(self, column: usize, a: &RowSnapshot, b: &RowSnapshot) -> Ordering {
        let joules = |row: &RowSnapshot| row.joules.get(column).copied().unwrap_or_default();
        let weight = |row: &RowSnapshot| row.weight.unwrap_or(-1.0);
        let order = match self {
            Self::Watts => weight(b).total_cmp(&weight(a)),
            Self::Joules => joules(b).total_cmp(&joules(a)),
            Self::Cpu => b.cpu_s.total_cmp(&a.cpu_s),
            Self::Name => Ordering::Equal,
        };
        order.then_with(|| a.labels.cmp(&b.labels))
    }
}

/// The column of the class that covers most of what workloads cause.
pub(crate) fn primary(classes: &[ClassSnapshot]) -> usize {
    let names: Vec<&str> = classes.iter().map(|class| &*class.name).collect();
    snapshot::primary(&names).unwrap_or_default()
}
