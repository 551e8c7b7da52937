//! How Rust's errors look in Python: by what to do about them.

use jouled_host::error::{self, Unsupported};
use jouled_host::limits_write;
use pyo3::PyErr;

pyo3::import_exception!(jouled.errors, LimitError);
pyo3::import_exception!(jouled.errors, ScanError);
pyo3::import_exception!(jouled.errors, UnsupportedError);

/// The scan failed: stop, or try again at the next tick.
pub(crate) fn scan_error(error: &error::ScanError) -> PyErr {
    ScanError::new_err(error.to_string())
}

/// No meter works here: one line with what was tried and why it failed.
pub(crate) fn unsupported(tried: &[Unsupported]) -> PyErr {
    let reasons: Vec<String> = tried.iter().map(ToString::to_string).collect();
    UnsupportedError::new_err(format!(
        "no meter works on this host: {}",
        reasons.join("; ")
    ))
}

/// The limit was not written: the line, and what kind of refusal it is.
pub(crate) fn limit_error(error: limits_write::LimitError) -> PyErr {
    LimitError::new_err((error.line, error.refusal.as_str()))
}
