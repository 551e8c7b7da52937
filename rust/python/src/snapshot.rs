//! `jouled._core.Snapshot` and `ScanStats`.

use std::collections::HashMap;

use jouled_core::exposition::{self, Format};
use jouled_core::snapshot::{LevelSnapshot, RowSnapshot, ZoneSnapshot};
use jouled_core::units::Joules;
use jouled_host::observer::Observation;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::rows::{self, Sort, Workload, Zone};

/// A zone's labels: class, index, source.
type ZoneKey = (String, String, String);

/// What scanning has cost and met since the scanner was opened.
#[pyclass(frozen, get_all, module = "jouled._core")]
pub(crate) struct ScanStats {
    /// How long the last scan took.
    seconds: f64,
    /// CPU seconds of all scans.
    cpu_seconds_total: f64,
    /// Processes in the last scan.
    processes: usize,
    /// Cgroups in the last scan.
    cgroups: usize,
    /// Processes and cgroups that could not be read, each time it was tried.
    unreadable_total: u64,
    /// Processes that ended between being listed and being read.
    vanished_total: u64,
    /// Pids that were found to belong to another process than before.
    reused_total: u64,
    /// Zones that could not be read, by (class, index, source).
    zone_read_errors_total: HashMap<ZoneKey, u64>,
    /// Counters that started again without a wrap, by (class, index, source).
    zone_resets_total: HashMap<ZoneKey, u64>,
    /// Counters that wrapped, by (class, index, source).
    zone_wraps_total: HashMap<ZoneKey, u64>,
}

/// The ledger after one tick; it does not change any more.
#[pyclass(frozen, module = "jouled._core")]
pub(crate) struct Snapshot {
    observation: Observation,
}

impl From<Observation> for Snapshot {
    fn from(observation: Observation) -> Self {
        Self { observation }
    }
}

#[pymethods]
impl Snapshot {
    /// The number of ticks so far; 1 is the baseline.
    #[getter]
    fn sequence(&self) -> u64 {
        self.observation.snapshot.sequence
    }

    /// When the tick was, UTC seconds.
    #[getter]
    fn wall_s(&self) -> f64 {
        self.observation.snapshot.wall_s
    }

    /// The seconds since the tick before; None for the baseline.
    #[getter]
    fn interval_s(&self) -> Option<f64> {
        self.observation
            .snapshot
            .span
            .map(jouled_core::units::Nanos::seconds)
    }

    /// The part of the CPUs' time that was busy, 0 to 1; None for the baseline.
    #[getter]
    fn busy_ratio(&self) -> Option<f64> {
        self.observation.snapshot.busy_ratio
    }

    /// Watts by zone class, summed over its zones; a class that was not measured is left out.
    #[getter]
    fn watts(&self) -> HashMap<String, f64> {
        let powers = self.observation.snapshot.class_power();
        powers
            .into_iter()
            .map(|(class, power)| (class.to_string(), power.0))
            .collect()
    }

    /// Every zone that was ever seen.
    fn zones(&self) -> Vec<Zone> {
        let zones = &self.observation.snapshot.zones;
        zones.iter().map(Zone::from).collect()
    }

    /// The levels that are computed: "process", "unit", "container", "pod", "vm", "user".
    #[getter]
    fn levels(&self) -> Vec<&'static str> {
        let levels = &self.observation.snapshot.levels;
        levels.iter().map(|level| level.level.as_str()).collect()
    }

    /// The workloads of a level, sorted by "watts", "joules", "cpu" or "name"; the first `limit` of them.
    ///
    /// Raises ValueError for a level that is not computed, and a sort that is none.
    #[pyo3(signature = (level, sort: "str" = "watts", limit: "int | None" = None))]
    fn workloads(&self, level: &str, sort: &str, limit: Option<usize>) -> PyResult<Vec<Workload>> {
        let snapshot = &self.observation.snapshot;
        let sort: Sort = sort.parse().map_err(PyValueError::new_err)?;
        let column = rows::primary(&snapshot.classes);
        let mut found: Vec<&RowSnapshot> = self.level(level)?.rows.iter().collect();
        found.sort_by(|a, b| sort.compare(column, a, b));
        found.truncate(limit.unwrap_or(usize::MAX));
        Ok(found
            .into_iter()
            .map(|row| Workload::of(row, &snapshot.classes))
            .collect())
    }

    /// How many workloads a level has.
    ///
    /// Raises ValueError for a level that is not computed.
    fn count(&self, level: &str) -> PyResult<usize> {
        Ok(self.level(level)?.rows.len())
    }

    /// The same for those who may not read finely: joules rounded down to steps of
    /// `resolution_j`, and watts to what such steps give; as it is where that is 0.
    fn coarse(&self, py: Python<'_>, resolution_j: f64) -> Self {
        py.detach(|| {
            Self::from(Observation {
                snapshot: self.observation.snapshot.coarse(Joules(resolution_j)),
                stats: self.observation.stats.clone(),
                problems: self.observation.problems.clone(),
            })
        })
    }

    /// What no workload of a level owns, by reason. With the workloads it is all active energy.
    ///
    /// Raises ValueError for a level that is not computed.
    fn residuals(&self, level: &str) -> PyResult<Vec<Workload>> {
        let classes = &self.observation.snapshot.classes;
        let residuals = &self.level(level)?.residuals;
        Ok(residuals
            .iter()
            .map(|row| Workload::of(row, classes))
            .collect())
    }

    /// What went wrong in this tick, a line each, the same words for the same trouble.
    #[getter]
    fn problems(&self) -> Vec<String> {
        self.observation.problems.clone()
    }

    /// What scanning has cost and met.
    #[getter]
    fn scan(&self) -> ScanStats {
        let stats = &self.observation.stats;
        ScanStats {
            seconds: stats.seconds,
            cpu_seconds_total: stats.cpu_seconds_total,
            processes: stats.processes,
            cgroups: stats.cgroups,
            unreadable_total: stats.troubles.unreadable + stats.unreadable_cgroups_total,
            vanished_total: stats.troubles.vanished,
            reused_total: stats.troubles.reused,
            zone_read_errors_total: self.by_zone(|zone| zone.read_errors),
            zone_resets_total: self.by_zone(|zone| zone.resets),
            zone_wraps_total: self.by_zone(|zone| zone.wraps),
        }
    }

    /// The page as Prometheus text, or as OpenMetrics without its final "# EOF". Renders anew
    /// at each call, with the interpreter running on.
    fn exposition<'py>(&self, py: Python<'py>, openmetrics: bool) -> Bound<'py, PyBytes> {
        let format = if openmetrics {
            Format::OpenMetrics
        } else {
            Format::Prometheus
        };
        let text = py.detach(|| exposition::render(&self.observation.snapshot, format));
        PyBytes::new(py, &text)
    }

    fn __repr__(&self) -> String {
        let snapshot = &self.observation.snapshot;
        let watts: Vec<String> = snapshot
            .class_power()
            .iter()
            .map(|(class, power)| format!(" {class}={:.1}W", power.0))
            .collect();
        format!("<Snapshot {}{}>", snapshot.sequence, watts.concat())
    }
}

impl Snapshot {
    fn level(&self, name: &str) -> PyResult<&LevelSnapshot> {
        let levels = &self.observation.snapshot.levels;
        let level = levels.iter().find(|level| level.level.as_str() == name);
        level.ok_or_else(|| {
            let known = self.levels().join(", ");
            PyValueError::new_err(format!(
                "level {name:?} is not computed; use one of {known}"
            ))
        })
    }

    fn by_zone(&self, count: impl Fn(&ZoneSnapshot) -> u64) -> HashMap<ZoneKey, u64> {
        let key = |zone: &ZoneSnapshot| {
            (
                zone.zone.class.clone(),
                zone.zone.index.clone(),
                zone.zone.source.as_str().to_owned(),
            )
        };
        self.observation
            .snapshot
            .zones
            .iter()
            .map(|zone| (key(zone), count(zone)))
            .collect()
    }
}
