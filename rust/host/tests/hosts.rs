//! The written hosts of `tests/hosts`: known watts, and a golden page for each.

#![allow(clippy::unwrap_used)] // a host that cannot be written is a failed test

mod common;

use std::path::Path;

use common::{ExpectedWatts, HostFile, Page, Timed};
use jouled_core::exposition::{Format, render};
use jouled_host::meters::MeterWord;

/// Set to anything, it lets the golden pages be written anew.
const WRITE: &str = "JOULED_WRITE_GOLDEN";

/// Both states of a host, read by one meter: the page between them, and as OpenMetrics.
fn observe(file: &HostFile, meter: MeterWord) -> (Page, String) {
    let host = file.write();
    let mut timed = Timed::with_meter(&host, meter);
    timed.page();
    file.pass(&host);
    let snapshot = timed.snapshot();
    assert_eq!(timed.scanner.take_problems(), [""; 0]);
    let openmetrics = String::from_utf8(render(&snapshot, Format::OpenMetrics)).unwrap();
    (Page::of(&snapshot), openmetrics + "# EOF\n")
}

/// Every zone that the file names, at its watts to 0.1 %, and no other one.
#[track_caller]
fn assert_watts(page: &Page, name: &str, expected: &[&ExpectedWatts]) {
    let mut zones: Vec<&str> = expected
        .iter()
        .map(|expected| expected.zone.as_str())
        .collect();
    zones.sort_unstable();
    assert_eq!(page.zones(), zones, "{name}");
    for ExpectedWatts {
        source,
        zone,
        watts,
    } in expected
    {
        let (class, index) = zone.split_once('/').unwrap();
        let labels = [
            format!("zone=\"{class}\""),
            format!("index=\"{index}\""),
            format!("source=\"{source}\""),
        ];
        let found = page.value("jouled_zone_watts", &[&labels[0], &labels[1], &labels[2]]);
        assert!(
            (found - watts).abs() <= watts * 1e-3,
            "{name} {zone}: {found} W is not {watts} W"
        );
    }
}

#[test]
fn each_host_draws_the_watts_that_it_is_written_to_draw() {
    for name in HostFile::names() {
        let file = HostFile::read(&name);
        let mut sources: Vec<&str> = file
            .watts
            .iter()
            .map(|watts| watts.source.as_str())
            .collect();
        sources.dedup();
        assert!(!sources.is_empty(), "{name} says no watts");
        for source in sources {
            let expected: Vec<&ExpectedWatts> = file
                .watts
                .iter()
                .filter(|watts| watts.source == source)
                .collect();
            let (page, _) = observe(&file, source.parse().unwrap());
            assert_watts(&page, &name, &expected);
        }
    }
}

#[test]
fn left_alone_each_host_is_read_by_the_first_meter_of_its_file() {
    for name in HostFile::names() {
        let file = HostFile::read(&name);
        let (page, _) = observe(&file, MeterWord::Auto);
        let source = format!("source=\"{}\"", file.watts[0].source);
        assert!(page.has("jouled_zone_watts", &[&source]), "{name}");
    }
}

#[test]
fn each_host_has_the_page_that_it_had() {
    let directory = HostFile::directory().join("../golden");
    for name in HostFile::names() {
        let (page, openmetrics) = observe(&HostFile::read(&name), MeterWord::Auto);
        compare(&directory.join(format!("{name}.prom")), &page.text);
        // One host is enough for what the other format does differently.
        if name == "k8s-node" {
            compare(&directory.join(format!("{name}.om")), &openmetrics);
        }
    }
}

#[track_caller]
fn compare(golden: &Path, page: &str) {
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(golden, page).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(golden).unwrap_or_default();
    let first = page
        .lines()
        .zip(expected.lines())
        .find(|(found, expected)| found != expected);
    assert!(
        page == expected,
        "{}: {first:?}; {WRITE}=1 cargo test -p jouled-host --test hosts writes it anew",
        golden.display()
    );
}

/// Who is billed on the node, by hand: 88 W over 36.2 busy seconds of 80, and the guest used 6.
#[test]
fn the_rows_of_a_kubernetes_node_are_those_of_its_counters() {
    let (page, _) = observe(&HostFile::read("k8s-node"), MeterWord::Rapl);
    let busy_s = 30.0 + 6.0 + 0.2;
    let watts = |level: &str, labels: &[&str]| {
        let labels = [labels, &["zone=\"package\""]].concat();
        page.value(&format!("jouled_{level}_watts"), &labels)
    };
    let assert_seconds = |found: f64, seconds: f64, what: &str| {
        let active = 88.0 * busy_s / 80.0;
        let expected = active * seconds / busy_s;
        assert!(
            (found - expected).abs() < 0.01,
            "{what}: {found} W is not {expected} W"
        );
    };
    assert_seconds(
        watts("pod", &["pod_id=\"5a89bcaa-3509-4375-83e1-b9e7a5712123\""]),
        12.0,
        "pod a",
    );
    assert_seconds(
        watts("pod", &["pod_id=\"7922aa99-d4aa-4885-a953-82976860b23a\""]),
        8.0,
        "pod b",
    );
    assert_seconds(
        watts(
            "container",
            &["runtime=\"crio\"", "container_name=\"job-x1\""],
        ),
        8.0,
        "job",
    );
    assert_seconds(watts("container", &["runtime=\"podman\""]), 1.0, "podman");
    assert_seconds(
        watts(
            "container",
            &["runtime=\"lxc\"", "container_name=\"build\""],
        ),
        2.0,
        "lxc",
    );
    assert_seconds(
        watts(
            "unit",
            &["unit=\"kubelet.service\"", "slice=\"system.slice\""],
        ),
        2.0,
        "kubelet",
    );
    assert_seconds(watts("unit", &["unit=\"session-3.scope\""]), 3.0, "session");
    let guest = [
        "vm_name=\"web\"",
        "vm_id=\"df12672f-fedb-4f6f-9d51-0166868835fb\"",
    ];
    // The guest's scope grew by 6 s, its process shows 5.9 s: the rest has no process any more.
    assert_seconds(watts("vm", &guest), 5.9, "guest");
    assert_seconds(watts("user", &["user=\"ada\""]), 4.0, "ada");
    // A pause container that did nothing is no row.
    assert_eq!(
        page.values(
            "jouled_container_watts",
            &["runtime=\"containerd\"", "zone=\"package\""]
        )
        .len(),
        1
    );
    let unattributed = [
        "level=\"pod\"",
        "reason=\"unattributed\"",
        "zone=\"package\"",
    ];
    assert!(page.value("jouled_residual_watts", &unattributed) > 0.0);
}
