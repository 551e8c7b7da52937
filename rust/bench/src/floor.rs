//! The floor: the least that any program must do to learn the CPU time of every process.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;

/// Lists `/proc` and asks each process's CPU clock; keeps and tells nothing.
pub struct Floor {
    proc: OwnedFd,
    buffer: Vec<MaybeUninit<u8>>,
}

/// What one pass of a reader saw, so that no pass can be optimised away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pass {
    /// How many processes were read.
    pub processes: usize,
    /// The sum of what was read of them.
    pub sum: u64,
}

impl Floor {
    /// Opens `/proc`.
    pub fn open() -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            proc: rustix::fs::open("/proc", flags, Mode::empty())?,
            buffer: vec![MaybeUninit::uninit(); 1 << 16],
        })
    }

    /// One pass.
    pub fn pass(&mut self) -> Result<Pass, Errno> {
        let mut pass = Pass::default();
        rustix::fs::seek(&self.proc, SeekFrom::Start(0))?;
        let mut entries = RawDir::new(&self.proc, &mut self.buffer);
        while let Some(entry) = entries.next() {
            let Some(pid) = pid(entry?.file_name().to_bytes()) else {
                continue;
            };
            if let Some(cpu_ns) = cpu_clock(pid) {
                pass.processes += 1;
                pass.sum = pass.sum.wrapping_add(cpu_ns);
            }
        }
        Ok(pass)
    }
}

/// The pid that a name in `/proc` is, if it is one.
fn pid(name: &[u8]) -> Option<i32> {
    name.iter().try_fold(0_i32, |pid, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| pid.wrapping_mul(10).wrapping_add(i32::from(digit)))
    })
}

/// `CLOCK_PROCESS_CPUTIME_ID` of another process, by the clock id that `clock_getcpuclockid(3)` makes.
fn cpu_clock(pid: i32) -> Option<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec, and the kernel checks any clock id.
    let answer = unsafe { libc::clock_gettime(!pid << 3 | 2, &raw mut time) };
    (answer == 0).then(|| time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}
