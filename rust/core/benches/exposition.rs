//! What it costs to render the page. Run with `cargo bench -p jouled-core --bench exposition`.

mod host;

use std::sync::Arc;

use divan::{Bencher, counter::BytesCount};
use host::Host;
use jouled_core::exposition::{Format, render};
use jouled_core::kepler::Node;
use jouled_core::ledger::{Ledger, LedgerOptions};

fn main() {
    divan::main();
}

#[divan::bench(args = [100, 2_000, 10_000])]
fn prometheus(bencher: Bencher, busy: u32) {
    page(bencher, busy, Format::Prometheus, &LedgerOptions::default());
}

#[divan::bench(args = [100, 2_000, 10_000])]
fn openmetrics(bencher: Bencher, busy: u32) {
    page(
        bencher,
        busy,
        Format::OpenMetrics,
        &LedgerOptions::default(),
    );
}

#[divan::bench(args = [100, 2_000, 10_000])]
fn with_kepler(bencher: Bencher, busy: u32) {
    let options = LedgerOptions {
        kepler: Some(Arc::new(Node::new("node", &[]))),
        ..LedgerOptions::default()
    };
    page(bencher, busy, Format::Prometheus, &options);
}

fn page(bencher: Bencher, busy: u32, format: Format, options: &LedgerOptions) {
    let mut host = Host::new(busy, 100);
    let mut ledger = Ledger::new(options);
    ledger.advance(host.sample(), 0.0);
    let snapshot = ledger.advance(host.sample(), 5.0);
    let bytes = render(&snapshot, format).len();
    bencher
        .counter(BytesCount::new(bytes))
        .bench(|| render(&snapshot, format));
}
