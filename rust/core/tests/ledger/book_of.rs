//! A ledger that is fed by a fake host, audited with every page.

use jouled_core::ledger::{Ledger, LedgerOptions};
use jouled_core::level::{Level, Reason};
use jouled_core::snapshot::{RowSnapshot, Snapshot};

use crate::audit::Auditor;
use crate::fake_host::FakeHost;

pub(crate) struct BookOf {
    ledger: Ledger,
    auditor: Auditor,
}

impl BookOf {
    pub(crate) fn new(options: &LedgerOptions) -> Self {
        Self {
            ledger: Ledger::new(options),
            auditor: Auditor::default(),
        }
    }

    /// Scans the host as it is, and audits the page.
    pub(crate) fn scan(&mut self, host: &FakeHost) -> Snapshot {
        let sample = host.sample();
        let snapshot = self.ledger.advance(sample.clone(), host.wall_s());
        self.auditor.check(&snapshot, &sample);
        snapshot
    }

    /// One second of 40 J of the package, then a scan.
    pub(crate) fn second(&mut self, host: &mut FakeHost) -> Snapshot {
        host.draw("package", "0", 40.0);
        host.pass(1000);
        self.scan(host)
    }
}

/// A host with one package zone and a book that has taken its baseline.
pub(crate) fn begun(host: &mut FakeHost, options: &LedgerOptions) -> BookOf {
    host.zone("package", "0");
    let mut book = BookOf::new(options);
    book.scan(host);
    book
}

/// The rows of a level.
pub(crate) fn rows(snapshot: &Snapshot, level: Level) -> &[RowSnapshot] {
    let mut levels = snapshot.levels.iter();
    let found = levels.find(|found| found.level == level);
    &found.expect("a level that was asked for").rows
}

/// The row whose label set contains a text.
pub(crate) fn row<'a>(snapshot: &'a Snapshot, level: Level, text: &str) -> Option<&'a RowSnapshot> {
    let mut found = rows(snapshot, level)
        .iter()
        .filter(|row| row.labels.contains(text));
    let row = found.next();
    assert!(
        found.next().is_none(),
        "more than one row of {level:?} has {text}"
    );
    row
}

/// The part of the interval's active energy that a row has; 0 without one.
pub(crate) fn share(snapshot: &Snapshot, level: Level, text: &str) -> f64 {
    row(snapshot, level, text)
        .and_then(|row| row.weight)
        .unwrap_or_default()
}

/// The part of the interval's active energy that a residual has.
pub(crate) fn residual(snapshot: &Snapshot, level: Level, reason: Reason) -> f64 {
    let mut levels = snapshot.levels.iter();
    let found = levels
        .find(|found| found.level == level)
        .expect("a level that was asked for");
    let text = format!("reason=\"{}\"", reason.as_str());
    let mut residuals = found.residuals.iter();
    let row = residuals.find(|row| row.labels.contains(&text));
    row.and_then(|row| row.weight).unwrap_or_default()
}

/// The joules of a row's package column.
pub(crate) fn joules(snapshot: &Snapshot, level: Level, text: &str) -> f64 {
    let row =
        row(snapshot, level, text).unwrap_or_else(|| panic!("no row of {level:?} has {text}"));
    row.joules[0]
}

/// Within two points.
#[track_caller]
pub(crate) fn assert_share(found: f64, truth: f64, who: &str) {
    assert!(
        (found - truth).abs() <= 0.02,
        "{who} has {found:.4}, the truth is {truth:.4}"
    );
}
