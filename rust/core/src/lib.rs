//! The pure heart of jouled: bytes and numbers in, numbers out.
//!
//! The way a joule goes: kernel text is parsed ([`parse`]), a [`sample::Sample`] holds the raw
//! counters of one scan, an [`interval::Interval`] is what changed between two samples, the
//! [`ledger::Ledger`] divides its energy among workloads and keeps the totals, a
//! [`snapshot::Snapshot`] is the ledger after one interval, and [`exposition`] is its page.
//!
//! No files, no clock, no Python, no unsafe code.

mod account;
pub mod allot;
pub mod book;
pub mod cgroup;
pub mod coarse;
pub mod compat;
mod container;
pub mod counter;
pub mod division;
pub mod exposition;
pub mod idle;
pub mod interval;
pub mod kepler;
pub mod labels;
pub mod ledger;
pub mod level;
mod membership;
pub mod parse;
pub mod process;
pub mod sample;
pub mod snapshot;
pub mod systemd;
pub mod units;
pub mod vm;
pub mod workload;
pub mod zone;
mod zone_account;
