//! One small page of each format, as text. `JOULED_WRITE_GOLDEN=1` writes them anew.

use std::path::PathBuf;

use jouled_core::exposition::{Format, render};
use jouled_core::ledger::LedgerOptions;
use jouled_core::level::Level;
use jouled_core::snapshot::Snapshot;

use crate::book_of::begun;
use crate::fake_host::FakeHost;

/// Two sockets and memory, a unit with a worker and one that has ended, a kernel thread.
fn snapshot() -> Snapshot {
    let mut host = FakeHost::new();
    host.name_users(&[(1000, "ann")]);
    host.zone("dram", "0");
    host.zone("package", "1");
    host.process(10, "/system.slice/web.service", "web");
    host.process(11, "/system.slice/batch.service", "job \"7\"");
    host.kernel_thread(2, "kworker/0:1");
    let levels = vec![Level::Process, Level::Unit, Level::User];
    let mut book = begun(
        &mut host,
        &LedgerOptions {
            levels,
            ..LedgerOptions::default()
        },
    );
    for second in 0..3 {
        host.run(10, 500);
        if second == 0 {
            host.run(11, 250);
        } else if second == 1 {
            host.exit(11);
        }
        host.run(2, 125);
        host.interrupt(125);
        host.draw("dram", "0", 8.0);
        host.draw("package", "1", 24.5);
        let snapshot = book.second(&mut host);
        if second == 2 {
            return snapshot;
        }
    }
    unreachable!("the third second returns")
}

fn check(format: Format, name: &str) {
    let page = render(&snapshot(), format);
    let page = String::from_utf8(page).expect("a page is UTF-8");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("JOULED_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &page).expect("the golden page can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden page can be read");
    assert_eq!(page, golden, "JOULED_WRITE_GOLDEN=1 writes {name} anew");
}

#[test]
fn the_prometheus_page() {
    check(Format::Prometheus, "page.prometheus.txt");
}

#[test]
fn the_openmetrics_page() {
    check(Format::OpenMetrics, "page.openmetrics.txt");
}
