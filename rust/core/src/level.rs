//! The levels at which energy is attributed: roll-ups of the same shares.

use std::str::FromStr;

/// One way to group workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // each groups by the workload of that name
pub enum Level {
    Process,
    Unit,
    Container,
    Pod,
    Vm,
    User,
}

impl Level {
    /// All levels, in the order of the page.
    pub const ALL: [Self; 6] = [
        Self::Process,
        Self::Unit,
        Self::Container,
        Self::Pod,
        Self::Vm,
        Self::User,
    ];

    /// The word in metric names, and the one that `--level` takes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Unit => "unit",
            Self::Container => "container",
            Self::Pod => "pod",
            Self::Vm => "vm",
            Self::User => "user",
        }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == word)
            .ok_or_else(|| {
                format!("unknown level {word:?}: one of process, unit, container, pod, vm, user")
            })
    }
}

/// Why energy has no row at a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Spent by processes that have ended, of no owner at this level.
    Exited,
    /// Spent by kernel threads.
    Kernel,
    /// The machine was busy beyond what all cgroups and processes show: interrupts, steal.
    Unattributed,
    /// Spent by processes that belong to nothing of this level.
    Ungrouped,
    /// Spent by rows outside the top.
    Other,
}

impl Reason {
    /// All reasons, in the order of the page.
    pub const ALL: [Self; 5] = [
        Self::Exited,
        Self::Kernel,
        Self::Unattributed,
        Self::Ungrouped,
        Self::Other,
    ];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Kernel => "kernel",
            Self::Unattributed => "unattributed",
            Self::Ungrouped => "ungrouped",
            Self::Other => "other",
        }
    }
}
