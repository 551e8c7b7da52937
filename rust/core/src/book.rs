//! The book of one level: its rows and its residuals, which together are all active energy.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::account::{Account, ClassEnergy, Row};
use crate::kepler::{self, Tally};
use crate::labels::Labels;
use crate::level::{Level, Reason};
use crate::units::Nanos;

/// How long rows whose workload has ended stay on the page, and how many.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// The time for which an ended row stays, for every reader to see its last value.
    pub keep: Nanos,
    /// The most ended rows of a level; the largest stay.
    pub most: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep: Nanos::from_secs(120),
            most: 500,
        }
    }
}

/// Where a share goes at one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// To the row of this number.
    Row(u32),
    /// To a residual.
    Residual(Reason),
}

/// What every book needs to close an interval.
#[derive(Debug)]
pub(crate) struct Closing<'a> {
    /// When the interval ended.
    pub(crate) at: Nanos,
    /// When it began, UTC seconds.
    pub(crate) from_s: f64,
    /// All CPU time of the interval, in nanoseconds.
    pub(crate) total_ns: f64,
    /// Its active energy.
    pub(crate) energy: &'a ClassEnergy,
    /// The class whose energy ranks rows.
    pub(crate) primary: Option<usize>,
}

/// One level's rows and residuals.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) level: Level,
    pub(crate) residuals: [Account; Reason::ALL.len()],
    rows: Vec<Option<Row>>,
    free: Vec<u32>,
    by_labels: FxHashMap<Arc<str>, u32>,
    /// Rows credited in this interval.
    touched: Vec<u32>,
    /// Rows without members.
    ended: Vec<u32>,
    top: Option<usize>,
    retention: Retention,
    /// The same by Kepler's labels; `None` unless that was asked for.
    kepler: Option<Tally>,
}

impl Book {
    pub(crate) fn new(
        level: Level,
        top: Option<usize>,
        retention: Retention,
        is_kepler: bool,
    ) -> Self {
        Self {
            level,
            residuals: Default::default(),
            rows: Vec::new(),
            free: Vec::new(),
            by_labels: FxHashMap::default(),
            touched: Vec::new(),
            ended: Vec::new(),
            top,
            retention,
            kepler: (is_kepler && kepler::has_level(level)).then(Tally::default),
        }
    }

    /// The rows on the page, in the order in which they came.
    pub(crate) fn exported(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().flatten().filter(|row| row.is_exported)
    }

    /// The rows on the page by Kepler's labels.
    pub(crate) fn exported_by_kepler(&self) -> Option<Vec<kepler::Row>> {
        let tally = self.kepler.as_ref()?;
        let shown = self
            .exported()
            .filter_map(|row| Some((row.kepler?, row.members > 0)));
        Some(tally.rows(shown))
    }

    /// Whether the page is cut to the largest rows.
    pub(crate) fn has_top(&self) -> bool {
        self.top.is_some()
    }

    /// Joins a member to the row of these labels. A successor with the same label set goes on
    /// with the row: its counter must not fall. `by_kepler` are Kepler's labels of a new row.
    pub(crate) fn join(
        &mut self,
        labels: Labels,
        by_kepler: impl FnOnce() -> Option<Labels>,
    ) -> u32 {
        let labels: Arc<str> = labels.into_text().into();
        let id = match self.by_labels.get(&labels) {
            Some(id) => *id,
            None => self.open(labels, by_kepler),
        };
        self.rejoin(id);
        id
    }

    /// Joins one more member to a row that has one.
    pub(crate) fn rejoin(&mut self, id: u32) {
        if let Some(row) = self.row_mut(id) {
            row.members += 1;
            row.ended_at = None;
        }
    }

    fn open(&mut self, labels: Arc<str>, by_kepler: impl FnOnce() -> Option<Labels>) -> u32 {
        let kepler = self.kepler.as_mut();
        let kepler = kepler.and_then(|tally| Some(tally.join(by_kepler()?)));
        let row = Row {
            labels: Arc::clone(&labels),
            account: Account::default(),
            created_s: None,
            members: 0,
            ended_at: None,
            is_exported: false,
            recent: self.top.map(|_| Box::default()),
            kepler,
            score: 0.0,
        };
        let id = self.free.pop().unwrap_or_else(|| {
            self.rows.push(None);
            u32::try_from(self.rows.len() - 1).expect("fewer than 2^32 rows fit into memory")
        });
        self.rows[id as usize] = Some(row);
        self.by_labels.insert(labels, id);
        id
    }

    /// Takes a member away; the last one to leave ends the row.
    pub(crate) fn leave(&mut self, slot: Slot) {
        let Slot::Row(id) = slot else { return };
        if let Some(row) = self.row_mut(id) {
            row.members -= 1;
            if row.members == 0 {
                self.ended.push(id);
            }
        }
    }

    fn row_mut(&mut self, id: u32) -> Option<&mut Row> {
        self.rows[id as usize].as_mut()
    }

    /// Notes CPU time of this interval, more than none.
    pub(crate) fn credit(&mut self, slot: Slot, cpu_ns: f64) {
        match slot {
            Slot::Residual(reason) => self.residuals[reason as usize].pending_ns += cpu_ns,
            Slot::Row(id) => {
                if let Some(row) = self.rows[id as usize].as_mut() {
                    if row.account.pending_ns == 0.0 {
                        self.touched.push(id);
                    }
                    row.account.pending_ns += cpu_ns;
                }
            }
        }
    }

    /// Turns the interval's CPU time into weights and books the energy; then lets go of rows
    /// that have ended.
    ///
    /// # Panics
    /// If the weights do not add up to all of the energy: a ledger that loses or invents joules
    /// must not go on.
    pub(crate) fn close(&mut self, closing: &Closing<'_>) {
        self.clear_weights();
        if closing.total_ns > 0.0 {
            self.weigh(closing.total_ns);
        } else {
            self.residuals[Reason::Unattributed as usize].weight = 1.0;
        }
        self.choose(closing);
        let booked = self.book(closing);
        assert!(
            (booked - 1.0).abs() < 1e-9,
            "the {} level books {booked} of the interval's energy, not all of it",
            self.level.as_str()
        );
        self.retire(closing.at);
    }

    fn clear_weights(&mut self) {
        // A row credited now has its pending time; all others have no part in this interval.
        for row in self.rows.iter_mut().flatten() {
            row.account.weight = 0.0;
        }
        for residual in &mut self.residuals {
            residual.weight = 0.0;
        }
        self.kepler.iter_mut().for_each(Tally::begin);
    }

    fn weigh(&mut self, total_ns: f64) {
        for id in &self.touched {
            if let Some(row) = self.rows[*id as usize].as_mut() {
                row.account.weight = row.account.pending_ns / total_ns;
            }
        }
        for residual in &mut self.residuals {
            residual.weight = residual.pending_ns / total_ns;
        }
    }

    /// Decides which rows are on the page: all that ever spent, or the top of the last minutes.
    fn choose(&mut self, closing: &Closing<'_>) {
        let Some(top) = self.top else {
            for id in &self.touched {
                if let Some(row) = self.rows[*id as usize].as_mut() {
                    show(row, closing.from_s);
                }
            }
            return;
        };
        // Where the class that ranks was not measured, CPU seconds do.
        let energy = closing
            .primary
            .filter(|class| closing.energy.watts[*class].is_some())
            .map_or(closing.total_ns / 1e9, |class| closing.energy.joules[class]);
        let mut ranking: Vec<(f64, u32)> = Vec::new();
        for (id, row) in (0..).zip(&mut self.rows) {
            let Some(row) = row.as_mut().filter(|row| row.members > 0) else {
                continue;
            };
            let spent = row.account.weight * energy;
            row.score = row
                .recent
                .as_mut()
                .map_or(0.0, |recent| recent.add(closing.at, spent));
            if row.score > 0.0 {
                ranking.push((row.score, id));
            } else {
                row.is_exported = false;
            }
        }
        ranking.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (place, (_, id)) in ranking.into_iter().enumerate() {
            let Some(row) = self.rows[id as usize].as_mut() else {
                continue;
            };
            if place < top {
                show(row, closing.from_s);
            } else {
                row.is_exported = false;
            }
        }
    }

    /// Books what was pending and returns the sum of the weights.
    fn book(&mut self, closing: &Closing<'_>) -> f64 {
        let mut booked = 0.0;
        let mut hidden = (0.0, 0.0);
        for id in self.touched.drain(..) {
            let Some(row) = self.rows[id as usize].as_mut() else {
                continue;
            };
            let (weight, cpu_ns) = (
                row.account.weight,
                std::mem::take(&mut row.account.pending_ns),
            );
            if row.is_exported {
                row.account.book(weight, cpu_ns, closing.energy);
                booked += weight;
                if let (Some(tally), Some(id)) = (&mut self.kepler, row.kepler) {
                    tally.book(id, weight, cpu_ns, closing.energy);
                }
            } else {
                row.account.weight = 0.0;
                hidden = (hidden.0 + weight, hidden.1 + cpu_ns);
            }
        }
        let other = &mut self.residuals[Reason::Other as usize];
        other.weight += hidden.0;
        other.pending_ns += hidden.1;
        for residual in &mut self.residuals {
            let cpu_ns = std::mem::take(&mut residual.pending_ns);
            residual.book(residual.weight, cpu_ns, closing.energy);
            booked += residual.weight;
        }
        booked
    }

    /// Ended rows stay a while, the largest of them, and then leave with their totals. One that
    /// spent in this interval is on its page in any case, or the page would not add up.
    fn retire(&mut self, now: Nanos) {
        let mut ended = std::mem::take(&mut self.ended);
        ended.sort_unstable();
        ended.dedup();
        ended.retain(|id| {
            let Some(row) = self.rows[*id as usize]
                .as_mut()
                .filter(|row| row.members == 0)
            else {
                return false;
            };
            let ended_at = *row.ended_at.get_or_insert(now);
            let has_spent = row.account.weight > 0.0;
            let is_young = row.is_exported && now.since(ended_at) < self.retention.keep;
            let stays = has_spent || is_young;
            if !stays {
                self.remove(*id);
            }
            stays
        });
        if ended.len() > self.retention.most {
            self.cut(&mut ended);
        }
        self.ended = ended;
    }

    /// Removes the smallest of the ended rows beyond the most that may stay.
    fn cut(&mut self, ended: &mut Vec<u32>) {
        let size = |id: u32| {
            let row = self.rows[id as usize].as_ref();
            row.map_or((false, 0.0), |row| {
                let has_spent = row.account.weight > 0.0;
                (has_spent, row.account.joules.iter().sum::<f64>())
            })
        };
        let mut sized: Vec<_> = ended.iter().map(|id| (size(*id), *id)).collect();
        sized.sort_by(|(a, _), (b, _)| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)));
        let spent = sized
            .iter()
            .take_while(|((has_spent, _), _)| *has_spent)
            .count();
        let stay = self.retention.most.max(spent);
        *ended = sized.iter().map(|(_, id)| *id).collect();
        for id in ended.split_off(stay) {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: u32) {
        if let Some(row) = self.rows[id as usize].take() {
            self.by_labels.remove(&row.labels);
            self.free.push(id);
            if let (Some(tally), Some(id)) = (&mut self.kepler, row.kepler) {
                tally.leave(id);
            }
        }
    }
}

fn show(row: &mut Row, from_s: f64) {
    row.created_s.get_or_insert(from_s);
    row.is_exported = true;
}
