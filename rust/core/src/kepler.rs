//! The ledger as Kepler labels it (`compat = ["kepler"]`), so that its dashboards work unchanged.
//!
//! Kepler's labels tell less than ours (no uid, no unit), so two rows can be one of its series.
//! Their energy is therefore counted here once more, by its labels: a sum of rows that come and
//! go would fall, and a counter must not.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::account::{Account, ClassEnergy};
use crate::cgroup::Cgroup;
use crate::labels::{Labels, vm_labels};
use crate::level::Level;
use crate::parse::cpuinfo::Processor;
use crate::process::Process;

/// What stays the same on a host's pages, escaped.
#[derive(Debug)]
pub struct Node {
    /// `node_name="…"`
    pub(crate) name: String,
    /// The label set of `kepler_build_info`.
    pub(crate) build: String,
    /// The label sets of `kepler_node_cpu_info`.
    pub(crate) processors: Vec<String>,
}

impl Node {
    /// The host of this name with these processors.
    pub fn new(name: &str, processors: &[Processor]) -> Self {
        let name = Labels::default().with("node_name", name).into_text();
        let build = Labels::default()
            .with("arch", go_arch(std::env::consts::ARCH))
            .with("branch", "")
            .with("revision", "")
            .with("version", concat!("jouled-", env!("CARGO_PKG_VERSION")))
            .with("goversion", "");
        let processor = |processor: &Processor| {
            Labels::default()
                .with("processor", &processor.number.to_string())
                .with("vendor_id", &processor.vendor)
                .with("model_name", &processor.name)
                .with("physical_id", &processor.package)
                .with("core_id", &processor.core)
                .into_text()
        };
        Self {
            name,
            build: build.into_text(),
            processors: processors.iter().map(processor).collect(),
        }
    }
}

/// The name that Go has for an architecture.
fn go_arch(arch: &'static str) -> &'static str {
    match arch {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Kepler's part of a snapshot.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What is constant.
    pub node: Arc<Node>,
    /// The rows of those levels of ours that Kepler has too.
    pub levels: Vec<(Level, Vec<Row>)>,
}

/// One workload by Kepler's labels.
#[derive(Clone, Debug)]
pub struct Row {
    /// `name="value",…` without state and zone, escaped for the page.
    pub labels: Arc<str>,
    /// Its part of all active energy in the interval; `None` where it is terminated.
    pub weight: Option<f64>,
    /// Joules by class.
    pub joules: Vec<f64>,
    /// CPU seconds.
    pub cpu_s: f64,
}

/// Whether Kepler has such a level.
pub(crate) fn has_level(level: Level) -> bool {
    match level {
        Level::Process | Level::Container | Level::Pod | Level::Vm => true,
        Level::Unit | Level::User => false,
    }
}

/// The labels of a process's row at a level; `None` where Kepler has none.
pub(crate) fn of_process(level: Level, process: &Process) -> Option<Labels> {
    match level {
        Level::Process => Some(process_labels(process)),
        Level::Vm => process.vm.as_ref().map(vm_labels),
        _ => of_cgroup(level, &process.cgroup),
    }
}

/// The labels of a cgroup's row at a level; `None` where Kepler has none.
pub(crate) fn of_cgroup(level: Level, cgroup: &Cgroup) -> Option<Labels> {
    let owner = &cgroup.owner;
    let pod_id = owner.pod.as_ref().map(|pod| pod.id.as_str());
    match level {
        Level::Container => owner.container.as_ref().map(|container| {
            Labels::default()
                .with("container_id", &container.id)
                .with(
                    "container_name",
                    container.name.as_deref().unwrap_or_default(),
                )
                .with("runtime", container.runtime.as_str())
                .with("pod_id", pod_id.unwrap_or_default())
        }),
        // Only the API server knows a pod's name, and nobody asks it.
        Level::Pod => pod_id.map(|id| {
            Labels::default()
                .with("pod_id", id)
                .with("pod_name", "")
                .with("pod_namespace", "")
        }),
        Level::Process | Level::Vm | Level::Unit | Level::User => None,
    }
}

fn process_labels(process: &Process) -> Labels {
    let container = process.cgroup.owner.container.as_ref();
    // Kepler's order: a guest that runs inside a container is the container's.
    let kind = match (container, &process.vm) {
        (Some(_), _) => "container",
        (None, Some(_)) => "vm",
        (None, None) => "regular",
    };
    Labels::default()
        .with("pid", &process.key.pid.to_string())
        .with("comm", &process.comm)
        .with("exe", process.exe.as_deref().unwrap_or_default())
        .with("type", kind)
        .with("container_id", container.map_or("", |found| &found.id))
        .with("vm_id", process.vm.as_ref().map_or("", |vm| &vm.id))
}

/// The accounts of one level by Kepler's labels.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    accounts: Vec<Option<Holding>>,
    free: Vec<u32>,
    by_labels: FxHashMap<Arc<str>, u32>,
}

/// One account, and how many of our rows have its labels.
#[derive(Debug)]
struct Holding {
    labels: Arc<str>,
    account: Account,
    rows: u32,
}

impl Tally {
    /// Takes a row in; the number of the account with its labels.
    pub(crate) fn join(&mut self, labels: Labels) -> u32 {
        let labels: Arc<str> = labels.into_text().into();
        let id = match self.by_labels.get(&labels) {
            Some(id) => *id,
            None => self.open(labels),
        };
        if let Some(holding) = self.holding(id) {
            holding.rows += 1;
        }
        id
    }

    fn open(&mut self, labels: Arc<str>) -> u32 {
        let id = self.free.pop().unwrap_or_else(|| {
            self.accounts.push(None);
            u32::try_from(self.accounts.len() - 1).expect("fewer than 2^32 accounts fit")
        });
        self.accounts[id as usize] = Some(Holding {
            labels: Arc::clone(&labels),
            account: Account::default(),
            rows: 0,
        });
        self.by_labels.insert(labels, id);
        id
    }

    /// Lets a row go; with the last one its account goes.
    pub(crate) fn leave(&mut self, id: u32) {
        let Some(holding) = self.holding(id) else {
            return;
        };
        holding.rows -= 1;
        if holding.rows == 0 {
            if let Some(gone) = self.accounts[id as usize].take() {
                self.by_labels.remove(&gone.labels);
                self.free.push(id);
            }
        }
    }

    fn holding(&mut self, id: u32) -> Option<&mut Holding> {
        self.accounts[id as usize].as_mut()
    }

    /// Forgets the parts of the interval before.
    pub(crate) fn begin(&mut self) {
        for holding in self.accounts.iter_mut().flatten() {
            holding.account.weight = 0.0;
        }
    }

    /// Books what a row was given in this interval.
    pub(crate) fn book(&mut self, id: u32, weight: f64, cpu_ns: f64, energy: &ClassEnergy) {
        if let Some(holding) = self.holding(id) {
            holding.account.book(weight, cpu_ns, energy);
            holding.account.weight += weight;
        }
    }

    /// The rows of the page: of `shown`, the accounts of the rows that are on it, each with
    /// whether the row lives.
    ///
    /// Who ended in this interval runs on its page for a last time, with the watts and joules
    /// that it had until then; from the next page on it is terminated, and draws nothing. So
    /// nothing that was spent falls between the series of the two states.
    pub(crate) fn rows(&self, shown: impl Iterator<Item = (u32, bool)>) -> Vec<Row> {
        let mut is_live = vec![None; self.accounts.len()];
        for (id, lives) in shown {
            *is_live[id as usize].get_or_insert(false) |= lives;
        }
        let row = |(holding, is_live): (&Option<Holding>, Option<bool>)| {
            let (holding, is_live) = (holding.as_ref()?, is_live?);
            let account = &holding.account;
            let runs = is_live || account.weight > 0.0;
            Some(Row {
                labels: Arc::clone(&holding.labels),
                weight: runs.then_some(account.weight),
                joules: account.joules.clone(),
                cpu_s: account.cpu_ns / 1e9,
            })
        };
        self.accounts.iter().zip(is_live).filter_map(row).collect()
    }
}
