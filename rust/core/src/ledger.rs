//! The ledger: divides each interval's energy among workloads and keeps the totals.

use std::sync::Arc;

use crate::account::{Account, ClassEnergy};
use crate::book::{Book, Closing, Retention};
use crate::division::{Division, Paces};
use crate::idle::IdlePolicy;
use crate::interval::Interval;
use crate::kepler;
use crate::labels::Labels;
use crate::level::{Level, Reason};
use crate::membership::Membership;
use crate::sample::Sample;
use crate::snapshot::{ClassSnapshot, LevelSnapshot, RowSnapshot, Snapshot};
use crate::units::Watts;
use crate::zone_account::ZoneAccounts;

/// What the ledger shall keep.
#[derive(Clone, Debug)]
pub struct LedgerOptions {
    /// The levels to compute; another one costs nothing.
    pub levels: Vec<Level>,
    /// How many rows of each level are on the page; `None` for all.
    pub top: Option<usize>,
    /// How idle energy is found.
    pub idle: IdlePolicy,
    /// How long ended rows stay.
    pub retention: Retention,
    /// Whether snapshots hold everything by Kepler's labels too, and what stays the same there.
    pub kepler: Option<Arc<kepler::Node>>,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            levels: Level::ALL.to_vec(),
            top: None,
            idle: IdlePolicy::default(),
            retention: Retention::default(),
            kepler: None,
        }
    }
}

/// The cumulative state of attribution.
#[derive(Debug)]
pub struct Ledger {
    zones: ZoneAccounts,
    books: Vec<Book>,
    membership: Membership,
    paces: Paces,
    before: Option<(Sample, f64)>,
    created_s: f64,
    sequence: u64,
    kepler: Option<Arc<kepler::Node>>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(options: &LedgerOptions) -> Self {
        let mut levels = options.levels.clone();
        levels.sort_unstable();
        levels.dedup();
        Self {
            zones: ZoneAccounts::new(options.idle),
            books: levels
                .into_iter()
                .map(|level| {
                    let is_kepler = options.kepler.is_some();
                    Book::new(level, options.top, options.retention, is_kepler)
                })
                .collect(),
            membership: Membership::default(),
            paces: Paces::default(),
            before: None,
            created_s: 0.0,
            sequence: 0,
            kepler: options.kepler.clone(),
        }
    }

    /// Takes the next sample, at `wall_s` UTC seconds, and returns what it means. The first one
    /// is the baseline: it has no interval.
    ///
    /// # Panics
    /// If a level's rows and residuals do not add up to the interval's active energy.
    pub fn advance(&mut self, sample: Sample, wall_s: f64) -> Snapshot {
        self.sequence += 1;
        self.zones
            .welcome(sample.zones.iter().map(|reading| &reading.zone), wall_s);
        let snapshot = match self.before.take() {
            None => self.begin(&sample, wall_s),
            Some((before, from_s)) => self.book(&before, from_s, &sample, wall_s),
        };
        self.before = Some((sample, wall_s));
        snapshot
    }

    fn begin(&mut self, sample: &Sample, wall_s: f64) -> Snapshot {
        self.created_s = wall_s;
        self.membership.begin(
            sample.processes.iter().map(|reading| &reading.process),
            &sample.users,
        );
        self.snapshot(wall_s, None)
    }

    fn book(&mut self, before: &Sample, from_s: f64, sample: &Sample, wall_s: f64) -> Snapshot {
        let interval = Interval::between(before, sample);
        let (division, paces) = Division::of(&interval, &self.paces);
        self.paces = paces;
        let energy = self.zones.advance(&interval, division.busy_ratio);
        self.credit(&division);
        self.membership
            .follow(&interval, &sample.users, &mut self.books);
        let closing = Closing {
            at: sample.at,
            from_s,
            total_ns: division.total_ns,
            energy: &energy,
            primary: self.zones.primary(),
        };
        for book in &mut self.books {
            book.close(&closing);
        }
        self.snapshot(wall_s, Some((&interval, &division, &energy)))
    }

    fn credit(&mut self, division: &Division) {
        for share in &division.shares {
            let slots = self.membership.slots(&share.payee, &mut self.books);
            for (book, slot) in self.books.iter_mut().zip(slots) {
                book.credit(slot, share.cpu_ns);
            }
        }
        for book in &mut self.books {
            book.residuals[Reason::Kernel as usize].pending_ns += division.kernel_ns;
            book.residuals[Reason::Unattributed as usize].pending_ns += division.unattributed_ns;
        }
    }

    fn snapshot(
        &self,
        wall_s: f64,
        measured: Option<(&Interval, &Division, &ClassEnergy)>,
    ) -> Snapshot {
        let watts =
            |at: usize| measured.and_then(|(_, _, energy)| energy.watts.get(at).copied().flatten());
        Snapshot {
            sequence: self.sequence,
            wall_s,
            span: measured.map(|(interval, ..)| interval.span),
            busy_ratio: measured.map(|(_, division, _)| division.busy_ratio),
            zones: self.zones.snapshot(),
            classes: self
                .zones
                .classes()
                .iter()
                .enumerate()
                .map(|(at, name)| ClassSnapshot {
                    name: Arc::clone(name),
                    labels: Labels::default().with("zone", name).into_text().into(),
                    active: watts(at).map(Watts),
                })
                .collect(),
            levels: self
                .books
                .iter()
                .map(|book| self.level(book, measured.is_some()))
                .collect(),
            kepler: self.kepler.as_ref().map(|node| kepler::Snapshot {
                node: Arc::clone(node),
                levels: self.by_kepler(),
            }),
        }
    }

    fn by_kepler(&self) -> Vec<(Level, Vec<kepler::Row>)> {
        let rows = |book: &Book| Some((book.level, book.exported_by_kepler()?));
        self.books.iter().filter_map(rows).collect()
    }

    fn level(&self, book: &Book, is_measured: bool) -> LevelSnapshot {
        let rows = book
            .exported()
            .map(|row| {
                let is_live = row.members > 0;
                // The interval in which a row ended is its last with watts, so that the page adds up.
                let has_watts = is_measured && (is_live || row.account.weight > 0.0);
                let created_s = row.created_s.unwrap_or(self.created_s);
                RowSnapshot {
                    is_live,
                    ..row_snapshot(&row.account, &row.labels, created_s, has_watts)
                }
            })
            .collect();
        let residuals = Reason::ALL
            .into_iter()
            .filter(|reason| match reason {
                Reason::Ungrouped => book.level != Level::Process,
                Reason::Other => book.has_top(),
                Reason::Exited | Reason::Kernel | Reason::Unattributed => true,
            })
            .map(|reason| {
                let account = &book.residuals[reason as usize];
                let labels = Labels::default()
                    .with("level", book.level.as_str())
                    .with("reason", reason.as_str());
                row_snapshot(
                    account,
                    &labels.into_text().into(),
                    self.created_s,
                    is_measured,
                )
            })
            .collect();
        LevelSnapshot {
            level: book.level,
            rows,
            residuals,
        }
    }
}

fn row_snapshot(
    account: &Account,
    labels: &Arc<str>,
    created_s: f64,
    has_watts: bool,
) -> RowSnapshot {
    RowSnapshot {
        labels: Arc::clone(labels),
        weight: has_watts.then_some(account.weight),
        joules: account.joules.clone(),
        cpu_s: account.cpu_ns / 1e9,
        is_live: true,
        created_s,
    }
}
