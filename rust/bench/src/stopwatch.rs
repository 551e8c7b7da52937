//! CPU time of this thread: on a shared machine the clock on the wall measures the neighbours.

use rustix::time::{ClockId, clock_gettime};

/// CPU nanoseconds, user and system, that `work` took on this thread, and its result.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let before = thread_ns();
    let result = work();
    (thread_ns() - before, result)
}

/// The mean of the middle half of all rounds, which it sorts; zero of none. A neighbour's burst
/// falls out of it, and work that is done in every second round counts half.
pub fn typical(rounds: &mut [f64]) -> f64 {
    rounds.sort_unstable_by(f64::total_cmp);
    let quarter = rounds.len() / 4;
    let middle = &rounds[quarter..rounds.len() - quarter];
    middle.iter().sum::<f64>() / middle.len().max(1) as f64
}

fn thread_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
