//! The account of one row: cumulative joules that never fall, and this interval's part.

use std::sync::Arc;

use crate::units::Nanos;

/// The energy of one interval by zone class, in the ledger's order of classes.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClassEnergy {
    /// Active energy of each class in joules; 0 where the class was not measured.
    pub(crate) joules: Vec<f64>,
    /// Active power of each class in watts; `None` where it was not measured.
    pub(crate) watts: Vec<Option<f64>>,
}

/// What somebody has spent since the account was opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Joules by class.
    pub(crate) joules: Vec<f64>,
    /// CPU nanoseconds.
    pub(crate) cpu_ns: f64,
    /// CPU nanoseconds of this interval, not yet booked.
    pub(crate) pending_ns: f64,
    /// This interval's part of all active energy, 0 to 1.
    pub(crate) weight: f64,
}

impl Account {
    /// Books an interval's part into the totals.
    pub(crate) fn book(&mut self, weight: f64, cpu_ns: f64, energy: &ClassEnergy) {
        if self.joules.len() < energy.joules.len() {
            self.joules.resize(energy.joules.len(), 0.0);
        }
        for (total, joules) in self.joules.iter_mut().zip(&energy.joules) {
            *total += weight * joules;
        }
        self.cpu_ns += cpu_ns;
    }
}

/// How many minutes decide about the top.
const RECENT_MINUTES: usize = 15;

/// What a row spent in each of the last minutes, kept only where a top is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    minutes: [f64; RECENT_MINUTES],
    newest: u64,
}

impl Recent {
    /// Adds what was spent now and returns the sum of the last fifteen minutes.
    pub(crate) fn add(&mut self, now: Nanos, joules: f64) -> f64 {
        let minute = now.0 / 60_000_000_000;
        for stale in (self.newest + 1..=minute).take(RECENT_MINUTES) {
            self.minutes[Self::slot(stale)] = 0.0;
        }
        self.newest = self.newest.max(minute);
        self.minutes[Self::slot(minute)] += joules;
        self.minutes.iter().sum()
    }

    fn slot(minute: u64) -> usize {
        usize::try_from(minute % RECENT_MINUTES as u64).unwrap_or(0)
    }
}

/// One workload's row at one level.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The label set: the row's identity on the page.
    pub(crate) labels: Arc<str>,
    /// What it has spent while it was exported.
    pub(crate) account: Account,
    /// When its counters started at 0: UTC seconds of the begin of the first interval in which
    /// it was exported.
    pub(crate) created_s: Option<f64>,
    /// How many live processes and cgroups belong to it.
    pub(crate) members: u32,
    /// When the last member was gone.
    pub(crate) ended_at: Option<Nanos>,
    /// Whether it is on the page.
    pub(crate) is_exported: bool,
    /// What it spent lately; `None` where nobody asks.
    pub(crate) recent: Option<Box<Recent>>,
    /// The account by Kepler's labels; `None` where there is none.
    pub(crate) kepler: Option<u32>,
    /// The sum of `recent` at the last choice of the top.
    pub(crate) score: f64,
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // these numbers are exact
mod tests {
    use super::*;

    #[test]
    fn recent_forgets_after_fifteen_minutes() {
        let minute = |n: u64| Nanos::from_secs(60 * n);
        let mut recent = Recent::default();
        assert_eq!(recent.add(minute(100), 1.0), 1.0);
        assert_eq!(recent.add(minute(107), 2.0), 3.0);
        assert_eq!(recent.add(minute(114), 0.0), 3.0);
        assert_eq!(recent.add(minute(115), 0.0), 2.0);
        assert_eq!(recent.add(minute(1000), 0.5), 0.5);
    }
}
