//! The raw counters of one scan, with one timestamp.

use std::sync::Arc;

use crate::cgroup::Cgroup;
use crate::parse::stat::CpuTimes;
use crate::process::Process;
use crate::units::Nanos;
use crate::zone::ZoneReading;

/// Everything one scan read.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// When the scan read the CPU times, `CLOCK_MONOTONIC`.
    pub at: Nanos,
    /// The same instant of `CLOCK_BOOTTIME`: the distance to `at` grows over a suspend.
    pub boot_at: Nanos,
    /// The machine's CPU times.
    pub cpu: CpuTimes,
    /// The zones, each series once.
    pub zones: Vec<ZoneReading>,
    /// The cgroups, by rising serial.
    pub cgroups: Vec<CgroupReading>,
    /// The processes, by rising pid.
    pub processes: Vec<ProcessReading>,
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
