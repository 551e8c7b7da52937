//! Who runs in a cgroup, told from its path alone.

mod containers;
mod pods;

use jouled_core::cgroup::owner_of;
use jouled_core::parse::pid_cgroup::lines;
use jouled_core::workload::Owner;

const A: &str = "ce82d94d69e1fbbc7feeb66930c69e9b96d9f151f594773e5d0e342741d15437";
const UUID: &str = "d0511cd2-29d2-4215-be0f-f77bc0609d99";

/// The owner of a path or of a whole line of `/proc/P/cgroup`.
fn owner(text: &str) -> Owner {
    let line = lines(text.as_bytes()).next();
    owner_of(line.map_or(text.as_bytes(), |line| line.path))
}

/// The container as `runtime id`.
fn container(text: &str) -> Option<String> {
    let container = owner(text).container?;
    Some(format!("{} {}", container.runtime.as_str(), container.id))
}

fn pod(text: &str) -> Option<String> {
    owner(text).pod.map(|pod| pod.id)
}

/// Each path, its container as `runtime id`, and its pod.
fn check(cases: &[(&str, &str, Option<&str>)]) {
    for (text, expected, expected_pod) in cases {
        assert_eq!(container(text).as_deref(), Some(*expected), "{text}");
        assert_eq!(pod(text).as_deref(), *expected_pod, "{text}");
    }
}
