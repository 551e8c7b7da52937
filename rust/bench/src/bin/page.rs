//! `page FILE`: renders the page of 10,000 busy processes and two zones, and writes it to FILE.
//! Prints the typical and the least CPU nanoseconds of each format.

use std::error::Error;
use std::io::{self, Write};

use host::Host;
use jouled_bench::stopwatch::{timed, typical};
use jouled_core::exposition::{Format, render};
use jouled_core::ledger::{Ledger, LedgerOptions};

// The same host as in the benches of the core.
#[path = "../../../core/benches/host/mod.rs"]
mod host;

const PROCESSES: u32 = 10_000;
const ROUNDS: usize = 30;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: page FILE")?;
    let mut host = Host::new(PROCESSES, 100);
    let mut ledger = Ledger::new(&LedgerOptions::default());
    ledger.advance(host.sample(), 0.0);
    let snapshot = ledger.advance(host.sample(), 5.0);
    std::fs::write(path, render(&snapshot, Format::Prometheus))?;
    for (name, format) in [
        ("prometheus", Format::Prometheus),
        ("openmetrics", Format::OpenMetrics),
    ] {
        let mut rounds: Vec<f64> = (0..ROUNDS)
            .map(|_| timed(|| render(&snapshot, format)).0)
            .collect();
        let typical = typical(&mut rounds);
        writeln!(io::stdout(), "{name} {typical:.0} {:.0}", rounds[0])?;
    }
    Ok(())
}
