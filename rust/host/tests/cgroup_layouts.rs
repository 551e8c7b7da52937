//! Who is billed on hosts with cgroups of version 1, 2 and both.

#![allow(clippy::unwrap_used)] // a host that cannot be written is a failed test

mod common;

use common::{FakeHost, Layout, Page, Timed};

const ID: &str = "ce82d94d69e1fbbc7feeb66930c69e9b96d9f151f594773e5d0e342741d15437";

/// The CPU seconds of the last page's row.
fn cpu_s(page: &Page, level: &str, label: &str) -> f64 {
    page.value(&format!("jouled_{level}_cpu_seconds_total"), &[label])
}

fn residual_s(page: &Page, level: &str, reason: &str) -> f64 {
    let labels = [format!("level=\"{level}\""), format!("reason=\"{reason}\"")];
    page.value(
        "jouled_residual_cpu_seconds_total",
        &[&labels[0], &labels[1]],
    )
}

#[track_caller]
fn assert_seconds(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-6,
        "{found} s are not {expected} s"
    );
}

#[test]
fn on_v2_a_unit_is_billed_by_its_counter_and_the_dead_are_inside() {
    let host = FakeHost::new(Layout::V2);
    host.cgroup_v2("/system.slice", 0);
    host.cgroup_v2("/system.slice/nginx.service", 0);
    host.process(42).cgroup("0::/system.slice/nginx.service");
    let mut timed = Timed::steady(&host);
    timed.page();
    host.process(42).ticks(100);
    host.cgroup_v2("/system.slice", 3_000_000);
    host.cgroup_v2("/system.slice/nginx.service", 3_000_000);
    host.cpu(4, [400, 0, 0, 1600, 0, 0, 0, 0]);
    let page = timed.page();
    assert_seconds(cpu_s(&page, "unit", "unit=\"nginx.service\""), 3.0);
    assert_seconds(cpu_s(&page, "process", "pid=\"42\""), 1.0);
    assert_seconds(residual_s(&page, "process", "exited"), 2.0);
    assert_seconds(residual_s(&page, "unit", "unattributed"), 1.0);
    assert_seconds(residual_s(&page, "unit", "exited"), 0.0);
}

#[test]
fn the_root_of_v2_has_no_counter_that_is_a_sum_of_tasks() {
    let host = FakeHost::new(Layout::V2);
    host.process(2).comm("kworker/0:1").kernel();
    host.process(42);
    let mut timed = Timed::steady(&host);
    timed.page();
    host.cpu_stat("", "usage_usec 9000000\n");
    host.process(2).ticks(100);
    host.process(42).ticks(200);
    host.cpu(4, [400, 0, 0, 1600, 0, 0, 0, 0]);
    let page = timed.page();
    assert_seconds(cpu_s(&page, "process", "pid=\"42\""), 2.0);
    assert_seconds(residual_s(&page, "process", "kernel"), 1.0);
    assert_seconds(residual_s(&page, "process", "exited"), 0.0);
    assert_seconds(residual_s(&page, "process", "unattributed"), 1.0);
}

#[test]
fn on_hybrid_hosts_the_root_of_cpuacct_holds_all_and_units_are_in_the_unified_tree() {
    let host = FakeHost::new(Layout::Hybrid);
    host.cgroup_v2("/a.service", 0);
    let lines = "2:cpu,cpuacct:/\n1:name=systemd:/a.service\n0::/a.service";
    host.process(42).cgroup(lines);
    host.process(43)
        .cgroup("2:cpu,cpuacct:/\n1:name=systemd:/\n0::/");
    let mut timed = Timed::steady(&host);
    timed.page();
    host.process(42).ticks(100);
    host.process(43).ticks(50);
    host.cgroup_v2("/a.service", 1_500_000);
    host.cpuacct("/", 3_000_000_000);
    host.cpu(4, [300, 0, 0, 1700, 0, 0, 0, 0]);
    let page = timed.page();
    assert_seconds(cpu_s(&page, "unit", "unit=\"a.service\""), 1.5);
    assert_seconds(cpu_s(&page, "process", "pid=\"42\""), 1.0);
    assert_seconds(cpu_s(&page, "process", "pid=\"43\""), 0.5);
    // Half a second in the unit, one second outside of it.
    assert_seconds(residual_s(&page, "process", "exited"), 1.5);
    assert_seconds(residual_s(&page, "unit", "unattributed"), 0.0);
}

#[test]
fn a_container_in_cpuacct_is_inside_the_unit_that_holds_it_in_the_unified_tree() {
    let host = FakeHost::new(Layout::Hybrid);
    let docker = format!("/docker/{ID}");
    host.cgroup_v2("/system.slice", 0);
    host.cgroup_v2("/system.slice/docker.service", 0);
    host.cpuacct(&docker, 0);
    let unified = "0::/system.slice/docker.service";
    host.process(42)
        .cgroup(&format!("2:cpu,cpuacct:{docker}\n{unified}"));
    host.process(43)
        .cgroup(&format!("2:cpu,cpuacct:/\n{unified}"));
    let mut timed = Timed::steady(&host);
    timed.page();
    host.process(42).ticks(100);
    host.process(43).ticks(100);
    host.cpuacct(&docker, 1_000_000_000);
    host.cgroup_v2("/system.slice", 2_000_000);
    host.cgroup_v2("/system.slice/docker.service", 2_000_000);
    host.cpuacct("/", 2_000_000_000);
    host.cpu(4, [200, 0, 0, 1800, 0, 0, 0, 0]);
    let page = timed.page();
    assert_seconds(
        cpu_s(&page, "container", &format!("container_id=\"{ID}\"")),
        1.0,
    );
    assert_seconds(cpu_s(&page, "unit", "unit=\"docker.service\""), 1.0);
    assert_seconds(residual_s(&page, "unit", "ungrouped"), 1.0);
    assert_seconds(residual_s(&page, "unit", "exited"), 0.0);
}

#[test]
fn between_equals_the_unified_tree_is_billed() {
    let host = FakeHost::new(Layout::Hybrid);
    host.cgroup_v2("/a.service", 0);
    host.cpuacct("/a.service", 0);
    host.process(42)
        .cgroup("2:cpu,cpuacct:/a.service\n0::/a.service");
    let mut timed = Timed::steady(&host);
    timed.page();
    host.cgroup_v2("/a.service", 1_000_000);
    host.cpuacct("/a.service", 7_000_000_000);
    host.cpuacct("/", 1_000_000_000);
    host.cpu(4, [100, 0, 0, 1900, 0, 0, 0, 0]);
    assert_seconds(cpu_s(&timed.page(), "unit", "unit=\"a.service\""), 1.0);
}

#[test]
fn on_v1_containers_and_pods_are_billed_by_cpuacct() {
    let host = FakeHost::new(Layout::V1);
    let pod = "/kubepods/burstable/podf6adb0af-0855-4bab-b25b-c853f18d0ce2";
    let container = format!("{pod}/{ID}");
    for path in ["/kubepods", "/kubepods/burstable", pod, &container] {
        host.cpuacct(path, 5_000_000_000);
    }
    host.process(42).cgroup(&format!(
        "11:blkio:/\n4:cpu,cpuacct:{container}\n1:name=systemd:/other{container}"
    ));
    let mut timed = Timed::steady(&host);
    timed.page();
    for path in ["/kubepods", "/kubepods/burstable", pod, &container] {
        host.cpuacct(path, 6_250_000_000);
    }
    host.process(42).ticks(100);
    host.cpuacct("/", 1_250_000_000);
    host.cpu(4, [125, 0, 0, 1875, 0, 0, 0, 0]);
    let page = timed.page();
    let pod_id = "pod_id=\"f6adb0af-0855-4bab-b25b-c853f18d0ce2\"";
    assert_seconds(cpu_s(&page, "pod", pod_id), 1.25);
    let id = format!("container_id=\"{ID}\"");
    assert_seconds(
        page.value(
            "jouled_container_cpu_seconds_total",
            &[&id, "runtime=\"kubernetes\"", pod_id],
        ),
        1.25,
    );
}

/// Only systemd's own hierarchy tells the unit, and that has no counter.
#[test]
fn a_unit_without_a_counter_is_billed_by_the_clocks_of_its_processes() {
    let host = FakeHost::new(Layout::V1);
    let lines = "4:cpu,cpuacct:/\n1:name=systemd:/system.slice/nginx.service";
    host.process(42).cgroup(lines);
    host.process(43)
        .cgroup("4:cpu,cpuacct:/\n1:name=systemd:/system.slice");
    let mut timed = Timed::steady(&host);
    timed.page();
    host.process(42).ticks(100);
    host.process(43).ticks(100);
    host.cpuacct("/", 2_500_000_000);
    host.cpu(4, [250, 0, 0, 1750, 0, 0, 0, 0]);
    let page = timed.page();
    assert_seconds(cpu_s(&page, "unit", "unit=\"nginx.service\""), 1.0);
    assert_seconds(residual_s(&page, "unit", "ungrouped"), 1.0);
    assert_seconds(residual_s(&page, "unit", "exited"), 0.5);
    assert_seconds(residual_s(&page, "unit", "unattributed"), 0.0);
}

#[test]
fn paths_seen_from_a_private_cgroup_namespace_lead_to_their_counters() {
    let host = FakeHost::new(Layout::V2);
    let scope = format!("/docker-{ID}.scope");
    host.cgroup_v2(&scope, 1_000_000);
    host.process(42).cgroup(&format!("0::/../..{scope}"));
    let mut timed = Timed::steady(&host);
    timed.page();
    host.cgroup_v2(&scope, 3_000_000);
    host.cpu(4, [200, 0, 0, 1800, 0, 0, 0, 0]);
    let page = timed.page();
    let id = format!("container_id=\"{ID}\"");
    assert_seconds(cpu_s(&page, "container", &id), 2.0);
    assert_seconds(residual_s(&page, "container", "unattributed"), 0.0);
}

#[test]
fn a_counter_that_makes_no_sense_costs_only_itself() {
    let host = FakeHost::new(Layout::V2);
    host.cgroup_v2("/a.service", 0);
    host.cgroup_v2("/b.service", 0);
    host.process(42).cgroup("0::/a.service");
    host.process(43).cgroup("0::/b.service");
    let mut timed = Timed::steady(&host);
    timed.page();
    host.process(42).ticks(100);
    host.process(43).ticks(100);
    host.cpu_stat("/a.service", "usage_usec -\n");
    host.cgroup_v2("/b.service", 1_500_000);
    host.cpu(4, [250, 0, 0, 1750, 0, 0, 0, 0]);
    let page = timed.page();
    assert_seconds(cpu_s(&page, "unit", "unit=\"a.service\""), 1.0);
    assert_seconds(cpu_s(&page, "unit", "unit=\"b.service\""), 1.5);
    assert_eq!(timed.scanner.stats().unreadable_cgroups_total, 1);
}

#[test]
fn the_threads_of_a_libvirt_guest_are_billed_together() {
    let host = FakeHost::new(Layout::V2);
    let scope = r"/machine.slice/machine-qemu\x2d1\x2dvm1.scope";
    host.cgroup_v2(scope, 0);
    for part in ["", "/emulator", "/vcpu0"] {
        host.cgroup_v2(&format!("{scope}/libvirt{part}"), 0);
    }
    host.process(42)
        .comm("CPU 0/KVM")
        .exe("/usr/bin/qemu-system-x86_64")
        .cmdline("/usr/bin/qemu-system-x86_64 -name guest=vm1 -uuid U1")
        .cgroup(&format!("0::{scope}/libvirt/emulator"));
    let mut timed = Timed::steady(&host);
    timed.page();
    host.cgroup_v2(scope, 4_000_000);
    host.process(42).ticks(390);
    host.cpu(4, [400, 0, 0, 1600, 0, 0, 0, 0]);
    let page = timed.page();
    assert_seconds(cpu_s(&page, "vm", "vm_id=\"U1\""), 3.9);
    assert_seconds(residual_s(&page, "vm", "unattributed"), 0.0);
}
