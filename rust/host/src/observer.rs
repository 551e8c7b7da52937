//! A host under observation: scans it and keeps its ledger.

use std::time::{SystemTime, UNIX_EPOCH};

use jouled_core::ledger::{Ledger, LedgerOptions};
use jouled_core::snapshot::Snapshot;

use crate::error::ScanError;
use crate::meter::Meter;
use crate::root::Root;
use crate::scanner::{ScanStats, Scanner};

/// A scanner and a ledger.
pub struct Observer {
    scanner: Scanner,
    ledger: Ledger,
}

/// What one tick saw.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The ledger after it.
    pub snapshot: Snapshot,
    /// What scanning has cost and met so far.
    pub stats: ScanStats,
    /// What went wrong in it, a line each.
    pub problems: Vec<String>,
}

impl Observer {
    /// Begins to observe the host at `root`.
    pub fn open(
        root: &Root,
        meter: Box<dyn Meter>,
        options: &LedgerOptions,
    ) -> Result<Self, ScanError> {
        Ok(Self {
            scanner: Scanner::open(root, meter)?,
            ledger: Ledger::new(options),
        })
    }

    /// Scans once and books what happened since the last time. A failed scan changes nothing.
    pub fn tick(&mut self) -> Result<Observation, ScanError> {
        let sample = self.scanner.scan()?;
        let wall_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        Ok(Observation {
            snapshot: self.ledger.advance(sample, wall_s),
            stats: self.scanner.stats().clone(),
            problems: self.scanner.take_problems(),
        })
    }
}
