//! Processes of written hosts: born, gone, changed, broken.

#![allow(clippy::unwrap_used)] // a host that cannot be written is a failed test

mod common;

use common::{Page, Timed, busy, process_s, quiet_host};
use jouled_core::level::Level;
use jouled_core::units::Nanos;
use jouled_host::fake::Fake;
use jouled_host::meters::MeterWord;
use jouled_host::root::Root;
use jouled_host::scanner::Scanner;

#[test]
fn a_process_that_went_between_listing_and_reading_costs_only_itself() {
    let host = quiet_host();
    std::fs::create_dir(host.at("proc/41")).unwrap();
    let mut timed = Timed::steady(&host);
    let sample = timed.sample();
    assert_eq!(sample.processes.len(), 1);
    assert_eq!(timed.scanner.stats().troubles.vanished, 1);

    host.remove("proc/42/stat");
    assert_eq!(timed.sample().processes.len(), 0);
    assert_eq!(timed.scanner.stats().troubles.vanished, 3);
    assert_eq!(timed.scanner.stats().troubles.unreadable, 0);
}

#[test]
fn files_that_are_no_process_are_passed_over() {
    let host = quiet_host();
    for name in ["0", "042x", "4294967296", "self", "-7"] {
        std::fs::create_dir_all(host.at(&format!("proc/{name}"))).unwrap();
    }
    let mut timed = Timed::steady(&host);
    assert_eq!(timed.sample().processes.len(), 1);
    assert_eq!(timed.scanner.stats().troubles.vanished, 0);
}

#[test]
fn after_a_reading_that_failed_a_process_is_not_billed_for_its_life() {
    let host = quiet_host();
    host.process(42).ticks(5000);
    host.process(43).comm("other").cgroup("0::/a.service");
    let mut timed = Timed::steady(&host);
    timed.page();

    let whole = std::fs::read(host.at("proc/42/stat")).unwrap();
    host.put("proc/42/stat", &whole[..40]);
    host.process(43).ticks(100);
    busy(&host, 200);
    host.cgroup_v2("/a.service", 2_000_000);
    let page = timed.page();
    assert_eq!(timed.scanner.stats().troubles.unreadable, 1);
    assert!(!page.has("jouled_process_watts", &["pid=\"42\""]));

    host.process(42).ticks(5200);
    host.process(43).ticks(200);
    busy(&host, 400);
    host.cgroup_v2("/a.service", 4_000_000);
    let page = timed.page();
    assert!(!page.has("jouled_process_watts", &["pid=\"42\""]));

    host.process(42).ticks(5300);
    busy(&host, 500);
    host.cgroup_v2("/a.service", 5_000_000);
    let page = timed.page();
    assert!((process_s(&page, &["pid=\"42\""]) - 1.0).abs() < 1e-9);
}

#[test]
fn a_new_process_with_half_a_stat_is_tried_again_and_its_past_is_nobodys() {
    let host = quiet_host();
    let mut timed = Timed::steady(&host);
    timed.page();
    host.put("proc/43/stat", "43 (late) S 1 43");
    timed.page();
    assert_eq!(timed.scanner.stats().troubles.unreadable, 1);
    // It started before the last sample, so what it has used is no growth.
    host.process(43).started(100_100).ticks(300);
    timed.page();
    host.process(43).ticks(400);
    busy(&host, 100);
    let page = timed.page();
    assert!((process_s(&page, &["pid=\"43\""]) - 1.0).abs() < 1e-9);
}

#[test]
fn a_process_that_was_born_in_the_interval_is_billed_for_all_it_used() {
    let host = quiet_host();
    let mut timed = Timed::steady(&host);
    timed.page();
    host.process(43)
        .comm("young")
        .started(100_100)
        .ticks(150)
        .cgroup("0::/a.service");
    host.cgroup_v2("/a.service", 1_500_000);
    busy(&host, 150);
    let page = timed.page();
    assert!((process_s(&page, &["pid=\"43\"", "comm=\"young\""]) - 1.5).abs() < 1e-9);
}

#[test]
fn a_move_to_another_cgroup_is_seen_within_two_intervals() {
    let host = quiet_host();
    host.cgroup_v2("/b.service", 0);
    let mut timed = Timed::steady(&host);
    timed.page();
    host.process(42).cgroup("0::/b.service");
    let unit = |page: &Page, name: &str| {
        page.sum(
            "jouled_unit_cpu_seconds_total",
            &[&format!("unit=\"{name}\"")],
        )
    };
    let mut page = None;
    for step in 1..=2 {
        host.process(42).ticks(step * 100);
        host.cgroup_v2("/b.service", step * 1_000_000);
        busy(&host, step * 100);
        page = Some(timed.page());
    }
    let page = page.unwrap();
    assert!((unit(&page, "a.service") + unit(&page, "b.service")) <= 2.0 + 1e-9);
    assert!(unit(&page, "b.service") >= 1.0, "{}", page.text);
    assert!(page.has(
        "jouled_process_watts",
        &["pid=\"42\"", "unit=\"b.service\""]
    ));
}

#[test]
fn a_zombie_has_worked_where_it_was_and_not_where_the_kernel_shows_it() {
    let host = quiet_host();
    host.process(42).exe("/usr/bin/a");
    let mut timed = Timed::steady(&host);
    timed.page();
    timed.page();
    host.process(42).ticks(100).cgroup("0::/");
    host.remove("proc/42/exe");
    host.cgroup_v2("/a.service", 1_000_000);
    busy(&host, 100);
    let page = timed.page();
    assert!((process_s(&page, &["pid=\"42\"", "unit=\"a.service\""]) - 1.0).abs() < 1e-9);
    assert_eq!(
        page.values("jouled_process_watts", &["pid=\"42\""]).len(),
        1
    );
}

#[test]
fn a_daemon_that_gives_up_being_root_is_its_users_within_two_intervals() {
    let host = quiet_host();
    let mut timed = Timed::steady(&host);
    timed.page();
    timed.page();
    host.process(42).uid(33);
    let mut user_s = 0.0;
    for step in 1..=3 {
        host.process(42).ticks(step * 100);
        host.cgroup_v2("/a.service", step * 1_000_000);
        busy(&host, step * 100);
        user_s = timed
            .page()
            .sum("jouled_user_cpu_seconds_total", &["uid=\"33\""]);
    }
    assert!(user_s >= 1.0, "{user_s}");
}

#[test]
fn an_exec_is_seen_within_two_intervals_and_an_upgrade_is_none() {
    let host = quiet_host();
    let mut timed = Timed::steady(&host);
    timed.page();
    host.process(42).comm("other").exe("/usr/bin/other");
    for step in 1..=2 {
        host.process(42).ticks(step * 100);
        host.cgroup_v2("/a.service", step * 1_000_000);
        busy(&host, step * 100);
        timed.page();
    }
    host.process(42).ticks(300);
    host.cgroup_v2("/a.service", 3_000_000);
    busy(&host, 300);
    let page = timed.page();
    let other = ["comm=\"other\"", "exe=\"/usr/bin/other\""];
    assert!(page.has("jouled_process_watts", &other));
    assert!(!page.has("jouled_process_watts", &["comm=\"worker\""]));

    // The file on disk was replaced under it.
    host.process(42).exe("/usr/bin/other (deleted)");
    for step in 4..=5 {
        host.process(42).ticks(step * 100);
        host.cgroup_v2("/a.service", step * 1_000_000);
        busy(&host, step * 100);
        let page = timed.page();
        assert_eq!(
            page.values("jouled_process_watts", &["pid=\"42\""]).len(),
            1
        );
        assert!(page.has("jouled_process_watts", &other));
    }
}

#[test]
fn a_reused_pid_is_another_process() {
    let host = quiet_host();
    host.process(42).ticks(100);
    let mut timed = Timed::steady(&host);
    timed.page();
    host.process(42).ticks(200);
    host.cgroup_v2("/a.service", 1_000_000);
    busy(&host, 100);
    let before = timed.page();
    assert!((process_s(&before, &["pid=\"42\""]) - 1.0).abs() < 1e-9);

    host.exit(42);
    host.process(42)
        .comm("heir")
        .started(100_600)
        .ticks(50)
        .cgroup("0::/a.service");
    host.cgroup_v2("/a.service", 1_500_000);
    busy(&host, 150);
    let page = timed.page();
    assert_eq!(timed.scanner.stats().troubles.reused, 1);
    assert_eq!(timed.scanner.stats().troubles.vanished, 0);
    assert!((process_s(&page, &["pid=\"42\"", "comm=\"heir\""]) - 0.5).abs() < 1e-9);
    // What its predecessor had, it keeps, and no row has both.
    assert!((process_s(&page, &["pid=\"42\"", "comm=\"worker\""]) - 1.0).abs() < 1e-9);
}

#[test]
fn a_pid_that_ended_before_it_was_read_again_is_not_reused() {
    let host = quiet_host();
    let mut timed = Timed::steady(&host);
    timed.page();
    host.remove("proc/42/stat");
    timed.page();
    let troubles = timed.scanner.stats().troubles;
    assert_eq!((troubles.vanished, troubles.reused), (1, 0));
}

#[test]
fn a_tree_that_is_no_proc_is_refused_with_its_name_and_what_to_do() {
    let host = quiet_host();
    let open = |root: &Root| {
        let meter = Box::new(Fake::new(Vec::new(), 0));
        Scanner::open(root, meter)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let nowhere = host.at("nowhere");
    let fix = "name a proc file system with --procfs";
    assert_eq!(
        open(&Root::at(&nowhere, "/sys")),
        format!(
            "read {}: No such file or directory (os error 2); {fix}",
            nowhere.display()
        )
    );
    let sys = host.at("sys");
    assert_eq!(
        open(&Root::at(&sys, &sys)),
        format!(
            "read {}/stat: No such file or directory (os error 2); {fix}",
            sys.display()
        )
    );
    host.put("sys/stat", "nothing\n");
    assert_eq!(
        open(&Root::at(&sys, &sys)),
        format!(
            "parse {}/stat: /proc/stat: does not begin with the cpu line; {fix}",
            sys.display()
        )
    );
    let file = host.at("proc/uptime");
    assert!(open(&Root::at(file, "/sys")).contains("Not a directory"));
}

#[test]
fn a_scan_that_fails_changes_nothing() {
    let host = quiet_host();
    let mut timed = Timed::steady(&host);
    timed.page();
    let stat = std::fs::read(host.at("proc/stat")).unwrap();
    host.put("proc/stat", "");
    host.process(42).ticks(100);
    let error = timed.scanner.scan().unwrap_err().to_string();
    assert!(
        error.contains("proc/stat: ") && error.contains("--procfs"),
        "{error}"
    );
    host.put("proc/stat", stat);
    host.cgroup_v2("/a.service", 1_000_000);
    busy(&host, 100);
    let page = timed.page();
    assert!((process_s(&page, &["pid=\"42\""]) - 1.0).abs() < 1e-9);
}

#[test]
fn without_uptime_or_cgroups_a_scan_still_works() {
    let host = quiet_host();
    host.remove("proc/uptime");
    host.remove("sys/fs");
    let mut timed = Timed::steady(&host);
    timed.page();
    host.process(42).ticks(100);
    busy(&host, 100);
    let page = timed.page();
    assert!((process_s(&page, &["pid=\"42\"", "unit=\"a.service\""]) - 1.0).abs() < 1e-9);
}

#[test]
fn a_kernel_without_cgroups_has_processes_all_the_same() {
    let host = quiet_host();
    host.remove("sys/fs");
    host.remove("proc/42/cgroup");
    let mut timed = Timed::steady(&host);
    timed.page();
    host.process(42).ticks(100);
    busy(&host, 100);
    let page = timed.page();
    assert!((process_s(&page, &["pid=\"42\"", "unit=\"\""]) - 1.0).abs() < 1e-9);
}

#[test]
fn one_broken_zone_hides_no_other() {
    let host = quiet_host();
    host.zone(
        "intel-rapl:0",
        "package-0",
        1_000_000,
        Some(262_143_328_850),
    );
    host.zone("intel-rapl:0:0", "dram", 1_000_000, Some(65_712_999_613));
    let mut timed = Timed::with_meter(&host, MeterWord::Rapl);
    timed.page();
    host.put("sys/class/powercap/intel-rapl:0:0/energy_uj", "");
    host.zone("intel-rapl:0", "package-0", 501_000_000, None);
    busy(&host, 1000);
    let snapshot = timed.snapshot();
    let page = Page::of(&snapshot);
    assert_eq!(page.zones(), ["package/0"]);
    assert!((page.value("jouled_zone_watts", &["zone=\"package\""]) - 100.0).abs() < 1e-6);
    assert_eq!(snapshot.zones[1].read_errors, 1);
    let problems = timed.scanner.take_problems();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].contains("intel-rapl:0:0/energy_uj"),
        "{problems:?}"
    );

    // It comes back, and what it counted meanwhile is unknown.
    host.zone("intel-rapl:0:0", "dram", 90_000_000, None);
    timed.page();
    host.zone("intel-rapl:0:0", "dram", 115_000_000, None);
    let page = timed.page();
    assert!((page.value("jouled_zone_watts", &["zone=\"dram\""]) - 5.0).abs() < 1e-6);
}

/// Its counter was read before its process worked: the counter decides, and gives nothing.
#[test]
fn a_cgroup_that_stood_still_takes_nothing_from_its_neighbours() {
    let host = quiet_host();
    host.process(43);
    let mut timed = Timed::steady(&host);
    timed.page();
    host.process(42).ticks(100);
    host.process(43).ticks(100);
    busy(&host, 200);
    let page = timed.page();
    assert!((process_s(&page, &["pid=\"43\""]) - 1.0).abs() < 1e-9);
}

/// Whoever replays a host is faster or slower than it was; its watts are those of its own time.
#[test]
fn a_tree_on_disk_has_the_time_that_it_says() {
    let host = quiet_host();
    let zone = |microjoules| {
        host.zone(
            "intel-rapl:0",
            "package-0",
            microjoules,
            Some(262_143_328_850),
        );
    };
    zone(1_000_000);
    let mut timed = Timed::with_meter(&host, MeterWord::Rapl);
    timed.page();
    zone(501_000_000);
    busy(&host, 1000);
    timed.next_s = 1100;
    let snapshot = timed.snapshot();
    assert_eq!(snapshot.span, Some(Nanos::from_secs(100)));
    let watts = |page: &Page| page.values("jouled_zone_watts", &[]);
    assert_eq!(watts(&Page::of(&snapshot)), [5.0]);

    // In no time there is no power, forwards or backwards; then it goes on.
    for (second, microjoules) in [(1100, 502_000_000), (1000, 503_000_000)] {
        zone(microjoules);
        timed.next_s = second;
        assert_eq!(watts(&timed.page()), [0.0; 0]);
    }
    zone(513_000_000);
    assert_eq!(watts(&timed.page()), [2.0]);
}

#[test]
fn every_level_is_on_every_page() {
    let host = quiet_host();
    let mut timed = Timed::steady(&host);
    timed.page();
    host.process(42).ticks(100);
    busy(&host, 100);
    let snapshot = timed.snapshot();
    let levels: Vec<Level> = snapshot.levels.iter().map(|level| level.level).collect();
    assert_eq!(levels, Level::ALL);
}
