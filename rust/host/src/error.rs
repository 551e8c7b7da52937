//! Errors named by what to do about them.

use std::path::PathBuf;

/// The scan cannot be done at all: stop.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A file that every scan needs could not be read.
    #[error("read {path}: {source}; {fix}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        source: std::io::Error,
        /// What to do about it.
        fix: &'static str,
    },
    /// A file that every scan needs held something else.
    #[error("parse {path}: {source}; {fix}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: jouled_core::parse::ParseError,
        /// What to do about it.
        fix: &'static str,
    },
}

/// A meter that does not work on this host: start without it and say so once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{meter}: {reason}")]
pub struct Unsupported {
    /// The meter, as `--meter` names it.
    pub meter: &'static str,
    /// What was looked for, where, and what to do: names the file and the fix.
    pub reason: String,
}

impl ScanError {
    /// The error of reading a file below the proc root.
    pub(crate) fn of_proc(path: PathBuf, errno: rustix::io::Errno) -> Self {
        let fix = match errno {
            rustix::io::Errno::MFILE | rustix::io::Errno::NFILE => {
                "raise the limit of open files (LimitNOFILE, ulimit -n)"
            }
            _ => "name a proc file system with --procfs",
        };
        Self::Read {
            path,
            source: errno.into(),
            fix,
        }
    }
}
