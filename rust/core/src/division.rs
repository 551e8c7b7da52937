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
    /// How much, in nanoseconds; more than nothing.
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
        tree.settle(interval.busy.0 as f64);
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
                .place(&growth.process.cgroup)
                .map_or(1.0, |at| tree.nodes[at].live_scale());
            let cpu_ns = growth.cpu.0 as f64 * scale;
            self.pay_process(&growth.process, cpu_ns);
        }
    }

    fn share_ended(&mut self, interval: &Interval, tree: &mut Tree<'_>, paces: &Paces) {
        let span = interval.span.0 as f64;
        let claims: Vec<(usize, &Arc<Process>, f64)> = interval
            .exited
            .iter()
            .filter_map(|process| {
                let pace = paces.processes.get(&process.key)?;
                Some((tree.place(&process.cgroup)?, process, pace * span))
            })
            .collect();
        let mut claimed = vec![0.0; tree.nodes.len()];
        for (at, _, claim) in &claims {
            claimed[*at] += claim;
        }
        for (at, process, claim) in claims {
            let cpu_ns = claim * part(tree.nodes[at].remainder(), claimed[at]);
            self.pay_process(process, cpu_ns);
        }
        for (node, claimed) in tree.nodes.iter().zip(claimed) {
            let rest = node.remainder() - claimed;
            self.pay(Payee::Exited(Arc::clone(node.cgroup)), rest);
        }
    }

    fn pay_process(&mut self, process: &Arc<Process>, cpu_ns: f64) {
        if process.is_kernel {
            self.kernel_ns += cpu_ns;
        } else {
            self.pay(Payee::Process(Arc::clone(process)), cpu_ns);
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
    /// The nearest cgroup around it whose growth is known; `None`: only the machine's is.
    holder: Option<usize>,
    /// Whether its growth is known by a counter and not only by what is seen in it.
    is_counted: bool,
    /// Whether it appeared or vanished: its growth is then a claim, bounded by its holder's.
    is_claim: bool,
    /// Its growth: a claim at first, settled in the end.
    growth: f64,
    /// What a new cgroup's counter holds: the most that what is seen in it may raise its claim to.
    held: f64,
    /// Growth of the live processes in it.
    live: f64,
    /// Growth of the children that are sure of theirs.
    children: f64,
    /// What the cgroups held by it claim, the part of it that can be met, and what was granted.
    claims: f64,
    met: f64,
    granted: f64,
}

impl Node<'_> {
    /// What is seen in it, whatever its counter says.
    fn seen(&self) -> f64 {
        self.live + self.children
    }

    /// What it grew by less what those below it did.
    fn own(&self) -> f64 {
        if self.is_counted {
            (self.growth - self.children - self.granted).max(0.0)
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
            let parent = change.cgroup.parent.as_ref();
            let parent = parent.and_then(|parent| tree.place(parent));
            let growth = match change.growth {
                CgroupGrowth::Grew(cpu) | CgroupGrowth::New(cpu) => cpu.0 as f64,
                CgroupGrowth::Unknown => 0.0,
                CgroupGrowth::Vanished => {
                    let pace = paces.cgroups.get(&change.cgroup.serial);
                    pace.map_or(0.0, |pace| pace * interval.span.0 as f64)
                }
            };
            let holder = parent.and_then(|at| {
                let node: &Node<'_> = &tree.nodes[at];
                if node.is_counted {
                    Some(at)
                } else {
                    node.holder
                }
            });
            tree.nodes.push(Node {
                cgroup: &change.cgroup,
                parent,
                holder,
                is_counted: change.growth != CgroupGrowth::Unknown,
                is_claim: matches!(change.growth, CgroupGrowth::New(_) | CgroupGrowth::Vanished),
                growth,
                held: match change.growth {
                    CgroupGrowth::New(cpu) => cpu.0 as f64,
                    _ => 0.0,
                },
                live: 0.0,
                children: 0.0,
                claims: 0.0,
                met: 1.0,
                granted: 0.0,
            });
        }
        for growth in &interval.grown {
            if let Some(at) = tree.place(&growth.process.cgroup) {
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

    /// Where a process's time is counted. One whose cgroup was removed has moved, unseen: what it
    /// spent since is in another counter, and only what is left around the old place can be its.
    fn place(&self, cgroup: &Cgroup) -> Option<usize> {
        self.position(cgroup.serial)
            .or_else(|| self.place(cgroup.parent.as_ref()?))
    }

    /// From the leaves up, what is sure and what is claimed; then from the roots down, how much
    /// of the claims is met. Where no counter stands around a claim, all that the machine was
    /// busy with beyond what is sure bounds it: a cgroup that had stood empty for long must not
    /// bring the CPU time of its past.
    fn settle(&mut self, busy: f64) {
        let (mut sure, mut claims) = (0.0, 0.0);
        for at in (0..self.nodes.len()).rev() {
            let node = &mut self.nodes[at];
            if !node.is_counted {
                node.growth = node.seen();
            }
            let (growth, parent, holder) = (node.growth, node.parent, node.holder);
            match (node.is_claim, parent, holder) {
                (false, Some(parent), _) => self.nodes[parent].children += growth,
                (false, None, _) => sure += growth,
                (true, _, Some(holder)) => self.nodes[holder].claims += growth,
                (true, _, None) => claims += growth,
            }
        }
        let met_by_machine = part((busy - sure).max(0.0), claims);
        for at in 0..self.nodes.len() {
            if self.nodes[at].is_claim {
                let holder = self.nodes[at].holder;
                let met = holder.map_or(met_by_machine, |holder| self.nodes[holder].met);
                let node = &mut self.nodes[at];
                node.growth = (node.growth * met).max(node.seen().min(node.held));
                let granted = node.growth;
                if let Some(holder) = holder {
                    self.nodes[holder].granted += granted;
                }
            }
            let node = &mut self.nodes[at];
            node.met = part((node.growth - node.seen()).max(0.0), node.claims);
        }
    }

    fn paces(&self, interval: &Interval) -> Paces {
        let span = (interval.span.0 as f64).max(1.0);
        let of_processes = interval.grown.iter();
        let of_cgroups = self.nodes.iter().filter(|node| node.growth > 0.0);
        Paces {
            processes: of_processes
                .map(|growth| (growth.process.key, growth.cpu.0 as f64 / span))
                .collect(),
            cgroups: of_cgroups
                .map(|node| (node.cgroup.serial, node.growth / span))
                .collect(),
        }
    }
}
