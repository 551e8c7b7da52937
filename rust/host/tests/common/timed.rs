//! A scanner and a ledger on a written host, whose time passes by the test's word.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use jouled_core::ledger::{Ledger, LedgerOptions};
use jouled_core::sample::Sample;
use jouled_core::snapshot::Snapshot;
use jouled_core::units::{Nanos, Watts};
use jouled_core::zone::{Source, Zone, ZoneReading, ZoneValue};
use jouled_host::meter::Meter;
use jouled_host::meters::{self, MeterOptions, MeterWord};
use jouled_host::scanner::Scanner;

use super::fake_host::FakeHost;
use super::page::Page;

/// The first sample's seconds since boot, as [`FakeHost::new`] has it, and its wall clock.
const FIRST_S: u64 = 1000;
const FIRST_WALL_S: f64 = 1_700_000_000.0;

/// Observes a host whose time passes by the test's word.
pub(crate) struct Timed {
    pub(crate) scanner: Scanner,
    ledger: Ledger,
    /// Open, so that whoever may not write there can let time pass; `None` where the host has none.
    uptime: Option<File>,
    /// The time of the next scan, seconds since boot.
    pub(crate) next_s: u64,
}

impl Timed {
    /// Observes with the zones that the host itself has.
    pub(crate) fn with_meter(host: &FakeHost, word: MeterWord) -> Self {
        Self::with_options(host, word, &LedgerOptions::default())
    }

    /// The same, with another ledger than the usual one.
    pub(crate) fn with_options(host: &FakeHost, word: MeterWord, ledger: &LedgerOptions) -> Self {
        let options = MeterOptions {
            words: vec![word],
            ..MeterOptions::default()
        };
        let opened = meters::open(&host.root(), &options)
            .map_err(|refusals| refusals[0].to_string())
            .unwrap();
        Self::of(host, opened.meter, ledger)
    }

    /// Observes with one package that draws 100 W.
    pub(crate) fn steady(host: &FakeHost) -> Self {
        Self::of(host, Box::new(Steady::default()), &LedgerOptions::default())
    }

    fn of(host: &FakeHost, meter: Box<dyn Meter>, options: &LedgerOptions) -> Self {
        Self {
            scanner: Scanner::open(&host.root(), meter).unwrap(),
            ledger: Ledger::new(options),
            uptime: File::options()
                .write(true)
                .open(host.at("proc/uptime"))
                .ok(),
            next_s: FIRST_S,
        }
    }

    /// Scans, five seconds after the last time.
    pub(crate) fn sample(&mut self) -> Sample {
        if let Some(uptime) = &self.uptime {
            let text = format!("{}.00 0.00\n", self.next_s);
            uptime.set_len(0).unwrap();
            uptime.write_all_at(text.as_bytes(), 0).unwrap();
        }
        self.next_s += 5;
        self.scanner.scan().unwrap()
    }

    /// Scans and books; every snapshot must add up.
    #[track_caller]
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        let sample = self.sample();
        let wall_s = FIRST_WALL_S + sample.at.since(Nanos::from_secs(FIRST_S)).seconds();
        let snapshot = self.ledger.advance(sample, wall_s);
        Page::of(&snapshot).assert_adds_up();
        snapshot
    }

    /// The page five seconds after the last one.
    #[track_caller]
    pub(crate) fn page(&mut self) -> Page {
        Page::of(&self.snapshot())
    }
}

/// A package that draws 100 W for the five seconds between two readings.
#[derive(Default)]
struct Steady {
    microjoules: u64,
}

impl Meter for Steady {
    fn source(&self) -> Source {
        Source::Fake
    }

    fn read(
        &mut self,
        now: &dyn Fn() -> Nanos,
        readings: &mut Vec<ZoneReading>,
        _problems: &mut Vec<String>,
    ) {
        self.microjoules += 500_000_000;
        let zone = Zone {
            class: "package".into(),
            index: "0".into(),
            source: Source::Fake,
            path: "steady".into(),
            ceiling: Watts(1000.0),
        };
        readings.push(ZoneReading {
            zone: Arc::new(zone),
            at: now(),
            spread: Nanos(0),
            value: ZoneValue::Energy {
                microjoules: self.microjoules,
                range: None,
            },
        });
    }

    fn rediscover(&mut self) {}
}
