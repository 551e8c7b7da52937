//! A process as the ledger knows it.

use std::sync::Arc;

use crate::cgroup::Cgroup;
use crate::workload::Vm;

/// A process, never by pid alone: pids are reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey {
    /// The process id in the namespace of the proc root.
    pub pid: u32,
    /// Start time in clock ticks since boot (field 22 of `/proc/P/stat`).
    pub start_ticks: u64,
}

/// Who a process is. An exec or a move to another cgroup makes a new one with the same key.
#[derive(Debug)]
pub struct Process {
    /// The pid and the start time.
    pub key: ProcessKey,
    /// The name the kernel keeps (`comm`), made valid UTF-8.
    pub comm: String,
    /// The executable's path; `None` for kernel threads and where it may not be read.
    pub exe: Option<String>,
    /// The real user id, where it can be read.
    pub uid: Option<u32>,
    /// Whether it is a kernel thread.
    pub is_kernel: bool,
    /// The virtual machine that it runs.
    pub vm: Option<Vm>,
    /// The cgroup that its time is billed to.
    pub cgroup: Arc<Cgroup>,
}
