//! What the tests of whole hosts share: written hosts, pages taken apart, real processes.

// Each test program uses its part of this; a fixture that cannot be written is a failed test.
#![allow(dead_code, unused_imports, clippy::unwrap_used)]

mod alone;
mod fake_host;
mod fake_process;
mod host_file;
mod live;
mod page;
mod quiet_host;
mod timed;

pub(crate) use alone::{alone, find, pause, reuse, scanner, wait_until};
pub(crate) use fake_host::{FakeHost, Layout};
pub(crate) use fake_process::FakeProcess;
pub(crate) use host_file::{ExpectedWatts, HostFile};
pub(crate) use live::{
    LiveCgroup, Reaped, as_nobody, helper, is_root, live_observer, live_root, new_shell, skip,
};
pub(crate) use page::Page;
pub(crate) use quiet_host::{busy, process_s, quiet_host};
pub(crate) use timed::Timed;
