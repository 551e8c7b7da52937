//! What must hold of Kepler's families on every page, and on every page after another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jouled_core::exposition::{Format, render};
use jouled_core::kepler::{Node, Row};
use jouled_core::ledger::LedgerOptions;
use jouled_core::level::Level;
use jouled_core::parse::cpuinfo::Processor;
use jouled_core::snapshot::{LevelSnapshot, Snapshot};
use jouled_core::units::Joules;

use crate::book_of::{BookOf, begun};
use crate::fake_host::FakeHost;

/// A node of one processor.
pub(crate) fn node() -> Arc<Node> {
    let processor = Processor {
        vendor: "GenuineIntel".into(),
        name: "a \"fine\" one".into(),
        ..Processor::default()
    };
    Arc::new(Node::new("node\\1", &[processor]))
}

/// Remembers the counters of the last page.
#[derive(Default)]
pub(crate) struct Auditor {
    rows: BTreeMap<(Level, Arc<str>), Row>,
}

impl Auditor {
    /// Every row once; the watts of a level are those of its rows; no counter falls, and a
    /// terminated one stands still.
    pub(crate) fn check(&mut self, snapshot: &Snapshot) {
        let before = std::mem::take(&mut self.rows);
        let Some(kepler) = &snapshot.kepler else {
            return;
        };
        for (level, rows) in &kepler.levels {
            let ours = snapshot.levels.iter().find(|ours| ours.level == *level);
            check_sums(ours.expect("Kepler's levels are some of ours"), rows);
            for row in rows {
                let key = (*level, Arc::clone(&row.labels));
                if let Some(before) = before.get(&key) {
                    check_growth(before, row);
                }
                let twice = self.rows.insert(key, row.clone());
                assert!(twice.is_none(), "{} comes twice", row.labels);
            }
        }
    }
}

fn check_sums(ours: &LevelSnapshot, rows: &[Row]) {
    let weights = ours.rows.iter().filter_map(|row| row.weight);
    let (ours_w, kepler_w): (f64, f64) = (
        weights.sum(),
        rows.iter().filter_map(|row| row.weight).sum(),
    );
    let level = ours.level;
    assert!(
        (ours_w - kepler_w).abs() < 1e-9,
        "{level:?}: {ours_w} {kepler_w}"
    );
    // A row that has left took its part of ours along, and not of Kepler's while another one
    // has its labels.
    let ours_s: f64 = ours.rows.iter().map(|row| row.cpu_s).sum();
    let kepler_s: f64 = rows.iter().map(|row| row.cpu_s).sum();
    assert!(kepler_s >= ours_s - 1e-6, "{level:?}: {ours_s} {kepler_s}");
}

fn check_growth(before: &Row, now: &Row) {
    let labels = &now.labels;
    let pairs = || before.joules.iter().zip(&now.joules);
    assert!(
        pairs().all(|(before, now)| now >= before) && now.cpu_s >= before.cpu_s,
        "{labels} fell"
    );
    if now.weight.is_none() {
        let stands = pairs().all(|(before, now)| (now - before).abs() < 1e-12);
        assert!(stands, "{labels} is terminated and grew");
    }
}

fn begin(host: &mut FakeHost) -> BookOf {
    let options = LedgerOptions {
        kepler: Some(node()),
        ..LedgerOptions::default()
    };
    begun(host, &options)
}

/// The value of the one series of this name with these fragments of labels; `None` without one.
fn value(snapshot: &Snapshot, name: &str, labels: &[&str]) -> Option<f64> {
    let text = String::from_utf8(render(snapshot, Format::Prometheus)).expect("UTF-8");
    let is_it = |line: &&str| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    };
    let found: Vec<&str> = text.lines().filter(is_it).collect();
    assert!(found.len() < 2, "{found:?}");
    let line = found.first()?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn who_ends_runs_on_its_last_page_and_is_terminated_on_the_next_without_watts() {
    let mut host = FakeHost::new();
    host.process(10, "/a.service", "worker");
    host.process(11, "/b.service", "other");
    let mut book = begin(&mut host);
    let joules = |snapshot: &Snapshot, state: &str| {
        let labels = ["pid=\"10\"", &format!("state=\"{state}\"")];
        value(snapshot, "kepler_process_cpu_joules_total", &labels)
    };
    let watts = |snapshot: &Snapshot| value(snapshot, "kepler_process_cpu_watts", &["pid=\"10\""]);
    host.run(10, 1000);
    let first = book.second(&mut host);
    assert_eq!(watts(&first), Some(10.0));

    // What it spent until it ended is on its running series, where rate() looks for it.
    host.run(10, 500);
    host.run(11, 500);
    host.exit(10);
    let last = book.second(&mut host);
    let at_end = joules(&last, "running").expect("it runs for the last time");
    assert!(watts(&last).expect("it drew power") > 0.0);
    assert_eq!(joules(&last, "terminated"), None);

    host.run(11, 500);
    let after = book.second(&mut host);
    assert_eq!(joules(&after, "terminated"), Some(at_end));
    assert_eq!(joules(&after, "running"), None);
    assert_eq!(watts(&after), None);
    let seconds = ["pid=\"10\"", "comm=\"worker\""];
    assert_eq!(
        value(&after, "kepler_process_cpu_seconds_total", &seconds),
        value(&last, "kepler_process_cpu_seconds_total", &seconds)
    );
}

#[test]
fn levels_that_are_not_asked_for_and_those_that_kepler_has_not_are_no_families() {
    let mut host = FakeHost::new();
    host.process(10, "/system.slice/a.service", "worker");
    let levels = vec![Level::Unit, Level::Process];
    let kepler = Some(node());
    let mut book = begun(
        &mut host,
        &LedgerOptions {
            levels,
            kepler,
            ..LedgerOptions::default()
        },
    );
    host.run(10, 500);
    let snapshot = book.second(&mut host);
    let page = String::from_utf8(render(&snapshot, Format::Prometheus)).expect("UTF-8");
    let families: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE kepler_")?.split(' ').next())
        .collect();
    let expected = [
        "build_info",
        "node_cpu_active_joules_total",
        "node_cpu_active_watts",
        "node_cpu_idle_joules_total",
        "node_cpu_idle_watts",
        "node_cpu_info",
        "node_cpu_joules_total",
        "node_cpu_usage_ratio",
        "node_cpu_watts",
        "process_cpu_joules_total",
        "process_cpu_seconds_total",
        "process_cpu_watts",
    ];
    assert_eq!(families, BTreeSet::from(expected));
    assert!(page.contains("model_name=\"a \\\"fine\\\" one\""));
    assert!(page.contains("node_name=\"node\\\\1\""));
}

#[test]
fn the_sockets_are_one_zone_and_a_failing_one_leaves_the_other() {
    let mut host = FakeHost::new();
    host.zone("package", "1");
    host.process(10, "/a.service", "worker");
    let mut book = begin(&mut host);
    host.run(10, 1000);
    host.draw("package", "1", 60.0);
    let page = book.second(&mut host);
    let of_package = ["zone=\"package\"", "path=\"aggregated-package\""];
    let watts = |page: &Snapshot| value(page, "kepler_node_cpu_watts", &of_package);
    assert_eq!(watts(&page), Some(100.0));
    assert_eq!(
        value(&page, "kepler_node_cpu_joules_total", &of_package),
        Some(100.0)
    );
    let active = value(&page, "kepler_node_cpu_active_watts", &of_package);
    let process = value(&page, "kepler_process_cpu_watts", &["pid=\"10\""]);
    assert_eq!(active, process, "one busy process has all of it");
}

#[test]
fn without_being_asked_for_there_is_nothing_of_it() {
    let mut host = FakeHost::new();
    host.process(10, "/a.service", "worker");
    let mut book = begun(&mut host, &LedgerOptions::default());
    host.run(10, 1000);
    let snapshot = book.second(&mut host);
    assert!(snapshot.kepler.is_none());
    let page = render(&snapshot, Format::OpenMetrics);
    assert!(!String::from_utf8(page).expect("UTF-8").contains("kepler"));
}

/// Energy in fine grain is not for everyone, by whatever labels.
#[test]
fn a_coarse_snapshot_is_coarse_for_kepler_too() {
    let mut host = FakeHost::new();
    host.process(10, "/a.service", "worker");
    let mut book = begin(&mut host);
    host.run(10, 333);
    let fine = book.second(&mut host);
    let coarse = fine.coarse(Joules(1.0));
    for name in [
        "kepler_process_cpu_joules_total",
        "kepler_node_cpu_active_joules_total",
    ] {
        let exact = value(&fine, name, &[]).expect("it is on the page");
        assert!(exact.fract() > 0.1, "{name}: {exact}");
        assert_eq!(value(&coarse, name, &[]), Some(exact.floor()), "{name}");
    }
}
