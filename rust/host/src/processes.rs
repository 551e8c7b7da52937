//! The table of known processes: each scan asks a known one for its CPU time and nothing else.

use std::mem;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use jouled_core::process::Process;
use jouled_core::sample::ProcessReading;
use jouled_core::units::Nanos;
use rustix::io::Errno;

use crate::cgroups::Cgroups;
use crate::cpu_clock::CpuTime;
use crate::identity::{Reader, Unidentified};
use crate::pidfd::ExitWatch;

/// What went wrong with single processes since the daemon started; each costs only itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessTroubles {
    /// Processes that may not be read, or whose files make no sense, each time they were tried.
    pub unreadable: u64,
    /// Processes that ended between being listed and being read.
    pub vanished: u64,
    /// Pids that were found to belong to another process than before.
    pub reused: u64,
}

struct Known {
    /// Here too, so that going through the table touches nothing else.
    pid: u32,
    /// Tells of its exit; `None` where it cannot be watched.
    pidfd: Option<OwnedFd>,
    cpu: Option<Nanos>,
    /// The scan in which it was last seen to be who it is.
    checked: u64,
    process: Arc<Process>,
}

/// All known processes, by rising pid.
pub(crate) struct Processes {
    known: Vec<Known>,
    watch: Option<ExitWatch>,
    exited: Vec<u32>,
    clock: Box<dyn CpuTime + Send>,
    reader: Reader,
    scan: u64,
    pub(crate) troubles: ProcessTroubles,
}

impl Processes {
    /// An empty table. `watch` is `None` where pids are not those of the running kernel.
    pub(crate) fn new(
        reader: Reader,
        clock: Box<dyn CpuTime + Send>,
        watch: Option<ExitWatch>,
    ) -> Self {
        Self {
            known: Vec::new(),
            watch,
            exited: Vec::new(),
            clock,
            reader,
            scan: 0,
            troubles: ProcessTroubles::default(),
        }
    }

    /// All processes that the last scan knew.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Process>> {
        self.known.iter().map(|known| &known.process)
    }

    /// Reads the processes `pids`, rising, into `readings`.
    pub(crate) fn read(
        &mut self,
        proc: BorrowedFd<'_>,
        pids: &[u32],
        cgroups: &mut Cgroups,
        readings: &mut Vec<ProcessReading>,
    ) {
        self.scan += 1;
        self.exited.clear();
        if let Some(watch) = &mut self.watch {
            watch.exited(&mut self.exited);
            self.exited.sort_unstable();
        }
        let mut known = mem::take(&mut self.known);
        let mut born = Vec::new();
        let mut pids = pids.iter().copied().peekable();
        // In place: on most hosts nearly all processes are those of the scan before.
        known.retain_mut(|known| {
            while let Some(pid) = pids.next_if(|pid| *pid < known.pid) {
                born.extend(self.meet(proc, pid, cgroups));
            }
            if pids.next_if_eq(&known.pid).is_some() {
                return self.reread(proc, known, cgroups);
            }
            self.unwatch(known.pidfd.take());
            false
        });
        born.extend(pids.filter_map(|pid| self.meet(proc, pid, cgroups)));
        if !born.is_empty() {
            known.append(&mut born);
            known.sort_unstable_by_key(|known| known.pid);
        }
        readings.extend(known.iter().map(Known::reading));
        self.known = known;
    }

    /// A process that was there before: one call if nothing happened to it. Whether it still is.
    fn reread(&mut self, proc: BorrowedFd<'_>, known: &mut Known, cgroups: &mut Cgroups) -> bool {
        let pid = known.pid;
        if !self.exited.is_empty() && self.exited.binary_search(&pid).is_ok() {
            // A zombie until it is reaped, or already another process under the same pid.
            self.unwatch(known.pidfd.take());
            if !self.is_same(proc, known) {
                return self.succeed(proc, known, cgroups);
            }
        }
        let cpu = match self.clock.read(proc, pid) {
            Ok(cpu) => cpu,
            Err(errno) => return self.unreadable(known, errno),
        };
        let has_worked = known.cpu.is_none_or(|before| cpu != before);
        if has_worked && known.pidfd.is_none() && !self.is_same(proc, known) {
            return self.succeed(proc, known, cgroups);
        }
        known.cpu = Some(cpu);
        // An exec and a move cost CPU time, or matter only once some is used: who worked is
        // looked at again, every second scan at the most.
        if has_worked && known.checked + 2 <= self.scan && !known.process.is_kernel {
            self.reader.refresh(proc, &mut known.process, cgroups);
            known.checked = self.scan;
        }
        true
    }

    fn unreadable(&mut self, known: &mut Known, errno: Errno) -> bool {
        if is_gone(errno) {
            self.troubles.vanished += 1;
            self.unwatch(known.pidfd.take());
            return false;
        }
        self.troubles.unreadable += 1;
        known.cpu = None;
        true
    }

    /// Whether the pid still has the start time that is known. Where it cannot be read for another
    /// reason than that nobody has the pid, nothing speaks against it.
    fn is_same(&mut self, proc: BorrowedFd<'_>, known: &Known) -> bool {
        match self.reader.start_ticks(proc, known.pid) {
            Ok(start_ticks) => start_ticks == known.process.key.start_ticks,
            Err(errno) => !is_gone(errno),
        }
    }

    /// Another process under a known pid, or nobody any more.
    fn succeed(&mut self, proc: BorrowedFd<'_>, known: &mut Known, cgroups: &mut Cgroups) -> bool {
        self.unwatch(known.pidfd.take());
        let successor = self.meet(proc, known.pid, cgroups);
        // One that was reaped meanwhile has no start time either: nobody has its pid.
        self.troubles.reused += u64::from(successor.is_some());
        successor.map(|successor| *known = successor).is_some()
    }

    /// A process that was not there before. The watch begins before its files are read, so that
    /// an exit in between is told at the next scan.
    fn meet(&mut self, proc: BorrowedFd<'_>, pid: u32, cgroups: &mut Cgroups) -> Option<Known> {
        let mut pidfd = self.watch.as_mut().and_then(|watch| watch.watch(pid));
        let outcome = self
            .reader
            .identify(proc, pid, cgroups)
            .and_then(|process| {
                let cpu = self.clock.read(proc, pid).map_err(Unidentified::from)?;
                Ok((process, cpu))
            });
        match outcome {
            Ok((process, cpu)) => Some(Known {
                pid,
                process,
                pidfd,
                cpu: Some(cpu),
                checked: self.scan,
            }),
            Err(trouble) => {
                self.unwatch(pidfd.take());
                match trouble {
                    Unidentified::Gone => self.troubles.vanished += 1,
                    Unidentified::Unreadable => self.troubles.unreadable += 1,
                }
                None
            }
        }
    }

    fn unwatch(&mut self, pidfd: Option<OwnedFd>) {
        if let (Some(watch), Some(pidfd)) = (&mut self.watch, pidfd) {
            watch.unwatch(pidfd);
        }
    }
}

impl Known {
    fn reading(&self) -> ProcessReading {
        ProcessReading {
            process: Arc::clone(&self.process),
            cpu: self.cpu,
        }
    }
}

/// Whether the process is no longer there: its files are gone, or its clock is.
pub(crate) fn is_gone(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT | Errno::SRCH | Errno::INVAL | Errno::NODEV
    )
}

#[cfg(test)]
#[path = "processes_tests.rs"]
mod tests;
