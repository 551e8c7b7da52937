//! The raw counters of one scan, with one timestamp.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::cgroup::Cgroup;
use crate::parse::stat::CpuTimes;
use crate::process::{Process, ProcessKey};
use crate::units::Nanos;
use crate::zone::ZoneReading;

/// Everything one scan read.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// When the scan read the CPU times, `CLOCK_MONOTONIC`.
    pub at: Nanos,
    /// The same instant of `CLOCK_BOOTTIME`: the distance to `at` grows over a suspend.
    pub boot_at: Nanos,
    /// How many clock ticks a second has in `/proc` (`_SC_CLK_TCK`).
    pub ticks_per_second: u64,
    /// The machine's CPU times.
    pub cpu: CpuTimes,
    /// The zones, each series once.
    pub zones: Vec<ZoneReading>,
    /// The cgroups, by rising serial.
    pub cgroups: Vec<CgroupReading>,
    /// The processes, by rising key: pid, then start time.
    pub processes: Vec<ProcessReading>,
    /// The names of the users, by uid.
    pub users: Arc<UserNames>,
}

/// User names by uid, as `/etc/passwd` has them.
pub type UserNames = FxHashMap<u32, String>;

impl Sample {
    /// The length of one clock tick.
    pub fn tick(&self) -> Nanos {
        Nanos(1_000_000_000 / self.ticks_per_second.max(1))
    }

    /// When a process started, on the clock of `boot_at`, to the tick.
    pub fn started_at(&self, key: ProcessKey) -> Nanos {
        Nanos(key.start_ticks.saturating_mul(self.tick().0))
    }
}

/// One cgroup in a sample.
#[derive(Clone, Debug)]
pub struct CgroupReading {
    /// The cgroup.
    pub cgroup: Arc<Cgroup>,
    /// CPU time of it and everything below it, the dead included; `None` where it has no
    /// counter or it could not be read.
    pub cpu: Option<Nanos>,
}

/// One process in a sample.
#[derive(Clone, Debug)]
pub struct ProcessReading {
    /// The process.
    pub process: Arc<Process>,
    /// CPU time of all its threads, the dead ones included; `None` where it could not be read.
    pub cpu: Option<Nanos>,
}
