//! `jouled._core.Meter`: zone counters read when they are asked for; and the CPU clocks that share them out.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jouled_core::units::Nanos;
use jouled_core::zone::Zone;
use jouled_host::counters::{self, Counters};
use jouled_host::fake::FakeZone;
use jouled_host::meters::{self, MeterOptions, MeterWord};
use jouled_host::process_tree;
use jouled_host::root::Root;
use jouled_host::scanner;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::{scan_error, unsupported};
use crate::scanner::words;

/// Nobody waits longer for a counter to move.
const LONGEST_WAIT_S: f64 = 1.0;

/// Reads energy counters when asked: no scan and no ledger. Safe to use from any thread; reads wait
/// for each other.
#[pyclass(frozen, module = "jouled._core")]
pub(crate) struct Meter {
    counters: Mutex<Counters>,
    /// The source of the numbers: "rapl", "hwmon", "battery", "estimate" or "fake".
    #[pyo3(get)]
    source: &'static str,
    notices: Vec<String>,
}

#[pymethods]
impl Meter {
    /// Opens the first of `meters` that works on the host whose /proc and /sys are at `procfs` and
    /// `sysfs`, as the Scanner does. The estimate's watts are per CPU; fake zones are written
    /// "package:0=40W".
    ///
    /// Raises ValueError for a word that is none, UnsupportedError where no meter works,
    /// ScanError where `procfs` is no proc file system.
    #[new]
    #[pyo3(signature = (*, procfs: "str" = "/proc", sysfs: "str" = "/sys", meters: "list[str] | None" = None,
        zones: "list[str] | None" = None, estimate_idle_w: "float | None" = None,
        estimate_max_w: "float | None" = None, fake_zones: "list[str] | None" = None, fake_seed: "int" = 0))]
    #[allow(clippy::too_many_arguments)] // keyword arguments: each has its name at the call
    fn new(
        py: Python<'_>,
        procfs: &str,
        sysfs: &str,
        meters: Option<Vec<String>>,
        zones: Option<Vec<String>>,
        estimate_idle_w: Option<f64>,
        estimate_max_w: Option<f64>,
        fake_zones: Option<Vec<String>>,
        fake_seed: u64,
    ) -> PyResult<Self> {
        // Imported now: an open that fails for want of descriptors could not import its own error.
        py.import("jouled.errors")?;
        let fake_zones = fake_zones.unwrap_or_default();
        let options = MeterOptions {
            words: words::<MeterWord>(&meters.unwrap_or_else(|| vec!["auto".into()]))?,
            zones: zones.unwrap_or_default(),
            estimate_idle_w,
            estimate_max_w,
            fake_zones: fake_zones
                .iter()
                .map(|zone| FakeZone::parse(zone).map_err(PyValueError::new_err))
                .collect::<PyResult<_>>()?,
            fake_seed,
        };
        let root = Root::at(procfs, sysfs);
        scanner::check(&root).map_err(|error| scan_error(&error))?;
        let opened = py.detach(|| meters::open(&root, &options));
        let opened = opened.map_err(|tried| unsupported(&tried))?;
        let source = opened.meter.source().as_str();
        Ok(Self {
            counters: Mutex::new(Counters::open(Path::new(procfs), opened.meter)),
            source,
            notices: opened.notices,
        })
    }

    /// What is to be said once at the start: an estimate's warning, meters that were passed over.
    fn notices(&self) -> Vec<String> {
        self.notices.clone()
    }

    /// Reads every zone once; the interpreter runs on meanwhile. The first reading is the
    /// baseline: 0 J. How busy the machine was is read too where `with_load`, or a model needs it.
    ///
    /// With `edge_s` it reads until the counter of the first package (or psys) moves, for so many
    /// seconds at most (1 s is the longest), so that the moment of its step is known.
    ///
    /// A zone that fails is a gap in that zone and a line in `problems`; nothing is raised for it.
    #[pyo3(signature = (*, with_load: "bool" = false, edge_s: "float | None" = None))]
    fn read(&self, py: Python<'_>, with_load: bool, edge_s: Option<f64>) -> Reading {
        let limit = edge_s.map(|seconds| seconds.clamp(0.0, LONGEST_WAIT_S) * 1e9);
        let reading = py.detach(|| {
            // A panic inside a read has passed through the interpreter; the sums stand as they were.
            let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
            match limit {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped above
                Some(limit) => counters.read_at_edge(Nanos(limit as u64), with_load),
                None => counters.read(with_load),
            }
        });
        Reading { reading }
    }

    fn __repr__(&self) -> String {
        format!("<Meter source={}>", self.source)
    }
}

/// What the counters held at one moment; it does not change any more.
#[pyclass(frozen, module = "jouled._core")]
pub(crate) struct Reading {
    reading: counters::Reading,
}

#[pymethods]
impl Reading {
    /// When the reading began, nanoseconds of CLOCK_MONOTONIC.
    #[getter]
    fn at_ns(&self) -> u64 {
        self.reading.at.0
    }

    /// Every zone that was ever seen.
    #[getter]
    fn zones(&self) -> Vec<ZoneCount> {
        let zones = self.reading.zones.iter();
        zones.map(ZoneCount::from).collect()
    }

    /// CPU seconds that all CPUs worked since the load was first read; None where it was not.
    #[getter]
    fn busy_s(&self) -> Option<f64> {
        self.reading.load.map(|load| load.busy.seconds())
    }

    /// CPU seconds that all CPUs could have worked since the load was first read; None where it was not.
    #[getter]
    fn capacity_s(&self) -> Option<f64> {
        self.reading.load.map(|load| load.capacity.seconds())
    }

    /// What went wrong, a line each, the same words for the same trouble.
    #[getter]
    fn problems(&self) -> Vec<String> {
        self.reading.problems.clone()
    }

    fn __repr__(&self) -> String {
        let zones = self.reading.zones.iter();
        let zones: Vec<String> = zones
            .map(|count| {
                format!(
                    " {}:{}={:.3}J",
                    count.zone.class, count.zone.index, count.joules.0
                )
            })
            .collect();
        format!("<Reading{}>", zones.concat())
    }
}

/// What one zone has counted since the meter was opened.
#[pyclass(frozen, module = "jouled._core")]
pub(crate) struct ZoneCount {
    identity: Arc<Zone>,
    kind: counters::Kind,
    /// Joules since the meter was opened; they never fall.
    #[pyo3(get)]
    joules: f64,
    /// When it was read, nanoseconds of CLOCK_MONOTONIC.
    #[pyo3(get)]
    at_ns: u64,
    /// How long that took, in nanoseconds.
    #[pyo3(get)]
    spread_ns: u64,
    /// Mean power over the last tenth of a second or more; None where it is not known yet.
    #[pyo3(get)]
    watts: Option<f64>,
    /// How many times its energy was not known for a while: what lies across one is not known.
    #[pyo3(get)]
    gaps: u64,
    /// Whether it was read just as its counter moved.
    #[pyo3(get)]
    is_edge: bool,
}

impl From<&counters::ZoneCount> for ZoneCount {
    fn from(count: &counters::ZoneCount) -> Self {
        Self {
            identity: Arc::clone(&count.zone),
            kind: count.kind,
            joules: count.joules.0,
            at_ns: count.at.0,
            spread_ns: count.spread.0,
            watts: count.power.map(|power| power.0),
            gaps: count.gaps,
            is_edge: count.is_edge,
        }
    }
}

#[pymethods]
impl ZoneCount {
    /// The class: "package", "dram", "core", "uncore", "psys", or the sensor's label.
    #[getter]
    fn zone(&self) -> &str {
        &self.identity.class
    }

    /// The socket or die, or the sensor's place.
    #[getter]
    fn index(&self) -> &str {
        &self.identity.index
    }

    /// "rapl", "hwmon", "battery", "estimate" or "fake".
    #[getter]
    fn source(&self) -> &'static str {
        self.identity.source.as_str()
    }

    /// The directory or file that it is read from.
    #[getter]
    fn path(&self) -> &str {
        &self.identity.path
    }

    /// "counter", a "gauge" of power that is added up, or a "model".
    #[getter]
    fn kind(&self) -> &'static str {
        self.kind.as_str()
    }

    fn __repr__(&self) -> String {
        let Zone { class, index, .. } = &*self.identity;
        format!("<ZoneCount {class}:{index}={:.3}J>", self.joules)
    }
}

/// CPU time of this process and all that descend from it, the ended ones included, in nanoseconds.
#[pyfunction]
pub(crate) fn tree_cpu_ns() -> u64 {
    process_tree::tree_cpu().0
}

/// CPU time of the calling thread in nanoseconds, or of the thread of this process with that native
/// id; None where it has ended.
#[pyfunction]
#[pyo3(signature = (native_id: "int | None" = None))]
pub(crate) fn thread_cpu_ns(native_id: Option<u32>) -> Option<u64> {
    match native_id {
        Some(native_id) => process_tree::thread_cpu(native_id).map(|cpu| cpu.0),
        None => Some(process_tree::own_thread_cpu().0),
    }
}
