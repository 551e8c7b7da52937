//! What changed between two samples: `b − a`, nothing attributed yet.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::cgroup::Cgroup;
use crate::counter::Step;
use crate::parse::stat::CpuTimes;
use crate::process::{Process, ProcessKey};
use crate::sample::{CgroupReading, ProcessReading, Sample};
use crate::units::{Joules, Nanos, Watts};
use crate::zone::{Zone, ZoneReading, ZoneValue};

/// Longer than this asleep between two samples, and the energy counters cannot be trusted: some
/// platforms reset them on resume, others count on.
const SUSPEND_NS: u64 = 1_000_000_000;

/// The longest clock tick that a kernel can be built with: 100 of them a second.
const LONGEST_TICK_NS: u64 = 10_000_000;

/// The daemon's intervals are at most a minute. After a longer one (it was stopped, the machine
/// hung) a counter that could have gone round more than once says nothing.
const LONGEST_SPAN: Nanos = Nanos::from_secs(120);

/// The difference of two samples.
#[derive(Debug, Default)]
pub struct Interval {
    /// The time between the two readings of the CPU times.
    pub span: Nanos,
    /// CPU time that the machine's own accounting holds busy: all but idle and iowait, and no more
    /// than the CPUs had.
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

impl ZoneChange {
    /// The energy of the interval; `None` where it is unknown. A model takes the busy ratio.
    pub fn energy(&self, busy_ratio: f64) -> Option<Joules> {
        match self.growth {
            ZoneGrowth::Stepped(Step::Grew(energy) | Step::Wrapped(energy)) => Some(energy),
            ZoneGrowth::Modelled { idle, max } => {
                Some(Watts(idle.0 + (max.0 - idle.0) * busy_ratio).during(self.span))
            }
            _ => None,
        }
        .filter(|_| self.span.0 > 0)
    }
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
            busy: busy_between(&a.cpu, &b.cpu, span),
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

/// Busy CPU time. Each column is clamped on its own, since some kernels let one go backwards; and
/// the sum by what the CPUs had, since steal time was seen to jump to the end of its range.
fn busy_between(a: &CpuTimes, b: &CpuTimes, span: Nanos) -> Nanos {
    let busy = [
        b.user.since(a.user),
        b.nice.since(a.nice),
        b.system.since(a.system),
        b.irq.since(a.irq),
        b.softirq.since(a.softirq),
        b.steal.since(a.steal),
    ];
    let sum = busy
        .iter()
        .fold(0_u64, |sum, column| sum.saturating_add(column.0));
    // A CPU that came or went had some of the time, and each counts by its clock tick.
    let cpus = u64::from(a.cpus.max(b.cpus).max(1));
    let had = cpus.saturating_mul(span.0.saturating_add(LONGEST_TICK_NS));
    Nanos(sum.min(had))
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
            let could_wrap_twice = range.is_some_and(|range| {
                span > LONGEST_SPAN
                    && now.zone.ceiling.during(span) > Joules::from_microjoules(range)
            });
            if asleep.0 > SUSPEND_NS || could_wrap_twice {
                return Step::Reset;
            }
            Step::between(last, microjoules, range, span, now.zone.ceiling)
        }
        (ZoneValue::Power { power: last, .. }, ZoneValue::Power { power, is_average }) => {
            let last = if is_average { power } else { last };
            // Chips say all ones where they have no answer.
            if last.0.max(power.0) > now.zone.ceiling.0 {
                Step::Reset
            } else {
                Step::Grew(((last + power) * 0.5).during(span))
            }
        }
        _ => Step::Baseline,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::Source;

    fn sample(at_s: u64, cpu: CpuTimes, value: ZoneValue) -> Sample {
        let zone = Zone {
            class: "package".into(),
            index: "0".into(),
            source: Source::Hwmon,
            path: "power1_input".into(),
            ceiling: Watts(5000.0),
        };
        Sample {
            at: Nanos::from_secs(at_s),
            boot_at: Nanos::from_secs(at_s),
            ticks_per_second: 100,
            cpu: CpuTimes { cpus: 2, ..cpu },
            zones: vec![ZoneReading {
                zone: Arc::new(zone),
                at: Nanos::from_secs(at_s),
                spread: Nanos(0),
                value,
            }],
            ..Sample::default()
        }
    }

    fn watts(at_s: u64, watts: f64, is_average: bool) -> Sample {
        let power = Watts(watts);
        sample(
            at_s,
            CpuTimes::default(),
            ZoneValue::Power { power, is_average },
        )
    }

    fn growth(a: &Sample, b: &Sample) -> ZoneGrowth {
        Interval::between(a, b).zones[0].growth
    }

    #[test]
    fn a_column_that_jumps_to_the_end_of_its_range_is_no_more_than_the_cpus_had() {
        // Kernels 4.8 to 4.10 let steal time fall below zero: 2^64 ns, by the clock tick.
        let end = Nanos(18_446_744_073_700_000_000);
        let busy = |system, steal| {
            let cpu = CpuTimes {
                system: Nanos(system),
                steal,
                ..CpuTimes::default()
            };
            sample(system, cpu, ZoneValue::Absent)
        };
        let interval = Interval::between(&busy(1, Nanos(0)), &busy(1_000_000_001, end));
        let had = 2 * (interval.span.0 + 10_000_000);
        assert_eq!(interval.busy.0, had, "all that two CPUs had, to the tick");
    }

    #[test]
    fn a_power_that_the_zone_could_not_draw_is_no_energy() {
        // ACPI: all ones where the power meter has nothing to say, in milliwatts.
        let ones = 4_294_967.295;
        for is_average in [false, true] {
            let (good, bad, again) = (
                watts(1, 90.0, is_average),
                watts(2, ones, is_average),
                watts(3, 90.0, is_average),
            );
            assert_eq!(growth(&good, &bad), ZoneGrowth::Stepped(Step::Reset));
            let expected = if is_average {
                // The average of the second interval holds nothing of the first.
                Step::Grew(crate::units::Joules(90.0))
            } else {
                Step::Reset
            };
            assert_eq!(growth(&bad, &again), ZoneGrowth::Stepped(expected));
        }
    }
}
