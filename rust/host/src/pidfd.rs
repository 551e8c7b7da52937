//! Exits by pidfd: a pid whose process has exited is told apart from its successor.

use std::os::fd::OwnedFd;

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::file;

/// File descriptors of its half that are left to everything else: files, sensors, clients.
const RESERVE: usize = 256;

/// Watches processes for their exit: one `epoll_wait` a scan tells of all.
pub(crate) struct ExitWatch {
    epoll: OwnedFd,
    left: usize,
}

impl ExitWatch {
    /// A watch that nobody is on yet. It takes no more than half of the descriptors that this process
    /// may have, less a reserve: the rest go unwatched, which the scan makes up for.
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            left: file::half_of_all().saturating_sub(RESERVE),
        })
    }

    /// Watches a process; `None` where there are no descriptors left, or the process is gone.
    pub(crate) fn watch(&mut self, pid: u32) -> Option<OwnedFd> {
        if self.left == 0 {
            return None;
        }
        let process = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let descriptor = pidfd_open(process, PidfdFlags::empty()).ok()?;
        let data = epoll::EventData::new_u64(pid.into());
        epoll::add(&self.epoll, &descriptor, data, epoll::EventFlags::IN).ok()?;
        self.left -= 1;
        Some(descriptor)
    }

    /// Ends a watch.
    pub(crate) fn unwatch(&mut self, descriptor: OwnedFd) {
        // The last descriptor closed takes the watch out of the epoll set.
        drop(descriptor);
        self.left += 1;
    }

    /// Appends the pids of watched processes that have exited; each is told until its watch ends.
    pub(crate) fn exited(&self, pids: &mut Vec<u32>) {
        const NOW: rustix::time::Timespec = rustix::time::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut events = Vec::with_capacity(64);
        loop {
            let spare = rustix::buffer::spare_capacity(&mut events);
            if epoll::wait(&self.epoll, spare, Some(&NOW)).is_err() {
                return;
            }
            if events.len() < events.capacity() {
                break;
            }
            // More may wait than fit. They are level-triggered: a larger buffer gets them all.
            let room = events.capacity() * 4;
            events = Vec::with_capacity(room);
        }
        pids.extend(
            events
                .iter()
                .filter_map(|event| u32::try_from(event.data.u64()).ok()),
        );
    }
}
