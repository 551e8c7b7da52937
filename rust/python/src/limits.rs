//! `jouled._core.read_limits` and `write_limit`: power limits of the powercap class.

use std::path::Path;

use jouled_host::{limits, limits_write};
use pyo3::prelude::*;

use crate::errors::limit_error;

/// One limit of a zone. None is what the zone does not have, or did not tell.
#[pyclass(frozen, get_all, module = "jouled._core")]
pub(crate) struct LimitConstraint {
    /// The N of its files constraint_N_*.
    number: u32,
    /// "long_term", "short_term", "peak_power", or a name that is not known.
    name: String,
    /// The limit in microwatts.
    power_uw: Option<u64>,
    /// What it is an average over, in microseconds.
    window_us: Option<u64>,
    /// What the processor is made for, in microwatts: no hard maximum.
    max_power_uw: Option<u64>,
    /// The least that may be asked for, in microwatts.
    min_power_uw: Option<u64>,
    /// The shortest window in microseconds.
    min_window_us: Option<u64>,
    /// The longest window in microseconds.
    max_window_us: Option<u64>,
    /// Why the limit cannot be read: a line with the file and the fix.
    problem: Option<String>,
}

/// One directory of the powercap class, with its limits.
#[pyclass(frozen, module = "jouled._core")]
pub(crate) struct LimitZone {
    zone: limits::LimitZone,
}

#[pymethods]
impl LimitZone {
    /// Its name in the class directory: "intel-rapl:0:1".
    #[getter]
    fn id(&self) -> &str {
        &self.zone.id
    }

    /// The directory.
    #[getter]
    fn directory(&self) -> String {
        self.zone.directory.display().to_string()
    }

    /// What its file `name` says: "package-0-die-1", "dram", "psys".
    #[getter]
    fn name(&self) -> &str {
        &self.zone.name
    }

    /// "msr" (TPMI too) or "mmio".
    #[getter]
    fn interface(&self) -> &'static str {
        self.zone.interface.as_str()
    }

    /// The socket, of the zone itself or of what it lies in; None for psys.
    #[getter]
    fn package(&self) -> Option<u32> {
        self.zone.package
    }

    /// The die, where zones are per die.
    #[getter]
    fn die(&self) -> Option<u32> {
        self.zone.die
    }

    /// The id of the zone that this one lies in.
    #[getter]
    fn parent(&self) -> Option<&str> {
        self.zone.parent.as_deref()
    }

    /// Whether its limits act; None where that cannot be read.
    #[getter]
    fn enabled(&self) -> Option<bool> {
        self.zone.enabled
    }

    /// Its limits in the order of their numbers.
    #[getter]
    fn constraints(&self) -> Vec<LimitConstraint> {
        self.zone
            .constraints
            .iter()
            .cloned()
            .map(LimitConstraint::from)
            .collect()
    }

    /// What is wrong with the zone as a whole: a line each.
    #[getter]
    fn problems(&self) -> Vec<String> {
        self.zone.problems.clone()
    }

    fn __repr__(&self) -> String {
        format!("<LimitZone {} {}>", self.zone.id, self.zone.name)
    }
}

impl From<limits::Constraint> for LimitConstraint {
    fn from(constraint: limits::Constraint) -> Self {
        Self {
            number: constraint.number,
            name: constraint.name,
            power_uw: constraint.power,
            window_us: constraint.window,
            max_power_uw: constraint.max_power,
            min_power_uw: constraint.min_power,
            min_window_us: constraint.min_window,
            max_window_us: constraint.max_window,
            problem: constraint.problem,
        }
    }
}

/// Reads the power limits of every zone below SYSFS/class/powercap, parents before children, MSR
/// before MMIO; the interpreter runs on meanwhile. Empty where there are none. Nothing is raised:
/// what cannot be read is None, with a line that says why.
#[pyfunction]
#[pyo3(signature = (*, sysfs: "str" = "/sys"))]
pub(crate) fn read_limits(py: Python<'_>, sysfs: &str) -> Vec<LimitZone> {
    let zones = py.detach(|| limits::read_limits(Path::new(sysfs)));
    zones.into_iter().map(|zone| LimitZone { zone }).collect()
}

/// Writes one attribute of a zone's directory and returns what it holds then, which may be another
/// value: limits are rounded, and clamped ones keep what they held. Microwatts, microseconds, 0 or 1.
///
/// Only constraint_N_power_limit_uw, constraint_N_time_window_us and enabled, in a directory
/// SYS/class/powercap/intel-rapl:N, are ever written, in one write; no file is made.
///
/// Raises LimitError with the file, the cause and the fix; its `reason` says what to do.
#[pyfunction]
#[pyo3(signature = (directory: "str", attribute: "str", value: "int"))]
pub(crate) fn write_limit(
    py: Python<'_>,
    directory: &str,
    attribute: &str,
    value: u64,
) -> PyResult<u64> {
    // Imported now: a write that fails for want of descriptors could not import its own error.
    py.import("jouled.errors")?;
    py.detach(|| limits_write::write_limit(Path::new(directory), attribute, value))
        .map_err(limit_error)
}
