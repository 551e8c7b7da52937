//! `jouled._core.Scanner`.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use jouled_core::book::Retention;
use jouled_core::compat::Compat;
use jouled_core::idle::IdlePolicy;
use jouled_core::ledger::LedgerOptions;
use jouled_core::level::Level;
use jouled_core::units::Nanos;
use jouled_host::fake::FakeZone;
use jouled_host::kepler;
use jouled_host::meters::{self, MeterOptions, MeterWord};
use jouled_host::observer::Observer;
use jouled_host::root::Root;
use jouled_host::scanner;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::{scan_error, unsupported};
use crate::snapshot::Snapshot;

/// Scans a host and keeps its ledger. Safe to use from any thread; ticks wait for each other.
#[pyclass(frozen, module = "jouled._core")]
pub(crate) struct Scanner {
    observer: Mutex<Observer>,
    /// The source of the numbers: "rapl", "hwmon", "battery", "estimate" or "fake".
    #[pyo3(get)]
    source: &'static str,
    notices: Vec<String>,
}

#[pymethods]
impl Scanner {
    /// Opens the host whose /proc and /sys are at `procfs` and `sysfs`.
    ///
    /// `meters` are tried in their order, `zones` keeps zones of these classes only, `levels`
    /// are computed (all by default), `top` bounds the rows of each level, `idle` is "ratio" or
    /// "learned", ended rows stay for `terminated_s` seconds and `terminated_max` of a level.
    /// The estimate's watts are per CPU. Fake zones are written "package:0=40W". With "kepler" in
    /// `compat` the page has its families too, labelled with `node_name` (the host's by default).
    ///
    /// Raises ValueError for a word that is none, UnsupportedError where no meter works,
    /// ScanError where `procfs` is no proc file system.
    #[new]
    #[pyo3(signature = (*, procfs: "str" = "/proc", sysfs: "str" = "/sys", meters: "list[str] | None" = None,
        zones: "list[str] | None" = None, levels: "list[str] | None" = None, top: "int | None" = None,
        idle: "str" = "ratio", terminated_s: "float" = 120.0, terminated_max: "int" = 500,
        estimate_idle_w: "float | None" = None, estimate_max_w: "float | None" = None,
        fake_zones: "list[str] | None" = None, fake_seed: "int" = 0, compat: "list[str] | None" = None,
        node_name: "str | None" = None))]
    #[allow(clippy::too_many_arguments)] // keyword arguments: each has its name at the call
    fn new(
        py: Python<'_>,
        procfs: &str,
        sysfs: &str,
        meters: Option<Vec<String>>,
        zones: Option<Vec<String>>,
        levels: Option<Vec<String>>,
        top: Option<usize>,
        idle: &str,
        terminated_s: f64,
        terminated_max: usize,
        estimate_idle_w: Option<f64>,
        estimate_max_w: Option<f64>,
        fake_zones: Option<Vec<String>>,
        fake_seed: u64,
        compat: Option<Vec<String>>,
        node_name: Option<&str>,
    ) -> PyResult<Self> {
        // Imported now: a scan that fails for want of descriptors could not import its own error.
        py.import("jouled.errors")?;
        let options = MeterOptions {
            words: words::<MeterWord>(&meters.unwrap_or_else(|| vec!["auto".into()]))?,
            zones: zones.unwrap_or_default(),
            estimate_idle_w,
            estimate_max_w,
            fake_zones: fake_zones
                .unwrap_or_default()
                .iter()
                .map(|zone| FakeZone::parse(zone).map_err(PyValueError::new_err))
                .collect::<PyResult<_>>()?,
            fake_seed,
        };
        let levels = levels.map_or_else(|| Ok(Level::ALL.to_vec()), |levels| words(&levels))?;
        let keep = nanos(terminated_s)
            .ok_or_else(|| PyValueError::new_err("terminated_s must be zero or more seconds"))?;
        let root = Root::at(procfs, sysfs);
        let is_kepler = words::<Compat>(&compat.unwrap_or_default())?.contains(&Compat::Kepler);
        let ledger = LedgerOptions {
            levels,
            top,
            idle: word::<IdlePolicy>(idle)?,
            retention: Retention {
                keep,
                most: terminated_max,
            },
            kepler: is_kepler.then(|| Arc::new(kepler::node(&root, node_name))),
        };
        scanner::check(&root).map_err(|error| scan_error(&error))?;
        let opened = meters::open(&root, &options).map_err(|tried| unsupported(&tried))?;
        let source = opened.meter.source().as_str();
        let observer =
            Observer::open(&root, opened.meter, &ledger).map_err(|error| scan_error(&error))?;
        Ok(Self {
            observer: Mutex::new(observer),
            source,
            notices: opened.notices,
        })
    }

    /// What is to be said once at the start: an estimate's warning, meters that were passed over.
    fn notices(&self) -> Vec<String> {
        self.notices.clone()
    }

    /// Scans once and books what happened since the last time; the interpreter runs on
    /// meanwhile. The first tick is the baseline and has no interval.
    ///
    /// Raises ScanError where /proc itself cannot be read; nothing has changed then.
    fn tick(&self, py: Python<'_>) -> PyResult<Snapshot> {
        py.detach(|| {
            // A panic inside a tick has ended the daemon; whoever still comes here is a test.
            let mut observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner);
            observer
                .tick()
                .map(Snapshot::from)
                .map_err(|error| scan_error(&error))
        })
    }

    fn __repr__(&self) -> String {
        format!("<Scanner source={}>", self.source)
    }
}

fn word<T: FromStr<Err = String>>(text: &str) -> PyResult<T> {
    text.parse().map_err(PyValueError::new_err)
}

pub(crate) fn words<T: FromStr<Err = String>>(texts: &[String]) -> PyResult<Vec<T>> {
    texts.iter().map(|text| word(text)).collect()
}

/// Seconds as nanoseconds; `None` for what is no span.
fn nanos(seconds: f64) -> Option<Nanos> {
    std::time::Duration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|span| u64::try_from(span.as_nanos()).ok())
        .map(Nanos)
}
