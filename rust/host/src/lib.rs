//! The only crate of jouled that makes system calls: it lists `/proc`, reads CPU clocks, cgroups
//! and energy counters, and hands the core a [`jouled_core::sample::Sample`].

pub mod battery;
mod cgroup_mounts;
mod cgroups;
pub mod counters;
mod cpu_clock;
mod cpu_power;
pub mod error;
pub mod estimate;
pub mod fake;
mod file;
mod host_clock;
pub mod hwmon;
mod hwmon_chip;
mod identity;
pub mod kepler;
pub mod limits;
mod limits_attributes;
mod limits_words;
pub mod limits_write;
mod listing;
pub mod meter;
pub mod meters;
pub mod observer;
mod pidfd;
pub mod powercap;
mod powercap_mirror;
mod powercap_topology;
pub mod process_tree;
mod processes;
pub mod root;
pub mod scanner;
mod sensor_file;
#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test's host that cannot be written is a failed test
mod testing;
mod users;
mod zone_filter;
