//! Where the host is: the live one, or a captured or written tree.

use std::path::{Path, PathBuf};

/// The roots of the file systems that a scan reads.
#[derive(Clone, Debug)]
pub struct Root {
    /// `/proc`, or a tree in its shape.
    pub proc: PathBuf,
    /// `/sys`, or a tree in its shape.
    pub sys: PathBuf,
}

impl Root {
    /// The host whose `/proc` and `/sys` are these directories.
    pub fn at(proc: impl Into<PathBuf>, sys: impl Into<PathBuf>) -> Self {
        Self {
            proc: proc.into(),
            sys: sys.into(),
        }
    }

    /// Where `/etc/passwd` of this host is: beside its `/proc`.
    pub fn passwd(&self) -> PathBuf {
        self.proc
            .parent()
            .unwrap_or(Path::new("/"))
            .join("etc/passwd")
    }
}
