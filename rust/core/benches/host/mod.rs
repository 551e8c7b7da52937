//! A made-up host for the benches: services of a hundred processes each, two zones.

use std::sync::Arc;

use jouled_core::cgroup::{Cgroup, owner_of};
use jouled_core::parse::stat::CpuTimes;
use jouled_core::process::{Process, ProcessKey};
use jouled_core::sample::{CgroupReading, ProcessReading, Sample, UserNames};
use jouled_core::units::{Nanos, Watts};
use jouled_core::zone::{Source, Zone, ZoneReading, ZoneValue};

const TICKS_PER_SECOND: u64 = 100;
const PERIOD: Nanos = Nanos::from_secs(5);
/// What a process that works spends in each period.
const WORK: Nanos = Nanos(2_000_000);
const CPUS: u32 = 64;

/// A host whose every process is known; samples of it differ only in what was spent.
pub(crate) struct Host {
    zones: Vec<Arc<Zone>>,
    cgroups: Vec<Arc<Cgroup>>,
    processes: Vec<Arc<Process>>,
    users: Arc<UserNames>,
    /// Of each hundred processes, how many work.
    busy_percent: usize,
    tick: u64,
}

impl Host {
    pub(crate) fn new(processes: u32, busy_percent: usize) -> Self {
        let slice = "/system.slice";
        let mut cgroups = vec![cgroup(0, slice, None)];
        for number in 1..=processes.div_ceil(100) {
            let path = format!("{slice}/worker-{number:03}.service");
            cgroups.push(cgroup(number, &path, Some(Arc::clone(&cgroups[0]))));
        }
        let processes = (0..processes)
            .map(|number| process(number, &cgroups[1 + number as usize / 100]))
            .collect();
        Self {
            zones: vec![zone("package"), zone("dram")],
            cgroups,
            processes,
            users: Arc::default(),
            busy_percent,
            tick: 0,
        }
    }

    /// The sample of the next period.
    pub(crate) fn sample(&mut self) -> Sample {
        self.tick += 1;
        let at = Nanos(self.tick * PERIOD.0);
        let (user, cpu_of_service) = (Nanos(self.total_ns()), self.service_ns());
        let reading = |(number, cgroup): (usize, &Arc<Cgroup>)| CgroupReading {
            cgroup: Arc::clone(cgroup),
            cpu: Some(if number == 0 { user } else { cpu_of_service }),
        };
        Sample {
            at,
            boot_at: at,
            ticks_per_second: TICKS_PER_SECOND,
            cpu: CpuTimes {
                user,
                cpus: CPUS,
                ..CpuTimes::default()
            },
            zones: self
                .zones
                .iter()
                .map(|zone| self.energy(zone, at))
                .collect(),
            cgroups: self.cgroups.iter().enumerate().map(reading).collect(),
            processes: self.process_readings(),
            users: Arc::clone(&self.users),
        }
    }

    fn process_readings(&self) -> Vec<ProcessReading> {
        let cpu = |number: usize| self.works(number).then_some(Nanos(self.tick * WORK.0));
        (self.processes.iter().enumerate())
            .map(|(number, process)| ProcessReading {
                process: Arc::clone(process),
                cpu: Some(cpu(number).unwrap_or_default()),
            })
            .collect()
    }

    fn works(&self, number: usize) -> bool {
        number % 100 < self.busy_percent
    }

    fn service_ns(&self) -> Nanos {
        Nanos(self.tick * WORK.0 * self.busy_percent as u64)
    }

    fn total_ns(&self) -> u64 {
        let busy = (0..self.processes.len()).filter(|number| self.works(*number));
        self.tick * WORK.0 * busy.count() as u64
    }

    fn energy(&self, zone: &Arc<Zone>, at: Nanos) -> ZoneReading {
        ZoneReading {
            zone: Arc::clone(zone),
            at,
            spread: Nanos(0),
            value: ZoneValue::Energy {
                microjoules: self.tick * 200_000_000,
                range: None,
            },
        }
    }
}

fn zone(class: &str) -> Arc<Zone> {
    Arc::new(Zone {
        class: class.into(),
        index: "0".into(),
        source: Source::Fake,
        path: class.into(),
        ceiling: Watts(1000.0),
    })
}

fn cgroup(serial: u32, path: &str, parent: Option<Arc<Cgroup>>) -> Arc<Cgroup> {
    Arc::new(Cgroup {
        serial,
        path: path.into(),
        parent,
        owner: owner_of(path.as_bytes()),
    })
}

fn process(number: u32, cgroup: &Arc<Cgroup>) -> Arc<Process> {
    Arc::new(Process {
        key: ProcessKey {
            pid: 1000 + number,
            start_ticks: 0,
        },
        comm: format!("worker/{number}"),
        exe: Some("/usr/lib/worker/bin/worker".into()),
        uid: Some(1000),
        is_kernel: false,
        vm: None,
        cgroup: Arc::clone(cgroup),
    })
}
