//! Divides an interval's CPU time among those who spent it, cgroup first.
//!
//! A cgroup's counter holds the work of the dead too, so it decides: what it grew by, less what
//! its children grew by, is its own. Of that, the live processes get what their clocks show, and
//! what remains was spent by processes that have ended. The tree's edges need care: a cgroup that
//! appeared or vanished inside the interval is bounded by its parent's growth.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::cgroup::Cgroup;
use crate::interval::{CgroupChange, CgroupGrowth, Interval};
use crate::process::{Process, ProcessKey};

/// Who spent CPU time.
#[derive(Clone, Debug)]
pub enum Payee {
    /// A process, alive or ended in this interval.
    Process(Arc<Process>),
    /// Processes of this cgroup that ended, each too short-lived to be known or no longer there
    /// to be asked.
    Exited(Arc<Cgroup>),
}

/// A part of an interval's CPU time.
#[derive(Clone, Debug)]
pub struct Share {
    /// Who spent it.
    pub payee: Payee,
    /// How much, in nanoseconds.
    pub cpu_ns: f64,
}

/// An interval's CPU time, divided: shares, kernel and unattributed add up to the total.
#[derive(Debug, Default)]
pub struct Division {
    /// All that was spent, in nanoseconds: by the machine's own accounting, or by the sum of the
    /// shares where the clocks (which are finer) know of more.
    pub total_ns: f64,
    /// The total over what the CPUs could have spent, 0 to 1.
    pub busy_ratio: f64,
    /// What workloads spent.
    pub shares: Vec<Share>,
    /// What kernel threads spent.
    pub kernel_ns: f64,
    /// What the machine was busy with beyond all cgroups: interrupts, steal, the unseen.
    pub unattributed_ns: f64,
}

/// How fast everybody spent in one interval: CPU nanoseconds per nanosecond. It bounds what is
/// believed of those who end in the next one.
#[derive(Debug, Default)]
pub struct Paces {
    processes: FxHashMap<ProcessKey, f64>,
    cgroups: FxHashMap<u32, f64>,
}

impl Division {
    /// Divides `interval`. A process that ended is taken to have gone on at its pace of the
    /// interval before, as far as its cgroup's counter holds more than the living spent: an
    /// estimate of its last moments inside an exact sum. The paces for the next interval are
    /// returned beside the division.
    pub fn of(interval: &Interval, paces: &Paces) -> (Self, Paces) {
        let mut tree = Tree::plant(interval, paces);
        tree.settle();
        let mut division = Self::default();
        division.share_living(interval, &tree);
        division.share_ended(interval, &mut tree, paces);
        division.close(interval);
        let next = tree.paces(interval);
        (division, next)
    }

    fn share_living(&mut self, interval: &Interval, tree: &Tree<'_>) {
        self.shares.reserve(interval.grown.len());
        for growth in &interval.grown {
            let scale = tree
                .position(growth.process.cgroup.serial)
                .map_or(1.0, |at| tree.nodes[at].live_scale());
            let cpu_ns = growth.cpu.0 as f64 * scale;
            if growth.process.is_kernel {
                self.kernel_ns += cpu_ns;
            } else {
                self.shares.push(Share {
                    payee: Payee::Process(Arc::clone(&growth.process)),
                    cpu_ns,
                });
            }
        }
    }

    fn share_ended(&mut self, interval: &Interval, tree: &mut Tree<'_>, paces: &Paces) {
        let span = interval.span.0 as f64;
        let claims: Vec<(usize, &Arc<Process>, f64)> = interval
            .exited
            .iter()
            .filter_map(|process| {
                let pace = paces.processes.get(&process.key)?;
                Some((tree.position(process.cgroup.serial)?, process, pace * span))
            })
            .collect();
        let mut claimed = vec![0.0; tree.nodes.len()];
        for (at, _, claim) in &claims {
            claimed[*at] += claim;
        }
        for (at, process, claim) in claims {
            let cpu_ns = claim * part(tree.nodes[at].remainder(), claimed[at]);
            self.pay(Payee::Process(Arc::clone(process)), cpu_ns);
        }
        for (node, claimed) in tree.nodes.iter().zip(claimed) {
            let rest = node.remainder() - claimed;
            self.pay(Payee::Exited(Arc::clone(node.cgroup)), rest);
        }
    }

    fn pay(&mut self, payee: Payee, cpu_ns: f64) {
        if cpu_ns > 0.0 {
            self.shares.push(Share { payee, cpu_ns });
        }
    }

    fn close(&mut self, interval: &Interval) {
        let spent = self.shares.iter().map(|share| share.cpu_ns).sum::<f64>() + self.kernel_ns;
        self.total_ns = spent.max(interval.busy.0 as f64);
        self.unattributed_ns = self.total_ns - spent;
        let capacity = f64::from(interval.cpus) * interval.span.0 as f64;
        self.busy_ratio = if self.total_ns > 0.0 {
            (self.total_ns / capacity).min(1.0)
        } else {
            0.0
        };
    }
}

/// The part of each claim that can be met: at most all of it.
fn part(available: f64, claimed: f64) -> f64 {
    if claimed > available {
        available / claimed
    } else {
        1.0
    }
}

/// One cgroup of the interval. All times are nanoseconds of CPU.
struct Node<'a> {
    cgroup: &'a Arc<Cgroup>,
    parent: Option<usize>,
    /// Whether its growth is known by a counter and not only by what is seen in it.
    is_counted: bool,
    /// Its growth if nothing bounds it; for one that appeared or vanished a claim on its parent.
    claim: f64,
    /// Whether `claim` is bounded by the parent's growth.
    is_bounded: bool,
    /// Growth of the live processes in it.
    live: f64,
    /// Growth of the children that are sure of theirs, and claims of those that are not.
    children: f64,
    children_claims: f64,
    /// The final growth.
    growth: f64,
}

impl Node<'_> {
    fn children_part(&self) -> f64 {
        part(
            (self.growth - self.live - self.children).max(0.0),
            self.children_claims,
        )
    }

    /// What it grew by less what its children did.
    fn own(&self) -> f64 {
        if self.is_counted {
            (self.growth - self.children - self.children_claims * self.children_part()).max(0.0)
        } else {
            self.live
        }
    }

    /// Processes that moved here or threads that work elsewhere can show more than the cgroup
    /// spent: the cgroup is right.
    fn live_scale(&self) -> f64 {
        part(self.own(), self.live)
    }

    fn remainder(&self) -> f64 {
        (self.own() - self.live).max(0.0)
    }
}

/// The cgroups of an interval, parents before children.
struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    changes: &'a [CgroupChange],
}

impl<'a> Tree<'a> {
    fn plant(interval: &'a Interval, paces: &Paces) -> Self {
        let mut tree = Self {
            nodes: Vec::with_capacity(interval.cgroups.len()),
            changes: &interval.cgroups,
        };
        for change in &interval.cgroups {
            let parent = change
                .cgroup
                .parent
                .as_ref()
                .and_then(|parent| tree.position(parent.serial));
            let is_parent_counted = parent.is_some_and(|at: usize| tree.nodes[at].is_counted);
            let (claim, is_counted) = match change.growth {
                CgroupGrowth::Grew(cpu) | CgroupGrowth::New(cpu) => (cpu.0 as f64, true),
                CgroupGrowth::Unknown => (0.0, false),
                // Without a counter around it there is no evidence of what it spent at the end.
                CgroupGrowth::Vanished if !is_parent_counted => (0.0, true),
                CgroupGrowth::Vanished => {
                    let pace = paces
                        .cgroups
                        .get(&change.cgroup.serial)
                        .copied()
                        .unwrap_or(0.0);
                    (pace * interval.span.0 as f64, true)
                }
            };
            let is_sure = matches!(change.growth, CgroupGrowth::Grew(_) | CgroupGrowth::Unknown);
            tree.nodes.push(Node {
                cgroup: &change.cgroup,
                parent,
                is_counted,
                claim,
                is_bounded: is_parent_counted && !is_sure,
                live: 0.0,
                children: 0.0,
                children_claims: 0.0,
                growth: 0.0,
            });
        }
        for growth in &interval.grown {
            if let Some(at) = tree.position(growth.process.cgroup.serial) {
                tree.nodes[at].live += growth.cpu.0 as f64;
            }
        }
        tree
    }

    fn position(&self, serial: u32) -> Option<usize> {
        self.changes
            .binary_search_by_key(&serial, |change| change.cgroup.serial)
            .ok()
    }

    /// From the leaves up, what is sure; then from the roots down, what is bounded by it.
    fn settle(&mut self) {
        for at in (0..self.nodes.len()).rev() {
            let node = &self.nodes[at];
            let growth = if node.is_counted {
                node.claim
            } else {
                node.live + node.children
            };
            let (parent, is_bounded) = (node.parent, node.is_bounded);
            self.nodes[at].growth = growth;
            if let Some(parent) = parent.map(|parent| &mut self.nodes[parent]) {
                if is_bounded {
                    parent.children_claims += growth;
                } else {
                    parent.children += growth;
                }
            }
        }
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            if let (true, Some(parent)) = (node.is_bounded, node.parent) {
                self.nodes[at].growth *= self.nodes[parent].children_part();
            }
        }
    }

    fn paces(&self, interval: &Interval) -> Paces {
        let span = (interval.span.0 as f64).max(1.0);
        Paces {
            processes: interval
                .grown
                .iter()
                .map(|growth| (growth.process.key, growth.cpu.0 as f64 / span))
                .collect(),
            cgroups: self
                .nodes
                .iter()
                .filter(|node| node.growth > 0.0)
                .map(|node| (node.cgroup.serial, node.growth / span))
                .collect(),
        }
    }
}
