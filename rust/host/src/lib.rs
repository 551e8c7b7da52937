//! The only crate of jouled that makes system calls: it lists `/proc`, reads CPU clocks, cgroups
//! and energy counters, and hands the core a [`jouled_core::sample::Sample`].

pub mod error;
pub mod meter;
pub mod root;
