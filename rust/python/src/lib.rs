//! The only crate that names `PyO3`: exports and nothing else.

// Doc comments here become Python docstrings: they are written for Python's readers.
#![allow(clippy::doc_markdown)]

mod allot;
mod errors;
mod limits;
mod meter;
mod rows;
mod scanner;
mod snapshot;

use pyo3::prelude::*;

/// The measuring core of jouled: scans a host and keeps its ledger.
#[pymodule]
mod _core {
    /// The version of jouled.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    use super::allot::allot;
    #[pymodule_export]
    use super::limits::{LimitConstraint, LimitZone, read_limits, write_limit};
    #[pymodule_export]
    use super::meter::{Meter, Reading, ZoneCount, thread_cpu_ns, tree_cpu_ns};
    #[pymodule_export]
    use super::rows::{Workload, Zone};
    #[pymodule_export]
    use super::scanner::Scanner;
    #[pymodule_export]
    use super::snapshot::{ScanStats, Snapshot};
}
