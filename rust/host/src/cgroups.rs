//! The cgroups that processes are in, their ancestors, and their CPU counters.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use jouled_core::cgroup::{Cgroup, billing_path, owner_of};
use jouled_core::parse::{self, cpu_stat, pid_cgroup};
use jouled_core::sample::CgroupReading;
use jouled_core::units::Nanos;
use jouled_core::workload::Owner;
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::io::{Errno, retry_on_intr};

use crate::cgroup_mounts::{Mounts, Tree, is_below_root, is_outside};
use crate::file;

/// No path of the kernel is longer (`PATH_MAX`); a written tree's could be, with ancestors without end.
const LONGEST_PATH: usize = 4096;

/// Enough for the first line of `cpu.stat`, which is all that is wanted, and for `cpuacct.usage`.
const COUNTER_TEXT: usize = 128;

#[derive(Debug)]
struct Node {
    cgroup: Arc<Cgroup>,
    tree: Tree,
    /// The path as the kernel has it: the cgroup's own is made valid UTF-8.
    path: Vec<u8>,
    counter: Option<OwnedFd>,
}

/// One of a process's cgroup lines.
struct Candidate<'a> {
    tree: Tree,
    path: &'a [u8],
    owner: Owner,
    is_deleted: bool,
}

impl Candidate<'_> {
    /// More says more; among equals the deeper one, and the unified tree.
    fn rank(&self) -> (u8, usize, bool) {
        let depth = self
            .path
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty())
            .count();
        let (is_counted, is_unified) = (self.tree != Tree::Uncounted, self.tree == Tree::Unified);
        (
            self.owner.specificity() * 2 + u8::from(is_counted),
            depth,
            is_unified && depth > 0,
        )
    }
}

/// All cgroups that are known, by rising serial.
#[derive(Debug)]
pub(crate) struct Cgroups {
    mounts: Mounts,
    nodes: Vec<Node>,
    by_path: FxHashMap<(Tree, Vec<u8>), Arc<Cgroup>>,
    /// What a whole `/proc/P/cgroup` comes to: most processes share theirs with others.
    by_text: FxHashMap<Box<[u8]>, Arc<Cgroup>>,
    next_serial: u32,
    /// How many more counters may be kept open. Beyond them a cgroup is told by its processes alone,
    /// or nothing else could be opened.
    room: usize,
    readings: Vec<CgroupReading>,
    buffer: [u8; COUNTER_TEXT],
}

impl Cgroups {
    pub(crate) fn new(sys: &Path) -> Self {
        Self {
            mounts: Mounts::below(sys),
            nodes: Vec::new(),
            by_path: FxHashMap::default(),
            by_text: FxHashMap::default(),
            next_serial: 0,
            room: file::half_of_all(),
            readings: Vec::new(),
            buffer: [0; COUNTER_TEXT],
        }
    }

    /// The cgroup that a process with this `/proc/P/cgroup` is billed by. `name` is asked for a
    /// container's name where a new one has none in its path.
    pub(crate) fn resolve(
        &mut self,
        text: &[u8],
        name: impl FnOnce() -> Option<String>,
    ) -> Arc<Cgroup> {
        if let Some(cgroup) = self.by_text.get(text) {
            return Arc::clone(cgroup);
        }
        let cgroup = self.place(text, name);
        self.by_text.insert(text.into(), Arc::clone(&cgroup));
        cgroup
    }

    fn place(&mut self, text: &[u8], name: impl FnOnce() -> Option<String>) -> Arc<Cgroup> {
        let candidates: Vec<Candidate<'_>> = pid_cgroup::lines(text)
            .filter(|line| line.path.len() <= LONGEST_PATH)
            .map(|line| {
                let tree = match () {
                    () if line.is_deleted => Tree::Uncounted,
                    () if line.is_unified() && self.mounts.unified.is_some() => Tree::Unified,
                    () if line.has_controller(b"cpuacct") && self.mounts.cpuacct.is_some() => {
                        Tree::Cpuacct
                    }
                    () => Tree::Uncounted,
                };
                Candidate {
                    tree,
                    path: billing_path(line.path),
                    owner: owner_of(line.path),
                    is_deleted: line.is_deleted,
                }
            })
            .collect();
        let best = candidates.iter().max_by_key(|candidate| candidate.rank());
        let Some(best) = best else {
            return self.node(Tree::Uncounted, b"/", Owner::default(), None);
        };
        let counted = |tree| candidates.iter().find(|candidate| candidate.tree == tree);
        // The cgroup that the process is in elsewhere counts it too: it is the parent, or its
        // time would be billed twice.
        let around = match best.tree {
            Tree::Unified => None,
            Tree::Cpuacct => counted(Tree::Unified).filter(|other| is_below_root(other.path)),
            Tree::Uncounted => counted(Tree::Unified)
                .filter(|other| is_below_root(other.path))
                .or_else(|| counted(Tree::Cpuacct))
                .or_else(|| counted(Tree::Unified)),
        };
        let around = match around {
            Some(other) => Some(self.node(other.tree, other.path, other.owner.clone(), None)),
            // A cgroup that was removed under a zombie has no counter; the one around it counts.
            None if best.is_deleted && self.mounts.unified.is_some() => {
                self.parent(Tree::Unified, best.path, &best.owner)
            }
            None => None,
        };
        let mut owner = best.owner.clone();
        if let Some(container) = owner
            .container
            .as_mut()
            .filter(|container| container.name.is_none())
        {
            container.name = name();
        }
        self.node(best.tree, best.path, owner, around)
    }

    /// Finds or makes a cgroup and its ancestors, parents first so that serials rise downwards.
    fn node(
        &mut self,
        tree: Tree,
        path: &[u8],
        mut owner: Owner,
        around: Option<Arc<Cgroup>>,
    ) -> Arc<Cgroup> {
        if let Some(cgroup) = self.by_path.get(&(tree, path.to_vec())) {
            return Arc::clone(cgroup);
        }
        let parent = around.or_else(|| self.parent(tree, path, &owner));
        // Two names would make two rows of one container.
        if let Some(parent) = parent
            .as_ref()
            .filter(|parent| is_same_container(&parent.owner, &owner))
        {
            owner.container.clone_from(&parent.owner.container);
        }
        let cgroup = Arc::new(Cgroup {
            serial: self.next_serial,
            path: parse::name(path),
            parent,
            owner,
        });
        self.next_serial += 1;
        let counter = open_counter(&self.mounts, &mut self.room, tree, path);
        let node = Node {
            cgroup: Arc::clone(&cgroup),
            tree,
            path: path.to_vec(),
            counter,
        };
        let cpu = node.read(&mut self.buffer).ok().flatten();
        self.readings.push(CgroupReading {
            cgroup: Arc::clone(&cgroup),
            cpu,
        });
        self.nodes.push(node);
        self.by_path
            .insert((tree, path.to_vec()), Arc::clone(&cgroup));
        cgroup
    }

    fn parent(&mut self, tree: Tree, path: &[u8], owner: &Owner) -> Option<Arc<Cgroup>> {
        if is_below_root(path) {
            // An uncounted cgroup without a counted one around it stands alone.
            if tree == Tree::Uncounted {
                return None;
            }
            let cut = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            let above = if cut == 0 {
                b"/".as_slice()
            } else {
                &path[..cut]
            };
            let mut owner_above = owner_of(above);
            if is_same_container(&owner_above, owner) {
                owner_above.container.clone_from(&owner.container);
            }
            return Some(self.node(tree, above, owner_above, None));
        }
        // The root of cpuacct counts all tasks to the nanosecond, in whichever cgroup they are
        // elsewhere. But what is around a private namespace is not below the namespace's root.
        let has_root_of_all = if is_outside(path) {
            self.mounts.is_whole(Tree::Cpuacct)
        } else {
            tree == Tree::Unified && self.mounts.cpuacct.is_some()
        };
        has_root_of_all.then(|| self.node(Tree::Cpuacct, b"/", Owner::default(), None))
    }

    /// Reads the counters of all known cgroups. One that was removed is forgotten: what is made
    /// again under its path is another one. Returns how many could not be read for another reason.
    pub(crate) fn read(&mut self) -> u64 {
        let mut removed = FxHashSet::default();
        let mut unreadable = 0;
        self.readings.clear();
        for node in &self.nodes {
            match node.read(&mut self.buffer) {
                Ok(cpu) => self.readings.push(CgroupReading {
                    cgroup: Arc::clone(&node.cgroup),
                    cpu,
                }),
                Err(Errno::NODEV | Errno::NOENT) => {
                    removed.insert(node.cgroup.serial);
                }
                Err(_) => {
                    unreadable += 1;
                    self.readings.push(CgroupReading {
                        cgroup: Arc::clone(&node.cgroup),
                        cpu: None,
                    });
                }
            }
        }
        if !removed.is_empty() {
            self.forget(&removed);
        }
        unreadable
    }

    /// Forgets removed cgroups. What counts nothing and was inside one stays for those who are in
    /// it, but whoever comes is placed anew: what is made again around it is another cgroup.
    fn forget(&mut self, removed: &FxHashSet<u32>) {
        self.keep(|cgroup| !removed.contains(&cgroup.serial));
        let mut orphans = FxHashSet::default();
        self.by_path.retain(|(tree, _), cgroup| {
            let parent = cgroup.parent.as_ref().filter(|_| *tree == Tree::Uncounted);
            let is_orphan = parent.is_some_and(|parent| removed.contains(&parent.serial));
            !(is_orphan && orphans.insert(cgroup.serial))
        });
        self.by_text
            .retain(|_, cgroup| !orphans.contains(&cgroup.serial));
    }

    /// The readings of this scan, those of cgroups that it found included, by rising serial.
    pub(crate) fn take_readings(&mut self) -> Vec<CgroupReading> {
        let room = self.nodes.len();
        std::mem::replace(&mut self.readings, Vec::with_capacity(room))
    }

    /// Forgets cgroups without a counter that nobody is in any more (those with one tell it
    /// themselves), and tries again to open counters that could not be.
    pub(crate) fn sweep<'a>(&mut self, used: impl Iterator<Item = &'a Arc<Cgroup>>) {
        let mut kept = FxHashSet::default();
        for cgroup in used {
            let mut next = Some(cgroup);
            while let Some(cgroup) = next.filter(|cgroup| kept.insert(cgroup.serial)) {
                next = cgroup.parent.as_ref();
            }
        }
        let counted: FxHashSet<u32> = (self.nodes.iter())
            .filter(|node| node.counter.is_some())
            .map(|node| node.cgroup.serial)
            .collect();
        self.keep(|cgroup| kept.contains(&cgroup.serial) || counted.contains(&cgroup.serial));
        // Texts that differ only where nobody is billed (a job's own memory cgroup) would add up.
        self.by_text.clear();
        for node in self.nodes.iter_mut().filter(|node| node.counter.is_none()) {
            node.counter = open_counter(&self.mounts, &mut self.room, node.tree, &node.path);
        }
    }

    fn keep(&mut self, stays: impl Fn(&Cgroup) -> bool) {
        let room = &mut self.room;
        self.nodes.retain(|node| {
            let stays = stays(&node.cgroup);
            *room += usize::from(!stays && node.counter.is_some());
            stays
        });
        self.by_path.retain(|_, cgroup| stays(cgroup));
        self.by_text.retain(|_, cgroup| stays(cgroup));
    }
}

impl Node {
    fn read(&self, buffer: &mut [u8; COUNTER_TEXT]) -> Result<Option<Nanos>, Errno> {
        let Some(counter) = &self.counter else {
            return Ok(None);
        };
        let length = retry_on_intr(|| rustix::io::pread(counter, &mut buffer[..], 0))?;
        let text = &buffer[..length];
        let parsed = if self.tree == Tree::Unified {
            cpu_stat::usage(text)
        } else {
            cpu_stat::cpuacct(text)
        };
        parsed.map(Some).map_err(|_| Errno::BADMSG)
    }
}

fn open_counter(mounts: &Mounts, room: &mut usize, tree: Tree, path: &[u8]) -> Option<OwnedFd> {
    let left = room.checked_sub(1)?;
    let counter = mounts.open_counter(tree, path)?;
    *room = left;
    Some(counter)
}

fn is_same_container(one: &Owner, other: &Owner) -> bool {
    match (&one.container, &other.container) {
        (Some(one), Some(other)) => one.id == other.id,
        _ => false,
    }
}

#[cfg(test)]
#[path = "cgroups_tests.rs"]
mod tests;
