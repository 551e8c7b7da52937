//! Who a process is: the files that are read once, when it is new, and again after an exec.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use jouled_core::cgroup::Cgroup;
use jouled_core::parse::{self, environ, pid_stat, pid_status};
use jouled_core::process::{Process, ProcessKey};
use jouled_core::vm;
use jouled_core::workload::Vm;
use rustix::io::Errno;

use crate::cgroups::Cgroups;
use crate::cpu_clock::path;
use crate::file;
use crate::processes::is_gone;

/// A process with what is needed to see that it has become somebody else.
pub(crate) struct Identity {
    pub(crate) process: Arc<Process>,
    cgroup_text: Vec<u8>,
    exe: Option<Vec<u8>>,
    comm: Vec<u8>,
}

/// Why a process could not be identified.
pub(crate) enum Unidentified {
    /// It ended.
    Gone,
    /// It may not be read, or what it says makes no sense.
    Unreadable,
}

impl From<Errno> for Unidentified {
    fn from(errno: Errno) -> Self {
        if is_gone(errno) {
            Self::Gone
        } else {
            Self::Unreadable
        }
    }
}

/// Reads the files of single processes, with buffers that are kept.
#[derive(Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
    cmdline: Vec<u8>,
}

impl Reader {
    /// Who `pid` is.
    pub(crate) fn identify(
        &mut self,
        proc: BorrowedFd<'_>,
        pid: u32,
        cgroups: &mut Cgroups,
    ) -> Result<Identity, Unidentified> {
        let text = file::read_at(proc, path(&mut [0; 24], pid, "stat"), &mut self.buffer)?;
        let stat = pid_stat::parse(text).map_err(|_| Unidentified::Unreadable)?;
        let key = ProcessKey {
            pid,
            start_ticks: stat.start_ticks,
        };
        let (comm, is_kernel) = (stat.comm.to_vec(), stat.is_kernel());
        let cgroup_text =
            file::read_at(proc, path(&mut [0; 24], pid, "cgroup"), &mut self.buffer)?.to_vec();
        let cgroup = cgroups.resolve(&cgroup_text, || container_name(proc, pid));
        let exe = if is_kernel { None } else { exe(proc, pid) };
        let uid = if is_kernel {
            Some(0)
        } else {
            self.uid(proc, pid)
        };
        let vm = self.vm(proc, key, &comm, exe.as_deref());
        let process = Process {
            key,
            comm: parse::name(&comm),
            exe: exe.as_deref().map(parse::name),
            uid,
            is_kernel,
            vm,
            cgroup,
        };
        Ok(Identity {
            process: Arc::new(process),
            cgroup_text,
            exe,
            comm,
        })
    }

    /// The start time of whoever has this pid now.
    pub(crate) fn start_ticks(&mut self, proc: BorrowedFd<'_>, pid: u32) -> Option<u64> {
        let text = file::read_at(proc, path(&mut [0; 24], pid, "stat"), &mut self.buffer).ok()?;
        Some(pid_stat::parse(text).ok()?.start_ticks)
    }

    /// Looks whether a process has moved or executed something else, and makes it who it is now.
    pub(crate) fn refresh(
        &mut self,
        proc: BorrowedFd<'_>,
        identity: &mut Identity,
        cgroups: &mut Cgroups,
    ) {
        let old = &identity.process;
        let pid = old.key.pid;
        let moved = self.moved(proc, pid, &identity.cgroup_text);
        let comm = file::read_at(proc, path(&mut [0; 24], pid, "comm"), &mut self.buffer)
            .ok()
            .map(|text| text.strip_suffix(b"\n").unwrap_or(text).to_vec())
            .filter(|comm| *comm != identity.comm);
        let exe = exe(proc, pid).filter(|exe| Some(exe) != identity.exe.as_ref());
        if moved.is_none() && comm.is_none() && exe.is_none() {
            return;
        }
        let cgroup: Arc<Cgroup> = match moved {
            None => Arc::clone(&old.cgroup),
            Some(text) => {
                identity.cgroup_text = text;
                cgroups.resolve(&identity.cgroup_text, || container_name(proc, pid))
            }
        };
        let has_new_image = exe.is_some() || comm.is_some();
        identity.comm = comm.unwrap_or_else(|| identity.comm.clone());
        identity.exe = exe.or_else(|| identity.exe.take());
        let vm = if has_new_image {
            self.vm(proc, old.key, &identity.comm, identity.exe.as_deref())
        } else {
            old.vm.clone()
        };
        identity.process = Arc::new(Process {
            key: old.key,
            comm: parse::name(&identity.comm),
            exe: identity.exe.as_deref().map(parse::name),
            uid: self.uid(proc, pid).or(old.uid),
            is_kernel: old.is_kernel,
            vm,
            cgroup,
        });
    }

    fn moved(&mut self, proc: BorrowedFd<'_>, pid: u32, known: &[u8]) -> Option<Vec<u8>> {
        let text = file::read_at(proc, path(&mut [0; 24], pid, "cgroup"), &mut self.buffer).ok()?;
        (text != known).then(|| text.to_vec())
    }

    fn uid(&mut self, proc: BorrowedFd<'_>, pid: u32) -> Option<u32> {
        let text = file::read_at(proc, path(&mut [0; 24], pid, "status"), &mut self.buffer).ok()?;
        pid_status::uid(text)
    }

    fn vm(
        &mut self,
        proc: BorrowedFd<'_>,
        key: ProcessKey,
        comm: &[u8],
        exe: Option<&[u8]>,
    ) -> Option<Vm> {
        if !vm::may_be_vm(comm, exe) {
            return None;
        }
        let text = file::read_at(
            proc,
            path(&mut [0; 24], key.pid, "cmdline"),
            &mut self.cmdline,
        )
        .ok()?;
        vm::vm_of(exe, text, key)
    }
}

/// The executable's path. One that was replaced while it runs, as by an upgrade, is the same one.
fn exe(proc: BorrowedFd<'_>, pid: u32) -> Option<Vec<u8>> {
    let mut path = file::link_at(proc, path(&mut [0; 24], pid, "exe")).ok()?;
    if path.ends_with(b" (deleted)") {
        path.truncate(path.len() - b" (deleted)".len());
    }
    Some(path)
}

/// A container's name as its first process has it: runtimes set one of these variables.
fn container_name(proc: BorrowedFd<'_>, pid: u32) -> Option<String> {
    let mut buffer = Vec::new();
    let text = file::read_at(proc, path(&mut [0; 24], pid, "environ"), &mut buffer).ok()?;
    let name = environ::variable(text, b"CONTAINER_NAME")
        .or_else(|| environ::variable(text, b"HOSTNAME"))?;
    (!name.is_empty()).then(|| parse::name(name))
}
