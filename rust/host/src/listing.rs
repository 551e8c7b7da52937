//! The process ids in `/proc`, by getdents64.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{RawDir, SeekFrom};
use rustix::io::Errno;

use crate::error::ScanError;
use crate::file;

/// An open `/proc`, or a tree in its shape.
#[derive(Debug)]
pub(crate) struct ProcDir {
    dir: OwnedFd,
    path: std::path::PathBuf,
    buffer: Vec<MaybeUninit<u8>>,
}

impl ProcDir {
    /// Opens the directory.
    pub(crate) fn open(path: &Path) -> Result<Self, ScanError> {
        let dir = file::open_dir(path).map_err(|errno| ScanError::of_proc(path.into(), errno))?;
        // 64 KiB hold the entries of about 2,500 processes.
        Ok(Self {
            dir,
            path: path.into(),
            buffer: vec![MaybeUninit::uninit(); 1 << 16],
        })
    }

    /// The directory, for reading files below it.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Puts the ids of all processes into `pids`, rising.
    pub(crate) fn list(&mut self, pids: &mut Vec<u32>) -> Result<(), ScanError> {
        pids.clear();
        self.fill(pids)
            .map_err(|errno| ScanError::of_proc(self.path.clone(), errno))?;
        // The kernel lists them rising; a tree on disk has any order.
        if !pids.is_sorted() {
            pids.sort_unstable();
        }
        Ok(())
    }

    fn fill(&mut self, pids: &mut Vec<u32>) -> Result<(), Errno> {
        rustix::fs::seek(&self.dir, SeekFrom::Start(0))?;
        let mut entries = RawDir::new(&self.dir, &mut self.buffer);
        while let Some(entry) = entries.next() {
            if let Some(pid) = pid(entry?.file_name().to_bytes()) {
                pids.push(pid);
            }
        }
        Ok(())
    }
}

fn pid(name: &[u8]) -> Option<u32> {
    // No pid begins with a zero, so that no two names are one pid.
    if name.first() == Some(&b'0') {
        return None;
    }
    let mut pid: u32 = 0;
    for byte in name {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        pid = pid.checked_mul(10)?.checked_add(u32::from(digit))?;
    }
    (pid > 0).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_has_one_name() {
        assert_eq!(pid(b"1"), Some(1));
        assert_eq!(pid(b"4194304"), Some(4_194_304));
        for other in ["", "0", "07", "self", "1x", "-1", "4294967296"] {
            assert_eq!(pid(other.as_bytes()), None, "{other}");
        }
    }
}
