//! Where the hierarchies that count CPU time are mounted, and their counters.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::file;

/// A hierarchy of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tree {
    /// Version 2, with `cpu.stat` in every cgroup.
    Unified,
    /// The cpuacct controller of version 1, with `cpuacct.usage`.
    Cpuacct,
    /// Another one, which tells who a process is but counts nothing.
    Uncounted,
}

/// The mounted hierarchies that count CPU time.
#[derive(Debug)]
pub(crate) struct Mounts {
    pub(crate) unified: Option<PathBuf>,
    pub(crate) cpuacct: Option<PathBuf>,
}

impl Mounts {
    /// Looks below `sys/fs/cgroup`: pure v2, hybrid (v2 at `unified`) or v1.
    pub(crate) fn below(sys: &Path) -> Self {
        let base = sys.join("fs/cgroup");
        let existing = |paths: [PathBuf; 2], file: &str| {
            paths.into_iter().find(|path| path.join(file).exists())
        };
        Self {
            unified: existing([base.clone(), base.join("unified")], "cgroup.controllers"),
            cpuacct: existing(
                [base.join("cpuacct"), base.join("cpu,cpuacct")],
                "cpuacct.usage",
            ),
        }
    }

    fn of(&self, tree: Tree) -> Option<&Path> {
        match tree {
            Tree::Unified => self.unified.as_deref(),
            Tree::Cpuacct => self.cpuacct.as_deref(),
            Tree::Uncounted => None,
        }
    }

    /// Whether a hierarchy is mounted from its top, and not from a namespace's root.
    pub(crate) fn is_whole(&self, tree: Tree) -> bool {
        self.of(tree).is_some_and(|mount| match tree {
            Tree::Unified => !mount.join("cgroup.events").exists(),
            // This file is only at the top.
            Tree::Cpuacct | Tree::Uncounted => mount.join("release_agent").exists(),
        })
    }

    /// The counter of a cgroup; `None` where it has none, or none that can be opened.
    pub(crate) fn open_counter(&self, tree: Tree, path: &[u8]) -> Option<OwnedFd> {
        let mount = self.of(tree)?;
        // Below the mount of a private namespace are only the cgroups that are inside; and which of
        // those around it is the top of a whole mount, nobody tells.
        if is_outside(path) && (!is_below_root(path) || !self.is_whole(tree)) {
            return None;
        }
        let dir = mount.join(relative(path));
        // The root of v2 counts by the clock tick, interrupts and steal included: it is no sum of
        // its tasks. A namespace's root is an ordinary cgroup, and has this file.
        if tree == Tree::Unified && !is_below_root(path) && !dir.join("cgroup.events").exists() {
            return None;
        }
        let file = if tree == Tree::Unified {
            "cpu.stat"
        } else {
            "cpuacct.usage"
        };
        file::open_at(rustix::fs::CWD, &dir.join(file)).ok()
    }
}

/// Whether a path is that of no hierarchy's root.
pub(crate) fn is_below_root(path: &[u8]) -> bool {
    !relative(path).as_os_str().is_empty()
}

/// Whether a path leads out of the reader's private cgroup namespace.
pub(crate) fn is_outside(path: &[u8]) -> bool {
    path == b"/.." || path.starts_with(b"/../")
}

/// The path below a mount: seen from a private cgroup namespace, paths outside begin with `/..`.
fn relative(path: &[u8]) -> &Path {
    let mut rest = path;
    loop {
        rest = match rest.strip_prefix(b"/..") {
            Some(below) if below.is_empty() || below[0] == b'/' => below,
            _ => break,
        };
    }
    let start = rest
        .iter()
        .position(|byte| *byte != b'/')
        .unwrap_or(rest.len());
    Path::new(std::ffi::OsStr::from_bytes(&rest[start..]))
}
