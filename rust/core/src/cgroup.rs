//! A cgroup and what its path says.

use std::sync::Arc;

use crate::workload::Owner;

/// A cgroup that holds or held processes, or an ancestor of one.
#[derive(Debug)]
pub struct Cgroup {
    /// Unique while the daemon lives and never used twice: a cgroup that is removed and made
    /// again under the same path has another inode and so is another cgroup.
    pub serial: u32,
    /// The path below its hierarchy's root, `/` for the root, made valid UTF-8.
    pub path: String,
    /// The cgroup around it; `None` for a root.
    pub parent: Option<Arc<Cgroup>>,
    /// Who runs there.
    pub owner: Owner,
}
