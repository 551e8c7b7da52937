//! The ledger after one interval, frozen.

use std::sync::Arc;

use crate::kepler;
use crate::level::Level;
use crate::units::{Joules, Nanos, Watts};
use crate::zone::Zone;

/// What readers see; it does not change any more.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// How many samples the ledger has taken; 1 is the baseline.
    pub sequence: u64,
    /// When the last sample was taken, UTC seconds.
    pub wall_s: f64,
    /// The interval's length; `None` for the baseline.
    pub span: Option<Nanos>,
    /// The part of the CPUs' time that was busy; `None` for the baseline.
    pub busy_ratio: Option<f64>,
    /// Every zone that was ever seen.
    pub zones: Vec<ZoneSnapshot>,
    /// The zone classes: the columns of all rows.
    pub classes: Vec<ClassSnapshot>,
    /// The levels that were asked for.
    pub levels: Vec<LevelSnapshot>,
    /// The same for dashboards of Kepler; `None` unless that was asked for.
    pub kepler: Option<kepler::Snapshot>,
}

/// One zone class: what its zones give to workloads.
#[derive(Clone, Debug)]
pub struct ClassSnapshot {
    /// `package`, `dram`, …
    pub name: Arc<str>,
    /// `zone="package"`, escaped for the page.
    pub labels: Arc<str>,
    /// Active power of all its zones; `None` where none was measured in this interval.
    pub active: Option<Watts>,
}

/// One zone.
#[derive(Clone, Debug)]
pub struct ZoneSnapshot {
    /// The zone.
    pub zone: Arc<Zone>,
    /// Its energy since the daemon started.
    pub total: Joules,
    /// The part that workloads caused.
    pub active: Joules,
    /// The part that is spent in any case.
    pub idle: Joules,
    /// Its power in the interval; `None` where it is unknown.
    pub power: Option<ZonePower>,
    /// When its counters started at 0, UTC seconds.
    pub created_s: f64,
    /// How often its counter was reset.
    pub resets: u64,
    /// How often its counter wrapped.
    pub wraps: u64,
    /// How often it could not be read.
    pub read_errors: u64,
}

/// A zone's power in one interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZonePower {
    /// All of it.
    pub total: Watts,
    /// The part that workloads caused.
    pub active: Watts,
    /// The part that is spent in any case.
    pub idle: Watts,
}

/// One level's rows and residuals.
#[derive(Clone, Debug)]
pub struct LevelSnapshot {
    /// The level.
    pub level: Level,
    /// The rows on the page.
    pub rows: Vec<RowSnapshot>,
    /// The residuals that this level can have.
    pub residuals: Vec<RowSnapshot>,
}

/// One row, or one residual (labelled by level and reason).
#[derive(Clone, Debug)]
pub struct RowSnapshot {
    /// `name="value",…`, escaped for the page.
    pub labels: Arc<str>,
    /// Its part of all active energy in the interval; `None` for a row that has ended, or where
    /// there is no interval yet.
    pub weight: Option<f64>,
    /// Joules by class since `created_s`; a class that came later than the row's last interval is missing.
    pub joules: Vec<f64>,
    /// CPU seconds since `created_s`.
    pub cpu_s: f64,
    /// Whether its workload still lives; a residual always does.
    pub is_live: bool,
    /// When its counters started at 0, UTC seconds.
    pub created_s: f64,
}

/// The class that ranks workloads: the one that covers most of what they cause.
const PRIMARY: [&str; 2] = ["package", "psys"];

/// The place of the class that ranks workloads; the first one where none of the usual is there.
pub fn primary(classes: &[impl AsRef<str>]) -> Option<usize> {
    let rank = |at: &usize| {
        let name = classes[*at].as_ref();
        PRIMARY
            .iter()
            .position(|known| *known == name)
            .unwrap_or(PRIMARY.len())
    };
    (0..classes.len()).min_by_key(rank)
}

impl Snapshot {
    /// The labels and joules of all rows that can be on the page.
    pub(crate) fn row_joules_mut(&mut self) -> impl Iterator<Item = (&str, &mut Vec<f64>)> {
        let levels = self.levels.iter_mut();
        let rows = levels.flat_map(|level| level.rows.iter_mut().chain(&mut level.residuals));
        let kepler = self.kepler.iter_mut().flat_map(|kepler| &mut kepler.levels);
        let of_kepler = kepler.flat_map(|(_, rows)| rows);
        rows.map(|row| (&*row.labels, &mut row.joules))
            .chain(of_kepler.map(|row| (&*row.labels, &mut row.joules)))
    }

    /// Power of each zone class in the interval, summed over its zones; classes that were not
    /// measured are left out.
    pub fn class_power(&self) -> Vec<(Arc<str>, Watts)> {
        self.classes
            .iter()
            .filter_map(|class| {
                let mut powers = self
                    .zones
                    .iter()
                    .filter(|zone| *zone.zone.class == *class.name)
                    .filter_map(|zone| zone.power)
                    .peekable();
                powers.peek()?;
                Some((
                    Arc::clone(&class.name),
                    powers.map(|power| power.total).sum(),
                ))
            })
            .collect()
    }
}
