//! What changed between two samples: `b − a`, nothing attributed yet.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::cgroup::Cgroup;
use crate::counter::Step;
use crate::parse::stat::CpuTimes;
use crate::process::{Process, ProcessKey};
use crate::sample::{CgroupReading, ProcessReading, Sample};
use crate::units::{Nanos, Watts};
use crate::zone::{Zone, ZoneReading, ZoneValue};

/// Longer than this asleep between two samples, and the energy counters cannot be trusted: some
/// platforms reset them on resume, others count on.
const SUSPEND_NS: u64 = 1_000_000_000;

/// The difference of two samples.
#[derive(Debug, Default)]
pub struct Interval {
    /// The time between the two readings of the CPU times.
    pub span: Nanos,
    /// CPU time that the machine's own accounting holds busy: all but idle and iowait.
    pub busy: Nanos,
    /// How many CPUs there are now.
    pub cpus: u32,
    /// What each zone of the newer sample did.
    pub zones: Vec<ZoneChange>,
    /// What each cgroup of either sample did, by rising serial: a parent stands before its children.
    pub cgroups: Vec<CgroupChange>,
    /// The live processes whose CPU time grew.
    pub grown: Vec<ProcessGrowth>,
    /// Processes that are new in the newer sample.
    pub born: Vec<Arc<Process>>,
    /// Processes that are no longer in it.
    pub exited: Vec<Arc<Process>>,
    /// Processes that are somebody else now, by an exec or a move: as they were and as they are.
    pub changed: Vec<(Arc<Process>, Arc<Process>)>,
}

/// What a zone did.
#[derive(Debug)]
pub struct ZoneChange {
    /// The zone.
    pub zone: Arc<Zone>,
    /// The time between its two readings.
    pub span: Nanos,
    /// What happened.
    pub growth: ZoneGrowth,
}

/// How a zone's energy changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ZoneGrowth {
    /// By a step of its counter, or by its mean power over the time.
    Stepped(Step),
    /// By a model of the machine's load.
    Modelled {
        /// Power of the machine with nothing to do.
        idle: Watts,
        /// Power with every CPU busy.
        max: Watts,
    },
    /// It has nothing to say.
    Absent,
    /// It could not be read.
    Failed,
}

/// What a cgroup did.
#[derive(Debug)]
pub struct CgroupChange {
    /// The cgroup.
    pub cgroup: Arc<Cgroup>,
    /// How its counter changed.
    pub growth: CgroupGrowth,
}

/// How the CPU time of a cgroup and all below it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupGrowth {
    /// By this much.
    Grew(Nanos),
    /// It was not there before: what its counter holds was spent since, or is older if the
    /// cgroup stood empty for long; its parent's growth bounds it.
    New(Nanos),
    /// It has no counter, or none to compare with.
    Unknown,
    /// It is gone.
    Vanished,
}

/// A live process that used CPU time.
#[derive(Debug)]
pub struct ProcessGrowth {
    /// The process as it is now.
    pub process: Arc<Process>,
    /// The CPU time it used.
    pub cpu: Nanos,
}

impl Interval {
    /// What changed from `a` to `b`.
    pub fn between(a: &Sample, b: &Sample) -> Self {
        let span = b.at.since(a.at);
        let asleep = b.boot_at.since(a.boot_at).since(span);
        let mut interval = Self {
            span,
            busy: busy_between(&a.cpu, &b.cpu),
            cpus: b.cpu.cpus.max(1),
            zones: b
                .zones
                .iter()
                .map(|now| zone_change(&a.zones, now, asleep))
                .collect(),
            ..Self::default()
        };
        interval.compare_cgroups(&a.cgroups, &b.cgroups);
        // A process that started before the older sample and was not in it had been hidden: its
        // life's CPU time is no growth. The start time has the grain of one clock tick.
        let born_after = Nanos(a.boot_at.0.saturating_sub(2 * b.tick().0));
        interval.compare_processes(&a.processes, &b.processes, |key| {
            b.started_at(key) >= born_after
        });
        interval
    }

    fn compare_cgroups(&mut self, a: &[CgroupReading], b: &[CgroupReading]) {
        let by_serial =
            |x: &CgroupReading, y: &CgroupReading| x.cgroup.serial.cmp(&y.cgroup.serial);
        merge(a, b, by_serial, |before, now| {
            let growth = match (before, now) {
                (Some(_), None) => CgroupGrowth::Vanished,
                (None, Some(now)) => now.cpu.map_or(CgroupGrowth::Unknown, CgroupGrowth::New),
                (before, now) => match (before.and_then(|r| r.cpu), now.and_then(|r| r.cpu)) {
                    // cpuacct.usage can be set back to zero by writing to it.
                    (Some(before), Some(now)) if now >= before => {
                        CgroupGrowth::Grew(now.since(before))
                    }
                    _ => CgroupGrowth::Unknown,
                },
            };
            if let Some(reading) = now.or(before) {
                self.cgroups.push(CgroupChange {
                    cgroup: Arc::clone(&reading.cgroup),
                    growth,
                });
            }
        });
    }

    fn compare_processes(
        &mut self,
        a: &[ProcessReading],
        b: &[ProcessReading],
        is_newborn: impl Fn(ProcessKey) -> bool,
    ) {
        // The same object is the same process: nearly all are, and need not be looked into.
        let by_key = |x: &ProcessReading, y: &ProcessReading| {
            if Arc::ptr_eq(&x.process, &y.process) {
                return Ordering::Equal;
            }
            x.process.key.cmp(&y.process.key)
        };
        merge(a, b, by_key, |before, now| match (before, now) {
            (Some(before), None) => self.exited.push(Arc::clone(&before.process)),
            (None, Some(now)) => {
                self.born.push(Arc::clone(&now.process));
                if is_newborn(now.process.key) {
                    self.grow(now, Some(Nanos(0)));
                }
            }
            (Some(before), Some(now)) => {
                if !Arc::ptr_eq(&before.process, &now.process) {
                    self.changed
                        .push((Arc::clone(&before.process), Arc::clone(&now.process)));
                }
                self.grow(now, before.cpu);
            }
            (None, None) => {}
        });
    }

    fn grow(&mut self, now: &ProcessReading, before: Option<Nanos>) {
        // An unreadable clock on either side makes the next reading a baseline.
        if let (Some(before), Some(cpu)) = (before, now.cpu) {
            if cpu > before {
                self.grown.push(ProcessGrowth {
                    process: Arc::clone(&now.process),
                    cpu: cpu.since(before),
                });
            }
        }
    }
}

/// Calls `visit` with each element of two slices that are sorted by `order`, pairing the equal.
fn merge<'a, T>(
    a: &'a [T],
    b: &'a [T],
    order: impl Fn(&T, &T) -> Ordering,
    mut visit: impl FnMut(Option<&'a T>, Option<&'a T>),
) {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let which = match (a.peek(), b.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(x), Some(y)) => order(x, y),
        };
        match which {
            Ordering::Less => visit(a.next(), None),
            Ordering::Equal => visit(a.next(), b.next()),
            Ordering::Greater => visit(None, b.next()),
        }
    }
}

/// Busy CPU time. Each column is clamped on its own: iowait may go backwards (proc(5)), and all
/// do when a CPU is unplugged.
fn busy_between(a: &CpuTimes, b: &CpuTimes) -> Nanos {
    let busy = [
        b.user.since(a.user),
        b.nice.since(a.nice),
        b.system.since(a.system),
        b.irq.since(a.irq),
        b.softirq.since(a.softirq),
        b.steal.since(a.steal),
    ];
    Nanos(busy.iter().map(|column| column.0).sum())
}

fn zone_change(before: &[ZoneReading], now: &ZoneReading, asleep: Nanos) -> ZoneChange {
    let before = before
        .iter()
        .find(|reading| reading.zone.is_same_series(&now.zone));
    let span = before.map_or(Nanos(0), |before| now.at.since(before.at));
    let growth = match now.value {
        ZoneValue::Failed => ZoneGrowth::Failed,
        ZoneValue::Absent => ZoneGrowth::Absent,
        ZoneValue::Modelled { idle, max } => ZoneGrowth::Modelled { idle, max },
        ZoneValue::Energy { .. } | ZoneValue::Power { .. } => ZoneGrowth::Stepped(
            before.map_or(Step::Baseline, |before| step(before, now, span, asleep)),
        ),
    };
    ZoneChange {
        zone: Arc::clone(&now.zone),
        span,
        growth,
    }
}

fn step(before: &ZoneReading, now: &ZoneReading, span: Nanos, asleep: Nanos) -> Step {
    match (before.value, now.value) {
        // Another path under the same name is another counter.
        _ if before.zone.path != now.zone.path => Step::Baseline,
        (
            ZoneValue::Energy {
                microjoules: last, ..
            },
            ZoneValue::Energy { microjoules, range },
        ) => {
            if asleep.0 > SUSPEND_NS {
                return Step::Reset;
            }
            Step::between(last, microjoules, range, span, now.zone.ceiling)
        }
        (ZoneValue::Power { power: last, .. }, ZoneValue::Power { power, is_average }) => {
            let mean = if is_average {
                power
            } else {
                (last + power) * 0.5
            };
            Step::Grew(mean.during(span))
        }
        _ => Step::Baseline,
    }
}
