//! One live test at a time, and what it does with real processes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jouled_core::sample::{ProcessReading, Sample};
use jouled_host::fake::Fake;
use jouled_host::scanner::Scanner;

use super::live::{Reaped, live_root};

/// One test at a time: each one's load would be another one's noise.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn scanner() -> Scanner {
    Scanner::open(&live_root(), Box::new(Fake::new(Vec::new(), 0))).unwrap()
}

pub(crate) fn find(sample: &Sample, pid: u32) -> Option<&ProcessReading> {
    sample
        .processes
        .iter()
        .find(|reading| reading.process.key.pid == pid)
}

pub(crate) fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Waits until `is_so`, for five seconds at most.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(5), "never: {what}");
        pause(5);
    }
}

/// Gives the pid of a process that has ended to another one.
pub(crate) fn reuse(pid: u32, mut start: impl FnMut() -> Reaped) -> Option<Reaped> {
    // Others fork too: whoever is faster gets it, and then it is free again or not.
    for _ in 0..200 {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
        let child = start();
        if child.pid() == pid {
            return Some(child);
        }
    }
    None
}
