//! How attributes of sysfs are read and written, so that the tests can give errors that plain files
//! never give.

use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::sensor_file::names_in;

/// Longer than any attribute of a zone; what is longer is cut, and is no number then.
const LONGEST_TEXT: usize = 128;

/// The files of the powercap class.
pub(crate) trait Attributes {
    /// The names in a directory, sorted.
    fn names(&self, directory: &Path) -> Result<Vec<String>, Errno>;
    /// The text of an attribute, without the white space around it.
    fn word(&self, path: &Path) -> Result<String, Errno>;
    /// Writes an attribute that is there, in one write.
    fn put(&self, path: &Path, text: &str) -> Result<(), Errno>;
}

/// The running kernel's, or a tree of plain files in their shape.
#[derive(Debug)]
pub(crate) struct Kernel;

impl Attributes for Kernel {
    fn names(&self, directory: &Path) -> Result<Vec<String>, Errno> {
        names_in(directory).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    fn word(&self, path: &Path) -> Result<String, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
        let mut buffer = [0; LONGEST_TEXT];
        let length = retry_on_intr(|| rustix::io::pread(&file, &mut buffer, 0))?;
        Ok(String::from_utf8_lossy(&buffer[..length]).trim().to_owned())
    }

    /// No file is made, and no link followed: a limit is never written to another place.
    fn put(&self, path: &Path, text: &str) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
        let line = format!("{text}\n");
        let written = retry_on_intr(|| rustix::io::pwrite(&file, line.as_bytes(), 0))?;
        if written != line.len() {
            return Err(Errno::IO);
        }
        // The kernel takes a write as the whole value and ignores this; a plain file would keep the
        // end of a longer value that stood there before.
        let _ = rustix::fs::ftruncate(&file, line.len() as u64);
        Ok(())
    }
}
