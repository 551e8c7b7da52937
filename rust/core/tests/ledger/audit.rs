//! The auditor: what must hold of every page, and of every page after another.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jouled_core::level::Level;
use jouled_core::process::{Process, ProcessKey};
use jouled_core::sample::Sample;
use jouled_core::snapshot::{LevelSnapshot, RowSnapshot, Snapshot, ZoneSnapshot};

use crate::{kepler, page};

/// Remembers every row that it ever saw.
#[derive(Default)]
pub(crate) struct Auditor {
    rows: BTreeMap<(Level, Arc<str>), Remembered>,
    zones: HashMap<String, [f64; 3]>,
    /// Σ of the zones' active joules by class.
    active: Vec<f64>,
    sequence: u64,
    /// Who was there at the last scan.
    known: HashSet<ProcessKey>,
    kepler: kepler::Auditor,
}

struct Remembered {
    joules: Vec<f64>,
    cpu_s: f64,
    created_s: f64,
    /// The last page that it was on.
    sequence: u64,
    /// Who the row was of, at the process level.
    process: Option<Arc<Process>>,
}

/// Whether two sums of the same numbers, of that magnitude, are the same.
fn is_same(one: f64, other: f64, magnitude: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs()) + 1e-12 * magnitude.max(1e-3)
}

fn check_number(value: f64, what: &str) {
    assert!(value >= 0.0 && value.is_finite(), "{what} is {value}");
}

impl Auditor {
    /// Checks a page that was made of `sample` and follows the one checked before.
    pub(crate) fn check(&mut self, snapshot: &Snapshot, sample: &Sample) {
        assert_eq!(snapshot.sequence, self.sequence + 1);
        if let Some(ratio) = snapshot.busy_ratio {
            assert!(
                (0.0..=1.0).contains(&ratio),
                "{ratio} of the CPUs' time was busy"
            );
        }
        let active_growth = self.zones(snapshot);
        let processes = sample.processes.iter().map(|reading| &reading.process);
        let alive: HashMap<u32, &Arc<Process>> = processes
            .map(|process| (process.key.pid, process))
            .collect();
        self.let_go(&alive);
        let mut cpu_growths = Vec::new();
        for level in &snapshot.levels {
            check_watts(level, snapshot);
            let (joules, cpu_s) = self.level(level, snapshot, &alive);
            cpu_growths.push((level.level, cpu_s));
            for (at, growth) in active_growth.iter().enumerate() {
                assert!(
                    is_same(*growth, joules[at], self.active[at]),
                    "page {}: rows and residuals of {:?} grew by {} J of {}, which gave {growth} J",
                    snapshot.sequence,
                    level.level,
                    joules[at],
                    snapshot.classes[at].name
                );
            }
        }
        for pair in cpu_growths.windows(2) {
            assert!(
                is_same(pair[0].1, pair[1].1, 1e4),
                "the levels disagree: {pair:?}"
            );
        }
        page::check(snapshot);
        self.kepler.check(snapshot);
        self.sequence = snapshot.sequence;
        self.known = alive.values().map(|process| process.key).collect();
    }

    /// A process that a scan did not find may begin a new row when it is found again.
    fn let_go(&mut self, alive: &HashMap<u32, &Arc<Process>>) {
        for row in self.rows.values_mut() {
            let lives = |process: &Arc<Process>| {
                (alive.get(&process.key.pid)).is_some_and(|found| Arc::ptr_eq(found, process))
            };
            row.process = row.process.take().filter(lives);
        }
    }

    /// Zones add up and never fall; returns by how much the active energy of each class grew.
    fn zones(&mut self, snapshot: &Snapshot) -> Vec<f64> {
        let mut active = vec![0.0; snapshot.classes.len()];
        let mut power = vec![None; snapshot.classes.len()];
        for zone in &snapshot.zones {
            self.zone(zone);
            let mut classes = snapshot.classes.iter();
            let class = classes.position(|class| *class.name == *zone.zone.class);
            let class = class.expect("every zone has a class");
            active[class] += zone.active.0;
            if let Some(now) = zone.power {
                *power[class].get_or_insert(0.0) += now.active.0;
            }
        }
        for (class, power) in snapshot.classes.iter().zip(power) {
            assert_eq!(class.active.is_some(), power.is_some(), "{}", class.name);
            let shown = class.active.unwrap_or_default().0;
            let power = power.unwrap_or_default();
            let name = &class.name;
            assert!(is_same(shown, power, power), "{name}: {shown} of {power} W");
        }
        self.active.resize(active.len(), 0.0);
        let before = std::mem::replace(&mut self.active, active.clone());
        let pairs = active.iter().zip(before);
        pairs.map(|(now, before)| now - before).collect()
    }

    fn zone(&mut self, zone: &ZoneSnapshot) {
        let id = &zone.zone;
        let name = format!("{:?} {}-{}", id.source, id.class, id.index);
        let now = [zone.total.0, zone.active.0, zone.idle.0];
        for joules in now {
            check_number(joules, &name);
        }
        assert!(is_same(now[0], now[1] + now[2], now[0]), "{name}: {now:?}");
        let before = self.zones.insert(name.clone(), now).unwrap_or_default();
        let mut pairs = before.iter().zip(now);
        assert!(pairs.all(|(before, now)| now >= *before), "{name} fell");
        let Some(power) = zone.power else { return };
        for watts in [power.total, power.active, power.idle] {
            check_number(watts.0, &name);
        }
        let sum = power.active.0 + power.idle.0;
        assert!(is_same(power.total.0, sum, sum), "{name}: {power:?}");
    }

    /// By how much the rows and residuals of a level grew: joules by class, CPU seconds.
    fn level(
        &mut self,
        level: &LevelSnapshot,
        snapshot: &Snapshot,
        alive: &HashMap<u32, &Arc<Process>>,
    ) -> (Vec<f64>, f64) {
        let mut joules = vec![0.0; snapshot.classes.len()];
        let mut cpu_s = 0.0;
        let mut seen = BTreeSet::new();
        for row in level.rows.iter().chain(&level.residuals) {
            assert!(seen.insert(&row.labels), "{} comes twice", row.labels);
            let growth = self.row(level.level, row, snapshot, alive);
            joules
                .iter_mut()
                .zip(growth.0)
                .for_each(|(sum, growth)| *sum += growth);
            cpu_s += growth.1;
        }
        (joules, cpu_s)
    }

    fn row(
        &mut self,
        level: Level,
        row: &RowSnapshot,
        snapshot: &Snapshot,
        alive: &HashMap<u32, &Arc<Process>>,
    ) -> (Vec<f64>, f64) {
        let name = &row.labels;
        row.joules
            .iter()
            .for_each(|joules| check_number(*joules, name));
        check_number(row.cpu_s, name);
        assert!(row.created_s <= snapshot.wall_s);
        let alive = pid(level, name).and_then(|pid| alive.get(&pid)).copied();
        // What grew may still be the row of one that had the pid before a newborn.
        let alive = alive.filter(|process| self.known.contains(&process.key));
        let key = (level, Arc::clone(name));
        let before = self.rows.remove(&key);
        let is_same_row = |before: &Remembered| (before.created_s - row.created_s).abs() < 1e-9;
        let (growth, process) = match before {
            Some(before) if is_same_row(&before) => {
                let growth = growth(row, &before, snapshot.sequence);
                let has_worked = growth.1 > 0.0;
                (
                    growth,
                    if has_worked {
                        alive
                    } else {
                        before.process.as_ref()
                    }
                    .cloned(),
                )
            }
            before => {
                if let Some(before) = before {
                    check_new_beginning(&before, alive, name, snapshot.sequence);
                }
                ((row.joules.clone(), row.cpu_s), alive.cloned())
            }
        };
        let now = Remembered {
            joules: row.joules.clone(),
            cpu_s: row.cpu_s,
            created_s: row.created_s,
            sequence: snapshot.sequence,
            process,
        };
        self.rows.insert(key, now);
        growth
    }
}

/// By how much a row grew since it was last on a page.
fn growth(row: &RowSnapshot, before: &Remembered, sequence: u64) -> (Vec<f64>, f64) {
    let at = |class: usize| before.joules.get(class).copied().unwrap_or_default();
    let columns = || row.joules.iter().enumerate();
    let has_fallen =
        columns().any(|(class, joules)| *joules < at(class)) || row.cpu_s < before.cpu_s;
    assert!(
        !has_fallen,
        "page {sequence}: {} fell from {:?} J, {} s to {:?} J, {} s",
        row.labels, before.joules, before.cpu_s, row.joules, row.cpu_s
    );
    let joules = columns().map(|(class, joules)| joules - at(class));
    (joules.collect(), row.cpu_s - before.cpu_s)
}

/// A row may begin anew only after it left the page, and not for the process that it was of.
fn check_new_beginning(
    before: &Remembered,
    alive: Option<&Arc<Process>>,
    name: &str,
    sequence: u64,
) {
    assert!(
        before.sequence + 1 < sequence,
        "{name} began anew on the page"
    );
    let is_other = !matches!((&before.process, alive), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
    assert!(
        is_other,
        "{name} began anew although it is the same process"
    );
}

/// The watts of one page add up, at one level.
fn check_watts(level: &LevelSnapshot, snapshot: &Snapshot) {
    if snapshot.span.is_none() {
        let mut rows = level.rows.iter().chain(&level.residuals);
        assert!(
            rows.all(|row| row.weight.is_none()),
            "watts without an interval"
        );
        return;
    }
    let weights = level
        .rows
        .iter()
        .chain(&level.residuals)
        .filter_map(|row| row.weight);
    let mut sum = 0.0;
    for weight in weights {
        check_number(weight, "a weight");
        sum += weight;
    }
    for class in &snapshot.classes {
        let Some(active) = class.active else { continue };
        assert!(
            is_same(sum * active.0, active.0, 0.0),
            "page {}: {:?} shows {} of {} W of {}",
            snapshot.sequence,
            level.level,
            sum * active.0,
            active.0,
            class.name
        );
    }
}

fn pid(level: Level, labels: &str) -> Option<u32> {
    let rest = (level == Level::Process)
        .then(|| labels.strip_prefix("pid=\""))
        .flatten()?;
    rest.split_once('"')?.0.parse().ok()
}
