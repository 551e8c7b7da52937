//! The time at which a host's counters are read: the running kernel's, or that of a captured tree.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use jouled_core::parse::ParseError;
use jouled_core::units::Nanos;
use rustix::time::{ClockId, clock_gettime};

use crate::error::ScanError;
use crate::file;

/// When something was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// `CLOCK_MONOTONIC`.
    pub(crate) at: Nanos,
    /// The same instant of `CLOCK_BOOTTIME`.
    pub(crate) boot_at: Nanos,
}

/// The clock of one host.
///
/// Files on disk do not change with the time of whoever reads them: a captured or written tree has
/// its own, `proc/uptime`, to the hundredth of a second, and all of it is of that instant. So a
/// replay has the watts that the host had, each time the same. A proc file system is a kernel's,
/// also that of another pid namespace, and that kernel is the running one.
pub(crate) struct HostClock {
    proc: OwnedFd,
    path: PathBuf,
    is_captured: bool,
}

impl HostClock {
    /// The clock of the host whose `/proc` is at `proc`. A tree without an uptime has no time of
    /// its own: it goes by the running kernel's.
    pub(crate) fn open(proc: &Path) -> Result<Self, ScanError> {
        let dir = file::open_dir(proc).map_err(|errno| ScanError::of_proc(proc.into(), errno))?;
        let mut clock = Self {
            proc: dir,
            path: proc.join("uptime"),
            is_captured: false,
        };
        clock.is_captured = !is_procfs(&clock.proc) && clock.uptime(&mut Vec::new()).is_ok();
        Ok(clock)
    }

    /// Whether it stands still while a state of the tree is read.
    pub(crate) fn is_captured(&self) -> bool {
        self.is_captured
    }

    /// The time now. A captured tree must go on having one.
    pub(crate) fn now(&self, buffer: &mut Vec<u8>) -> Result<Moment, ScanError> {
        if !self.is_captured {
            return Ok(Moment {
                at: monotonic(),
                boot_at: clock(ClockId::Boottime),
            });
        }
        let at = self.uptime(buffer)?;
        Ok(Moment { at, boot_at: at })
    }

    /// The time that zones are read at: around each read the running kernel's, or `moment`.
    pub(crate) fn around(&self, moment: Moment) -> impl Fn() -> Nanos + use<> {
        let is_captured = self.is_captured;
        move || if is_captured { moment.at } else { monotonic() }
    }

    /// What the tree's `uptime` says.
    pub(crate) fn uptime(&self, buffer: &mut Vec<u8>) -> Result<Nanos, ScanError> {
        let text = file::read_at(self.proc.as_fd(), "uptime", buffer)
            .map_err(|errno| ScanError::of_proc(self.path.clone(), errno))?;
        parse(text).ok_or_else(|| ScanError::Parse {
            path: self.path.clone(),
            source: ParseError {
                file: "/proc/uptime",
                problem: "does not begin with seconds",
            },
            fix: "name a proc file system with --procfs",
        })
    }
}

/// The first number of `/proc/uptime`: seconds with two decimals.
fn parse(text: &[u8]) -> Option<Nanos> {
    let word = text.split(|byte| *byte == b' ').next()?;
    let (seconds, hundredths) = std::str::from_utf8(word).ok()?.split_once('.')?;
    let hundredths: u64 = hundredths.get(..2)?.parse().ok()?;
    let nanos = seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?;
    nanos.checked_add(hundredths * 10_000_000).map(Nanos)
}

/// Whether a directory is in a proc file system, and not in a tree in its shape.
pub(crate) fn is_procfs(dir: impl AsFd) -> bool {
    rustix::fs::fstatfs(dir).is_ok_and(|fs| fs.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

pub(crate) fn monotonic() -> Nanos {
    clock(ClockId::Monotonic)
}

pub(crate) fn clock(id: ClockId) -> Nanos {
    let time = clock_gettime(id);
    Nanos(time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeSys;

    #[test]
    fn an_uptime_that_no_host_has_is_none() {
        assert_eq!(
            parse(b"350735.47 234388.90\n"),
            Some(Nanos(350_735_470_000_000))
        );
        for text in ["", "x.00 1", "5 1", "18446744073.99 1", "99999999999.00 1"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_captured_tree_has_its_own_time_and_must_keep_it() {
        let tree = FakeSys::new().write("uptime", "1000.25 1.00\n");
        let clock = HostClock::open(tree.path()).unwrap();
        let buffer = &mut Vec::new();
        let moment = clock.now(buffer).unwrap();
        let at = Nanos(1_000_250_000_000);
        assert_eq!(moment, Moment { at, boot_at: at });
        assert_eq!(clock.around(moment)(), at);
        tree.put("uptime", "1005.25 1.00\n");
        assert_eq!(clock.now(buffer).unwrap().at, Nanos(1_005_250_000_000));
        tree.put("uptime", "soon\n");
        let error = clock.now(buffer).unwrap_err().to_string();
        assert!(error.contains("uptime: /proc/uptime: does not begin with seconds; "));
    }

    #[test]
    fn a_proc_file_system_and_a_tree_without_an_uptime_go_by_the_running_kernel() {
        let tree = FakeSys::new();
        for path in [Path::new("/proc"), tree.path()] {
            let clock = HostClock::open(path).unwrap();
            assert!(!clock.is_captured());
            let before = monotonic();
            let moment = clock.now(&mut Vec::new()).unwrap();
            assert!(before <= moment.at && moment.at <= clock.around(moment)());
        }
    }
}
