//! What one interval costs in the ledger: compare, divide, book, and freeze a snapshot.
//! Run with `cargo bench -p jouled-core --bench ledger`.

mod host;

use divan::{Bencher, counter::ItemsCount};
use host::Host;
use jouled_core::interval::Interval;
use jouled_core::ledger::{Ledger, LedgerOptions};

fn main() {
    divan::main();
}

const PROCESSES: [u32; 2] = [2_000, 10_000];

#[divan::bench(args = PROCESSES)]
fn all_asleep(bencher: Bencher, processes: u32) {
    advance(bencher, processes, 0, &LedgerOptions::default());
}

#[divan::bench(args = PROCESSES)]
fn a_tenth_at_work(bencher: Bencher, processes: u32) {
    advance(bencher, processes, 10, &LedgerOptions::default());
}

#[divan::bench(args = PROCESSES)]
fn all_at_work(bencher: Bencher, processes: u32) {
    advance(bencher, processes, 100, &LedgerOptions::default());
}

#[divan::bench(args = PROCESSES)]
fn all_at_work_top_50(bencher: Bencher, processes: u32) {
    let options = LedgerOptions {
        top: Some(50),
        ..LedgerOptions::default()
    };
    advance(bencher, processes, 100, &options);
}

#[divan::bench(args = PROCESSES)]
fn only_the_interval_all_asleep(bencher: Bencher, processes: u32) {
    let mut host = Host::new(processes, 0);
    let (before, after) = (host.sample(), host.sample());
    bencher
        .counter(ItemsCount::new(processes))
        .bench(|| Interval::between(&before, &after));
}

fn advance(bencher: Bencher, processes: u32, busy_percent: usize, options: &LedgerOptions) {
    let mut host = Host::new(processes, busy_percent);
    let mut ledger = Ledger::new(options);
    // The first interval opens the rows.
    for _ in 0..2 {
        ledger.advance(host.sample(), 0.0);
    }
    bencher
        .counter(ItemsCount::new(processes))
        .with_inputs(|| host.sample())
        .bench_local_values(|sample| ledger.advance(sample, 0.0));
}
