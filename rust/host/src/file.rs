//! Whole small files: open, read, close, into a buffer that is kept.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Resource, getrlimit};

/// No file that a scan reads is longer; what is longer is cut, which its parser notices.
const LONGEST: usize = 4 << 20;

/// How many descriptors each of the two tables that grow with the host may keep open, processes and
/// cgroups: half of what this process may have.
pub(crate) fn half_of_all() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit / 2).unwrap_or(usize::MAX)
}

/// Reads a file below `dir` whole into `buffer`, which is cleared first.
pub(crate) fn read_at<'b>(
    dir: BorrowedFd<'_>,
    path: &str,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8], Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = retry_on_intr(|| rustix::fs::openat(dir, path, flags, Mode::empty()))?;
    read_whole(&file, buffer)
}

/// Reads a file whole into `buffer`, which is cleared first.
pub(crate) fn read<'b>(path: &Path, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))?;
    read_whole(&file, buffer)
}

/// Reads an open file from its start. Kernel files are made as they are read: a short read that
/// leaves room in the buffer was the last one, so one call is enough for nearly all.
pub(crate) fn read_whole<'b>(file: &OwnedFd, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Errno> {
    const ROOM: usize = 2048;
    let mut length = 0;
    loop {
        if buffer.len() < length + ROOM {
            buffer.resize((length + ROOM).next_power_of_two(), 0);
        }
        let offset = length as u64;
        let got = retry_on_intr(|| rustix::io::pread(file, &mut buffer[length..], offset))?;
        length += got;
        if got == 0 || length < buffer.len() || length >= LONGEST {
            return Ok(&buffer[..length]);
        }
    }
}

/// Where a symbolic link below `dir` leads.
pub(crate) fn link_at(dir: BorrowedFd<'_>, path: &str) -> Result<Vec<u8>, Errno> {
    Ok(rustix::fs::readlinkat(dir, path, Vec::new())?.into_bytes())
}

/// Opens a directory for looking up names in it.
pub(crate) fn open_dir(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))
}

/// Opens a file to be read again and again.
pub(crate) fn open_at(
    dir: impl AsFd,
    path: impl rustix::path::Arg + Copy,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    retry_on_intr(|| rustix::fs::openat(dir.as_fd(), path, flags, Mode::empty()))
}
