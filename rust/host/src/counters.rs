//! Zone counters read when they are asked for: no scan and no ledger, only what each zone has
//! counted since they were opened.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use jouled_core::counter::Step;
use jouled_core::interval::{Interval, ZoneChange, ZoneGrowth};
use jouled_core::parse::stat::{self, CpuTimes};
use jouled_core::sample::Sample;
use jouled_core::units::{Joules, Nanos, Watts};
use jouled_core::zone::{Zone, ZoneReading, ZoneValue};
use rustix::fs::CWD;
use rustix::time::{ClockId, clock_gettime};

use crate::file;
use crate::meter::Meter;

/// How often is looked for zones that appeared or vanished.
const LOOK_AROUND: Nanos = Nanos::from_secs(30);

/// A mean over less would be the grain of the counter, which is renewed once a millisecond.
const SHORTEST_MEAN: Nanos = Nanos(100_000_000);

/// The zones that are waited for, best first: the counters that cover most.
const PRIMARY: [&str; 2] = ["package", "psys"];

/// A meter whose counters are added up as the ledger does it.
pub struct Counters {
    meter: Box<dyn Meter>,
    stat: Option<OwnedFd>,
    buffer: Vec<u8>,
    before: Option<Sample>,
    load_before: Option<Sample>,
    load: Load,
    accounts: Vec<Account>,
    looked_around: Nanos,
}

/// What the counters hold at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// When the reading began, `CLOCK_MONOTONIC`.
    pub at: Nanos,
    /// Every zone that was ever seen.
    pub zones: Vec<ZoneCount>,
    /// How busy the machine was; `None` where it was not asked for, or cannot be known.
    pub load: Option<Load>,
    /// What went wrong, a line each, the same words for the same trouble.
    pub problems: Vec<String>,
}

/// What one zone has counted.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneCount {
    /// The zone.
    pub zone: Arc<Zone>,
    /// How it is read.
    pub kind: Kind,
    /// Energy since the counters were opened; it never falls.
    pub joules: Joules,
    /// When it was read last.
    pub at: Nanos,
    /// How long that took.
    pub spread: Nanos,
    /// Its mean power over the last tenth of a second at least; `None` where there is none yet.
    pub power: Option<Watts>,
    /// How many times its energy was unknown for a while: what lies across one is not known.
    pub gaps: u64,
    /// Whether this reading was taken as its counter moved.
    pub is_edge: bool,
}

/// How a zone is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An energy counter.
    Counter,
    /// A power gauge, added up over time.
    Gauge,
    /// A model of the machine's load.
    Model,
}

impl Kind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Model => "model",
        }
    }
}

/// CPU time of all CPUs since the load was first read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// What they worked.
    pub busy: Nanos,
    /// What they could have worked.
    pub capacity: Nanos,
}

#[derive(Debug)]
struct Account {
    zone: Arc<Zone>,
    kind: Kind,
    joules: Joules,
    at: Nanos,
    spread: Nanos,
    gaps: u64,
    is_edge: bool,
    /// The last two moments that are `SHORTEST_MEAN` apart, for the mean power.
    anchors: [Option<(Nanos, Joules)>; 2],
}

impl Counters {
    /// The counters of `meter`, and the load of the host whose `/proc` is at `proc`.
    pub fn open(proc: &Path, meter: Box<dyn Meter>) -> Self {
        Self {
            meter,
            stat: file::open_at(CWD, &proc.join("stat")).ok(),
            buffer: Vec::new(),
            before: None,
            load_before: None,
            load: Load::default(),
            accounts: Vec::new(),
            looked_around: clock(ClockId::Monotonic),
        }
    }

    /// Reads every zone once. The first reading is the baseline: 0 J. The load is read where
    /// `with_load`, or a model needs it.
    pub fn read(&mut self, with_load: bool) -> Reading {
        let mut problems = Vec::new();
        let sample = self.sample(&mut problems);
        self.book(sample, None, with_load, problems)
    }

    /// Reads until the counter of the first primary zone moves, for `limit` at most: then the
    /// moment of its last step is known, to the length of a read.
    pub fn read_at_edge(&mut self, limit: Nanos, with_load: bool) -> Reading {
        let mut problems = Vec::new();
        let first = self.sample(&mut problems);
        let Some(place) = primary_counter(&first.zones) else {
            return self.book(first, None, with_load, problems);
        };
        let zone = Arc::clone(&first.zones[place].zone);
        let value = |sample: &Sample| {
            let mut readings = sample.zones.iter();
            readings
                .find(|reading| reading.zone.is_same_series(&zone))
                .map(|reading| reading.value)
        };
        let before = value(&first);
        loop {
            problems.clear();
            let sample = self.sample(&mut problems);
            let has_moved = value(&sample) != before;
            if has_moved || sample.at.since(first.at) >= limit {
                let edge = has_moved.then_some(&*zone);
                return self.book(sample, edge, with_load, problems);
            }
        }
    }

    fn sample(&mut self, problems: &mut Vec<String>) -> Sample {
        let mut sample = Sample {
            at: clock(ClockId::Monotonic),
            boot_at: clock(ClockId::Boottime),
            ..Sample::default()
        };
        let now = || clock(ClockId::Monotonic);
        self.meter.read(&now, &mut sample.zones, problems);
        sample
    }

    fn book(
        &mut self,
        sample: Sample,
        edge: Option<&Zone>,
        with_load: bool,
        problems: Vec<String>,
    ) -> Reading {
        let is_modelled = |reading: &ZoneReading| kind(reading.value) == Some(Kind::Model);
        let is_load_wanted = with_load || sample.zones.iter().any(is_modelled);
        let busy_ratio = is_load_wanted.then(|| self.read_load()).flatten();
        self.advance(&sample, edge, busy_ratio);
        let at = sample.at;
        self.before = Some(sample);
        // After the reading: whoever measures pays for it outside of what is measured, at its start.
        if at.since(self.looked_around) >= LOOK_AROUND {
            self.looked_around = at;
            self.meter.rediscover();
        }
        Reading {
            at,
            zones: self.accounts.iter().map(Account::count).collect(),
            load: self
                .load_before
                .as_ref()
                .filter(|_| is_load_wanted)
                .map(|_| self.load),
            problems,
        }
    }

    fn advance(&mut self, sample: &Sample, edge: Option<&Zone>, busy_ratio: Option<f64>) {
        let nothing = Sample::default();
        let interval = Interval::between(self.before.as_ref().unwrap_or(&nothing), sample);
        for account in &mut self.accounts {
            let change = interval
                .zones
                .iter()
                .find(|change| change.zone.is_same_series(&account.zone));
            account.advance(change, busy_ratio);
        }
        for reading in &sample.zones {
            let place = self
                .accounts
                .iter()
                .position(|account| account.zone.is_same_series(&reading.zone));
            let place = place.unwrap_or_else(|| {
                self.accounts.push(Account::open(reading));
                self.accounts.len() - 1
            });
            let is_edge = edge.is_some_and(|zone| zone.is_same_series(&reading.zone));
            self.accounts[place].stamp(reading, is_edge);
        }
    }

    /// Adds up how busy the machine was since the load was read last; the ratio of that time is
    /// not clamped to 1, since what a clock tick books late must not be lost.
    fn read_load(&mut self) -> Option<f64> {
        let cpu = self.cpu_times();
        let Some(cpu) = cpu else {
            self.load_before = None;
            return None;
        };
        let sample = Sample {
            at: clock(ClockId::Monotonic),
            cpu,
            ..Sample::default()
        };
        let before = self.load_before.replace(sample);
        let (before, now) = (before?, self.load_before.as_ref()?);
        let interval = Interval::between(&before, now);
        let capacity = Nanos(interval.span.0.saturating_mul(u64::from(interval.cpus)));
        self.load.busy.0 += interval.busy.0;
        self.load.capacity.0 += capacity.0;
        (capacity.0 > 0).then(|| interval.busy.0 as f64 / capacity.0 as f64)
    }

    fn cpu_times(&mut self) -> Option<CpuTimes> {
        let text = file::read_whole(self.stat.as_ref()?, &mut self.buffer).ok()?;
        stat::parse(text, rustix::param::clock_ticks_per_second()).ok()
    }
}

impl Account {
    fn open(reading: &ZoneReading) -> Self {
        Self {
            zone: Arc::clone(&reading.zone),
            kind: kind(reading.value).unwrap_or(Kind::Counter),
            joules: Joules(0.0),
            at: reading.at,
            spread: reading.spread,
            gaps: 0,
            is_edge: false,
            anchors: [Some((reading.at, Joules(0.0))), None],
        }
    }

    /// Books what the zone did; `None` where it was not there.
    fn advance(&mut self, change: Option<&ZoneChange>, busy_ratio: Option<f64>) {
        let energy = change.and_then(|change| match change.growth {
            ZoneGrowth::Modelled { .. } => change.energy(busy_ratio?),
            _ => change.energy(0.0),
        });
        if let Some(energy) = energy {
            self.joules += energy;
            return;
        }
        // Read twice in the same nanosecond: nothing happened, and that is known.
        let is_instant = change.is_some_and(|change| {
            change.span.0 == 0
                && matches!(
                    change.growth,
                    ZoneGrowth::Modelled { .. } | ZoneGrowth::Stepped(Step::Grew(_))
                )
        });
        if !is_instant {
            self.gaps += 1;
            self.anchors = [None, None];
        }
    }

    /// Notes when it was read, and how.
    fn stamp(&mut self, reading: &ZoneReading, is_edge: bool) {
        self.zone = Arc::clone(&reading.zone);
        self.is_edge = is_edge;
        let Some(kind) = kind(reading.value) else {
            return;
        };
        (self.kind, self.at, self.spread) = (kind, reading.at, reading.spread);
        let is_due = self.anchors[0].is_none_or(|(at, _)| self.at.since(at) >= SHORTEST_MEAN);
        if is_due {
            self.anchors = [Some((self.at, self.joules)), self.anchors[0]];
        }
    }

    fn power(&self) -> Option<Watts> {
        let (at, joules) = self.anchors[1].or(self.anchors[0])?;
        (self.joules - joules).over(self.at.since(at))
    }

    fn count(&self) -> ZoneCount {
        ZoneCount {
            zone: Arc::clone(&self.zone),
            kind: self.kind,
            joules: self.joules,
            at: self.at,
            spread: self.spread,
            power: self.power(),
            gaps: self.gaps,
            is_edge: self.is_edge,
        }
    }
}

const fn kind(value: ZoneValue) -> Option<Kind> {
    match value {
        ZoneValue::Energy { .. } => Some(Kind::Counter),
        ZoneValue::Power { .. } => Some(Kind::Gauge),
        ZoneValue::Modelled { .. } => Some(Kind::Model),
        ZoneValue::Absent | ZoneValue::Failed => None,
    }
}

/// Where the counter stands that is waited for: the first of the class that covers most.
fn primary_counter(readings: &[ZoneReading]) -> Option<usize> {
    let rank = |place: &usize| {
        let class = &readings[*place].zone.class;
        let known = PRIMARY.iter().position(|known| known == class);
        known.unwrap_or(PRIMARY.len())
    };
    (0..readings.len())
        .filter(|place| kind(readings[*place].value) == Some(Kind::Counter))
        .min_by_key(rank)
}

fn clock(id: ClockId) -> Nanos {
    let time = clock_gettime(id);
    Nanos(time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

#[cfg(test)]
#[path = "counters_tests.rs"]
mod tests;
