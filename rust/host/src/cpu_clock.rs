//! How much CPU time a process has used: by its CPU clock, or from its `stat`.

use std::io::Write;
use std::os::fd::BorrowedFd;

use jouled_core::parse::pid_stat;
use jouled_core::units::Nanos;
use rustix::io::Errno;

use crate::file;

/// A source of the CPU time of whole thread groups, the dead threads included.
pub(crate) trait CpuTime {
    /// The CPU time of a process; an errno where it has none (any more).
    fn read(&mut self, proc: BorrowedFd<'_>, pid: u32) -> Result<Nanos, Errno>;
}

/// The CPU clocks of the running kernel: one system call, nanoseconds, no file, no privilege.
#[derive(Debug, Default)]
pub(crate) struct Clocks;

/// `utime + stime` of `/proc/P/stat`: for captured trees and other pid namespaces, in ticks.
#[derive(Debug)]
pub(crate) struct Stat {
    ticks_per_second: u64,
    buffer: Vec<u8>,
}

impl CpuTime for Clocks {
    #[inline]
    fn read(&mut self, _: BorrowedFd<'_>, pid: u32) -> Result<Nanos, Errno> {
        process_clock(pid)
    }
}

impl Stat {
    pub(crate) fn new(ticks_per_second: u64) -> Self {
        Self {
            ticks_per_second,
            buffer: Vec::new(),
        }
    }
}

impl CpuTime for Stat {
    fn read(&mut self, proc: BorrowedFd<'_>, pid: u32) -> Result<Nanos, Errno> {
        let text = file::read_at(proc, path(&mut [0; 24], pid, "stat"), &mut self.buffer)?;
        let stat = pid_stat::parse(text).map_err(|_| Errno::BADMSG)?;
        let ticks = stat.utime_ticks.saturating_add(stat.stime_ticks);
        Ok(Nanos(
            ticks.saturating_mul(1_000_000_000 / self.ticks_per_second),
        ))
    }
}

/// `PID/NAME` in a buffer of the stack.
pub(crate) fn path<'b>(buffer: &'b mut [u8; 24], pid: u32, name: &str) -> &'b str {
    let room = buffer.len();
    let mut rest = &mut buffer[..];
    // Ten digits, a slash and at most thirteen bytes of name: it fits.
    let _ = write!(rest, "{pid}/{name}");
    let used = room - rest.len();
    std::str::from_utf8(&buffer[..used]).unwrap_or_default()
}

/// Reads the CPU clock of a process (`CLOCK_PROCESS_CPUTIME_ID` of another one).
///
/// The clock id is made as `clock_getcpuclockid(3)` does (`MAKE_PROCESS_CPUCLOCK` in
/// `include/linux/posix-timers.h`), without the check it does first: that would be another call.
pub(crate) fn process_clock(pid: u32) -> Result<Nanos, Errno> {
    cpu_clock(pid, CPUCLOCK_SCHED)
}

/// Reads the CPU clock of one thread of this process, whichever thread asks.
pub(crate) fn thread_clock(tid: u32) -> Result<Nanos, Errno> {
    cpu_clock(tid, CPUCLOCK_SCHED | CPUCLOCK_PERTHREAD)
}

const CPUCLOCK_SCHED: i32 = 2;
const CPUCLOCK_PERTHREAD: i32 = 4;

fn cpu_clock(id: u32, which: i32) -> Result<Nanos, Errno> {
    let clock = i32::try_from(id).map_or(which, |id| !id << 3 | which);
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec that lives through the call, and the kernel takes any
    // clock id: it answers EINVAL for a process that is not there.
    let answer = unsafe { libc::clock_gettime(clock, &raw mut time) };
    if answer != 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL));
    }
    Ok(Nanos(
        time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_this_process_runs_and_one_that_is_not_there_is_invalid() {
        let before = process_clock(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while process_clock(std::process::id()).unwrap().since(before).0 < 1_000_000 {
            sum = std::hint::black_box(sum + 1);
        }
        assert_eq!(process_clock(4_194_305), Err(Errno::INVAL));
    }

    #[test]
    fn paths_are_relative_to_proc() {
        assert_eq!(path(&mut [0; 24], u32::MAX, "cgroup"), "4294967295/cgroup");
    }
}
