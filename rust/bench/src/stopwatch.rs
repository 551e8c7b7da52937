//! CPU time of this thread: on a shared machine the clock on the wall measures the neighbours.

use rustix::time::{ClockId, clock_gettime};

/// CPU nanoseconds, user and system, that `work` took on this thread, and its result.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let before = thread_ns();
    let result = work();
    (thread_ns() - before, result)
}

/// The median of all rounds; zero of none.
pub fn median(rounds: &mut [f64]) -> f64 {
    rounds.sort_unstable_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().unwrap_or(0.0)
}

fn thread_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
