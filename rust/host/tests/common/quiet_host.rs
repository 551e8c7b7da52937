//! A host on which hardly anything happens, so that what does can be told exactly.

use super::{FakeHost, Layout, Page};

/// A host with one quiet process, 42 in `a.service`.
pub(crate) fn quiet_host() -> FakeHost {
    let host = FakeHost::new(Layout::V2);
    host.cgroup_v2("/a.service", 0);
    host.process(42)
        .comm("worker")
        .exe("/usr/bin/worker")
        .cgroup("0::/a.service");
    host
}

/// Lets the machine be busy for `ticks` in all.
pub(crate) fn busy(host: &FakeHost, ticks: u64) {
    host.cpu(4, [ticks, 0, 0, 100_000 - ticks, 0, 0, 0, 0]);
}

/// The CPU seconds of the process with these labels.
pub(crate) fn process_s(page: &Page, labels: &[&str]) -> f64 {
    page.value("jouled_process_cpu_seconds_total", labels)
}
