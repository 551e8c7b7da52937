//! Kepler's families of written hosts: a golden page for each, and who is which of its series.

#![allow(clippy::unwrap_used)] // a host that cannot be written is a failed test

mod common;

use std::sync::Arc;

use common::{FakeHost, HostFile, Timed, busy, quiet_host};
use jouled_core::exposition::{Format, render};
use jouled_core::ledger::LedgerOptions;
use jouled_core::snapshot::Snapshot;
use jouled_host::kepler;
use jouled_host::meters::MeterWord;

/// Set to anything, it lets the golden pages be written anew.
const WRITE: &str = "JOULED_WRITE_GOLDEN";

/// Two processors of two sockets.
const CPUINFO: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz\n\
    physical id\t: 0\ncore id\t\t: 0\n\nprocessor\t: 1\nvendor_id\t: GenuineIntel\n\
    model name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz\nphysical id\t: 1\ncore id\t\t: 0\n";

/// What the node does in the five seconds after those of its file: one pod works, what `make`
/// did in the session is over, and the job has ended.
const LATER: &str = "cpu cpus=16 user=404200 system=60620 idle=1511140 softirq=1040
    zone intel-rapl:0 uj=1690000000
    zone intel-rapl:0:0 uj=275000000
    cgroup v2 /kubepods.slice usec=2032000000
    cgroup v2 /kubepods.slice/kubepods-burstable.slice usec=1224000000
    cgroup v2 /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod5a89bcaa_3509_4375_83e1_b9e7a5712123.slice usec=1224000000
    cgroup v2 /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod5a89bcaa_3509_4375_83e1_b9e7a5712123.slice/cri-containerd-14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479.scope usec=1174000000
    process 1010 ticks=112350
    exit 1501
    exit 1101";

fn observed(host: &FakeHost, meter: MeterWord, node_name: Option<&str>) -> Timed {
    let options = LedgerOptions {
        kepler: Some(Arc::new(kepler::node(&host.root(), node_name))),
        ..LedgerOptions::default()
    };
    Timed::with_options(host, meter, &options)
}

/// Kepler's part of a page, without what differs between machines: where the tree lies, and
/// what runs the test.
fn families(snapshot: &Snapshot, format: Format, host: &FakeHost) -> String {
    let page = String::from_utf8(render(snapshot, format)).unwrap();
    let start = page.find("# HELP kepler_").unwrap();
    assert!(!page[start..].contains("jouled_"), "they come last");
    let build = page[start..].find("arch=\"").unwrap() + start;
    let end = build + page[build..].find('}').unwrap();
    let labels = "arch=\"amd64\",branch=\"\",revision=\"\",version=\"jouled-0.0.0\",goversion=\"\"";
    assert!(page[build..end].contains(env!("CARGO_PKG_VERSION")));
    let text = [&page[start..build], labels, &page[end..]].concat();
    text.replace(&host.at("").display().to_string(), "/")
}

#[track_caller]
fn compare(name: &str, families: &str) {
    let golden = HostFile::directory().join("../golden/kepler").join(name);
    if std::env::var_os(WRITE).is_some() {
        std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
        std::fs::write(golden, families).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    let mut pairs = families.lines().zip(expected.lines());
    let first = pairs.find(|(found, expected)| found != expected);
    assert!(
        families == expected,
        "{}: {first:?}; {WRITE}=1 cargo test -p jouled-host --test kepler writes it anew",
        golden.display()
    );
}

#[test]
fn a_server_of_two_sockets_has_the_families_that_it_had() {
    let file = HostFile::read("xeon-2s");
    let host = file.write();
    host.put("proc/cpuinfo", CPUINFO);
    host.put("proc/sys/kernel/hostname", "xeon-1\n");
    let mut timed = observed(&host, MeterWord::Rapl, None);
    timed.page();
    file.pass(&host);
    let snapshot = timed.snapshot();
    compare(
        "xeon-2s.prom",
        &families(&snapshot, Format::Prometheus, &host),
    );
}

#[test]
fn a_kubernetes_node_has_the_families_that_it_had() {
    let file = HostFile::read("k8s-node");
    let host = file.write();
    host.put("proc/cpuinfo", CPUINFO);
    let mut timed = observed(&host, MeterWord::Rapl, Some("worker-1"));
    timed.page();
    file.pass(&host);
    let snapshot = timed.snapshot();
    compare(
        "k8s-node.prom",
        &families(&snapshot, Format::Prometheus, &host),
    );
    file.change(&host, LATER);
    let snapshot = timed.snapshot();
    let text = families(&snapshot, Format::Prometheus, &host);
    compare("k8s-node-later.prom", &text);
    let text = families(&snapshot, Format::OpenMetrics, &host) + "# EOF\n";
    compare("k8s-node-later.om", &text);
}

/// A daemon that gives up being root is two of our rows, since they have a uid, and one of
/// Kepler's: twice the same series on a page would cost all of it.
#[test]
fn who_becomes_another_user_stays_one_series_that_never_falls() {
    let host = quiet_host();
    host.zone("intel-rapl:0", "package-0", 0, Some(262_143_328_850));
    let mut timed = observed(&host, MeterWord::Rapl, Some("n"));
    timed.page();
    let mut before = 0.0;
    for second in 1..=8_u64 {
        host.process(42).ticks(100 * second);
        host.cgroup_v2("/a.service", 1_000_000 * second);
        busy(&host, 100 * second);
        host.zone("intel-rapl:0", "package-0", 100_000_000 * second, None);
        if second == 3 {
            host.process(42).uid(33).exe("/usr/bin/other");
            host.process(42).exe("/usr/bin/worker");
        }
        let page = timed.page();
        let labels = ["pid=\"42\"", "comm=\"worker\"", "state=\"running\""];
        let joules = page.value("kepler_process_cpu_joules_total", &labels);
        let active = page.value("kepler_node_cpu_active_joules_total", &[]);
        assert!((joules - active).abs() < 1e-5, "{joules} of {active} J");
        assert!(joules > before, "{joules} J after {before} J");
        before = joules;
        let seconds = page.value("kepler_process_cpu_seconds_total", &["pid=\"42\""]);
        assert!((seconds - second as f64).abs() < 1e-6);
        let rows = page.values("jouled_process_joules_total", &["pid=\"42\""]);
        assert_eq!(
            rows.len(),
            if second < 4 { 1 } else { 2 },
            "second {second}"
        );
    }
}
