//! `/proc/stat`: the machine's CPU times (fs/proc/stat.c).

use crate::units::Nanos;

/// CPU times summed over all online CPUs. Guest time is inside user and nice, as in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // each is the column of that name in proc(5)
pub struct CpuTimes {
    pub user: Nanos,
    pub nice: Nanos,
    pub system: Nanos,
    pub idle: Nanos,
    pub iowait: Nanos,
    pub irq: Nanos,
    pub softirq: Nanos,
    pub steal: Nanos,
    /// How many CPUs are online (the `cpuN` lines).
    pub cpus: u32,
}
