//! A host of which the whole truth is known: `host.run(42, 500)` is 500 ms of CPU time, and every
//! counter that a kernel would move is moved.

use std::collections::BTreeMap;
use std::sync::Arc;

use jouled_core::cgroup::{Cgroup, owner_of};
use jouled_core::parse::stat::CpuTimes;
use jouled_core::process::{Process, ProcessKey};
use jouled_core::sample::{CgroupReading, ProcessReading, Sample, UserNames};
use jouled_core::units::Nanos;
use jouled_core::workload::Vm;

use crate::fake_zones::FakeZones;

/// When the fake hosts' daemon starts, UTC seconds.
pub(crate) const START_S: f64 = 1_700_000_000.0;
const TICKS_PER_SECOND: u64 = 100;

pub(crate) struct FakeHost {
    at: Nanos,
    asleep: Nanos,
    cpus: u32,
    cpu: CpuTimes,
    /// Busy time since the clock last moved.
    spent: Nanos,
    cgroups: BTreeMap<u32, FakeCgroup>,
    next_serial: u32,
    /// By pid.
    processes: BTreeMap<u32, FakeProcess>,
    pub(crate) zones: FakeZones,
    pub(crate) users: Arc<UserNames>,
}

struct FakeCgroup {
    cgroup: Arc<Cgroup>,
    cpu: Nanos,
    has_counter: bool,
    is_readable: bool,
}

struct FakeProcess {
    process: Arc<Process>,
    cpu: Nanos,
    is_readable: bool,
    is_hidden: bool,
}

fn ms(milliseconds: u64) -> Nanos {
    Nanos(milliseconds * 1_000_000)
}

fn add(total: &mut Nanos, more: Nanos) {
    total.0 += more.0;
}

impl FakeHost {
    /// A host of four CPUs, up for 1000 s, with nothing on it: no zone, and of the cgroups the
    /// root, which has no counter, as on a pure version 2 host.
    pub(crate) fn new() -> Self {
        let mut host = Self {
            at: Nanos::from_secs(1000),
            asleep: Nanos(0),
            cpus: 4,
            cpu: CpuTimes {
                user: Nanos::from_secs(50),
                idle: Nanos::from_secs(3900),
                iowait: Nanos::from_secs(50),
                cpus: 4,
                ..CpuTimes::default()
            },
            spent: Nanos(0),
            cgroups: BTreeMap::new(),
            next_serial: 0,
            processes: BTreeMap::new(),
            zones: FakeZones::default(),
            users: Arc::default(),
        };
        host.cgroup("/");
        host.uncount("/");
        host
    }

    /// UTC seconds now.
    pub(crate) fn wall_s(&self) -> f64 {
        START_S + (self.at.seconds() - 1000.0) + self.asleep.seconds()
    }

    /// Lets time pass; CPUs that nobody used were idle.
    pub(crate) fn pass(&mut self, milliseconds: u64) {
        add(&mut self.at, ms(milliseconds));
        let idle = (u64::from(self.cpus) * ms(milliseconds).0).saturating_sub(self.spent.0);
        add(&mut self.cpu.idle, Nanos(idle));
        self.spent = Nanos(0);
    }

    /// Suspends the host: only the clock of the boot counts on.
    pub(crate) fn sleep(&mut self, milliseconds: u64) {
        add(&mut self.asleep, ms(milliseconds));
    }

    pub(crate) fn set_cpus(&mut self, cpus: u32) {
        // The kernel sums the lines of the CPUs that are online: all columns jump.
        let scale = |nanos: &mut Nanos| nanos.0 = nanos.0 / u64::from(self.cpus) * u64::from(cpus);
        for column in [&mut self.cpu.user, &mut self.cpu.idle, &mut self.cpu.iowait] {
            scale(column);
        }
        self.cpus = cpus;
        self.cpu.cpus = cpus;
    }

    /// Idle and iowait times may go backwards (proc(5)).
    pub(crate) fn idle_back(&mut self, milliseconds: u64) {
        for column in [&mut self.cpu.idle, &mut self.cpu.iowait] {
            column.0 = column.0.saturating_sub(ms(milliseconds).0);
        }
    }

    /// Finds or makes a cgroup, and those around it.
    pub(crate) fn cgroup(&mut self, path: &str) -> Arc<Cgroup> {
        if let Some(found) = self.find(path) {
            return Arc::clone(&found.cgroup);
        }
        let parent = (path != "/").then(|| {
            let cut = path.rfind('/').expect("a cgroup's path is absolute");
            self.cgroup(if cut == 0 { "/" } else { &path[..cut] })
        });
        let serial = self.next_serial;
        self.next_serial += 1;
        let cgroup = Arc::new(Cgroup {
            serial,
            path: path.to_owned(),
            parent,
            owner: owner_of(path.as_bytes()),
        });
        let made = FakeCgroup {
            cgroup: Arc::clone(&cgroup),
            cpu: Nanos(0),
            has_counter: true,
            is_readable: true,
        };
        self.cgroups.insert(serial, made);
        cgroup
    }

    fn find(&self, path: &str) -> Option<&FakeCgroup> {
        self.cgroups
            .values()
            .find(|known| known.cgroup.path == path)
    }

    fn find_mut(&mut self, path: &str) -> &mut FakeCgroup {
        self.cgroup(path);
        self.cgroups
            .values_mut()
            .find(|known| known.cgroup.path == path)
            .expect("it was just made")
    }

    pub(crate) fn uncount(&mut self, path: &str) {
        self.find_mut(path).has_counter = false;
    }

    pub(crate) fn count(&mut self, path: &str) {
        self.find_mut(path).has_counter = true;
    }

    pub(crate) fn set_cgroup_readable(&mut self, path: &str, is_readable: bool) {
        self.find_mut(path).is_readable = is_readable;
    }

    /// What a cgroup's counter holds from before anybody looked.
    pub(crate) fn age(&mut self, path: &str, milliseconds: u64) {
        add(&mut self.find_mut(path).cpu, ms(milliseconds));
    }

    /// Removes a cgroup and all below it. Processes that are said to be there still are stale.
    pub(crate) fn remove_cgroup(&mut self, path: &str) {
        let below = format!("{path}/");
        self.cgroups
            .retain(|_, known| known.cgroup.path != path && !known.cgroup.path.starts_with(&below));
    }

    pub(crate) fn cgroup_paths(&self) -> Vec<String> {
        let paths = self.cgroups.values();
        paths.map(|known| known.cgroup.path.clone()).collect()
    }

    /// A new process; one that had the pid before has ended.
    pub(crate) fn process(&mut self, pid: u32, path: &str, comm: &str) -> Arc<Process> {
        let process = Arc::new(Process {
            key: ProcessKey {
                pid,
                start_ticks: (self.at.0 + self.asleep.0) / (1_000_000_000 / TICKS_PER_SECOND),
            },
            comm: comm.to_owned(),
            exe: Some(format!("/usr/bin/{comm}")),
            uid: Some(1000),
            is_kernel: false,
            vm: None,
            cgroup: self.cgroup(path),
        });
        let made = FakeProcess {
            process: Arc::clone(&process),
            cpu: Nanos(0),
            is_readable: true,
            is_hidden: false,
        };
        self.processes.insert(pid, made);
        process
    }

    /// Whether a process of this pid started in this very tick of the clock: it cannot have
    /// ended and been followed by another one.
    pub(crate) fn is_as_old_as_now(&self, pid: u32) -> bool {
        let now = (self.at.0 + self.asleep.0) / (1_000_000_000 / TICKS_PER_SECOND);
        let known = self.processes.get(&pid);
        known.is_some_and(|known| known.process.key.start_ticks == now)
    }

    pub(crate) fn kernel_thread(&mut self, pid: u32, comm: &str) {
        self.process(pid, "/", comm);
        self.become_other(pid, |process| {
            process.is_kernel = true;
            process.exe = None;
            process.uid = Some(0);
        });
    }

    fn become_other(&mut self, pid: u32, change: impl FnOnce(&mut Process)) {
        let known = self.known(pid);
        let old = &known.process;
        let mut process = Process {
            key: old.key,
            comm: old.comm.clone(),
            exe: old.exe.clone(),
            uid: old.uid,
            is_kernel: old.is_kernel,
            vm: old.vm.clone(),
            cgroup: Arc::clone(&old.cgroup),
        };
        change(&mut process);
        known.process = Arc::new(process);
    }

    pub(crate) fn exec(&mut self, pid: u32, comm: &str) {
        self.become_other(pid, |process| {
            comm.clone_into(&mut process.comm);
            process.exe = Some(format!("/usr/bin/{comm}"));
        });
    }

    pub(crate) fn set_uid(&mut self, pid: u32, uid: Option<u32>) {
        self.become_other(pid, |process| process.uid = uid);
    }

    pub(crate) fn set_vm(&mut self, pid: u32, vm: Vm) {
        self.become_other(pid, |process| process.vm = Some(vm));
    }

    pub(crate) fn move_to(&mut self, pid: u32, path: &str) {
        let cgroup = self.cgroup(path);
        self.become_other(pid, |process| process.cgroup = cgroup);
    }

    pub(crate) fn exit(&mut self, pid: u32) {
        self.processes
            .remove(&pid)
            .expect("an exit is of a live process");
    }

    pub(crate) fn set_readable(&mut self, pid: u32, is_readable: bool) {
        self.known(pid).is_readable = is_readable;
    }

    /// A process that a scan does not find although it lives.
    pub(crate) fn set_hidden(&mut self, pid: u32, is_hidden: bool) {
        self.known(pid).is_hidden = is_hidden;
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.processes.keys().copied().collect()
    }

    pub(crate) fn path_of(&self, pid: u32) -> String {
        self.processes[&pid].process.cgroup.path.clone()
    }

    fn known(&mut self, pid: u32) -> &mut FakeProcess {
        self.processes.get_mut(&pid).expect("a live process's pid")
    }

    /// A process works: its clock, its cgroups' counters and the machine's know.
    pub(crate) fn run(&mut self, pid: u32, milliseconds: u64) {
        add(&mut self.known(pid).cpu, ms(milliseconds));
        let cgroup = Arc::clone(&self.known(pid).process.cgroup);
        self.charge(&cgroup, ms(milliseconds));
    }

    /// A thread of a process works in another cgroup than the one that the process is in.
    pub(crate) fn run_thread_in(&mut self, pid: u32, path: &str, milliseconds: u64) {
        add(&mut self.known(pid).cpu, ms(milliseconds));
        self.spend(path, milliseconds);
    }

    /// Processes that no scan sees work in a cgroup.
    pub(crate) fn spend(&mut self, path: &str, milliseconds: u64) {
        let cgroup = self.cgroup(path);
        self.charge(&cgroup, ms(milliseconds));
    }

    /// A process's clock, which is read later, is ahead of its cgroup's counter.
    pub(crate) fn run_ahead(&mut self, pid: u32, nanoseconds: u64) {
        self.known(pid).cpu.0 += nanoseconds;
    }

    /// The machine is busy for nobody.
    pub(crate) fn interrupt(&mut self, milliseconds: u64) {
        add(&mut self.cpu.irq, ms(milliseconds));
        add(&mut self.spent, ms(milliseconds));
    }

    fn charge(&mut self, cgroup: &Arc<Cgroup>, cpu: Nanos) {
        let mut next = Some(cgroup);
        while let Some(cgroup) = next {
            if let Some(known) = self.cgroups.get_mut(&cgroup.serial) {
                add(&mut known.cpu, cpu);
            }
            next = cgroup.parent.as_ref();
        }
        add(&mut self.cpu.user, cpu);
        add(&mut self.spent, cpu);
    }

    pub(crate) fn name_users(&mut self, names: &[(u32, &str)]) {
        let names = names.iter().map(|(uid, name)| (*uid, (*name).to_owned()));
        self.users = Arc::new(names.collect());
    }

    /// What a scan finds now.
    pub(crate) fn sample(&self) -> Sample {
        let processes = self.processes.values().filter(|known| !known.is_hidden);
        Sample {
            at: self.at,
            boot_at: Nanos(self.at.0 + self.asleep.0),
            ticks_per_second: TICKS_PER_SECOND,
            cpu: self.cpu,
            zones: self.zones.readings(self.at),
            cgroups: (self.cgroups.values())
                .map(|known| CgroupReading {
                    cgroup: Arc::clone(&known.cgroup),
                    cpu: (known.has_counter && known.is_readable).then_some(known.cpu),
                })
                .collect(),
            processes: processes
                .map(|known| ProcessReading {
                    process: Arc::clone(&known.process),
                    cpu: known.is_readable.then_some(known.cpu),
                })
                .collect(),
            users: Arc::clone(&self.users),
        }
    }
}
