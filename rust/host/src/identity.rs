//! Who a process is: the files that are read once, when it is new, and again after an exec.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use jouled_core::parse::{self, environ, pid_stat, pid_status};
use jouled_core::process::{Process, ProcessKey};
use jouled_core::vm;
use jouled_core::workload::Vm;
use rustix::io::Errno;

use crate::cgroups::Cgroups;
use crate::cpu_clock::path;
use crate::file;
use crate::processes::is_gone;

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
    ) -> Result<Arc<Process>, Unidentified> {
        let text = file::read_at(proc, path(&mut [0; 24], pid, "stat"), &mut self.buffer)?;
        let stat = pid_stat::parse(text).map_err(|_| Unidentified::Unreadable)?;
        let key = ProcessKey {
            pid,
            start_ticks: stat.start_ticks,
        };
        let (comm, is_kernel) = (stat.comm.to_vec(), stat.is_kernel());
        let text = match file::read_at(proc, path(&mut [0; 24], pid, "cgroup"), &mut self.buffer) {
            // A kernel without cgroups has no such file; a process that is gone has no clock either.
            Err(Errno::NOENT) => b"",
            text => text?,
        };
        let cgroup = cgroups.resolve(text, || container_name(proc, pid));
        let exe = if is_kernel { None } else { exe(proc, pid).ok() };
        let uid = if is_kernel {
            Some(0)
        } else {
            self.uid(proc, pid)
        };
        let vm = self.vm(proc, key, &comm, exe.as_deref());
        Ok(Arc::new(Process {
            key,
            comm: parse::name(&comm),
            exe: exe.as_deref().map(parse::name),
            uid,
            is_kernel,
            vm,
            cgroup,
        }))
    }

    /// The start time of whoever has this pid now.
    pub(crate) fn start_ticks(&mut self, proc: BorrowedFd<'_>, pid: u32) -> Result<u64, Errno> {
        let text = file::read_at(proc, path(&mut [0; 24], pid, "stat"), &mut self.buffer)?;
        let stat = pid_stat::parse(text).map_err(|_| Errno::BADMSG)?;
        Ok(stat.start_ticks)
    }

    /// Looks whether a process has moved, executed something else or given up being root, and makes
    /// it who it is now.
    pub(crate) fn refresh(
        &mut self,
        proc: BorrowedFd<'_>,
        process: &mut Arc<Process>,
        cgroups: &mut Cgroups,
    ) {
        let pid = process.key.pid;
        let image = exe(proc, pid);
        if process.exe.is_some() && image == Err(Errno::NOENT) {
            // Without memory it has ended: version 1 shows its zombie in the root cgroup, but what
            // it spent was spent where it was.
            return;
        }
        let image = image.ok();
        let cgroup = file::read_at(proc, path(&mut [0; 24], pid, "cgroup"), &mut self.buffer)
            .ok()
            .map(|text| cgroups.resolve(text, || container_name(proc, pid)))
            .filter(|cgroup| !Arc::ptr_eq(cgroup, &process.cgroup));
        let comm = file::read_at(proc, path(&mut [0; 24], pid, "comm"), &mut self.buffer)
            .ok()
            .map(|text| text.strip_suffix(b"\n").unwrap_or(text))
            .filter(|comm| *comm != process.comm.as_bytes())
            .map(parse::name)
            .filter(|comm| *comm != process.comm);
        let exe =
            (image.as_deref().map(parse::name)).filter(|exe| Some(exe) != process.exe.as_ref());
        // Whoever is root may become somebody else without an exec, as daemons do at their start.
        let may_be_other = process.uid.is_none_or(|uid| uid == 0);
        let uid = if may_be_other {
            self.uid(proc, pid).or(process.uid)
        } else {
            process.uid
        };
        let is_as_before = cgroup.is_none() && comm.is_none() && exe.is_none();
        if is_as_before && uid == process.uid {
            return;
        }
        let has_new_image = exe.is_some() || comm.is_some();
        let comm = comm.unwrap_or_else(|| process.comm.clone());
        let exe = exe.or_else(|| process.exe.clone());
        let vm = if has_new_image {
            self.vm(proc, process.key, comm.as_bytes(), image.as_deref())
        } else {
            process.vm.clone()
        };
        *process = Arc::new(Process {
            key: process.key,
            comm,
            exe,
            uid: self.uid(proc, pid).or(uid),
            is_kernel: process.is_kernel,
            vm,
            cgroup: cgroup.unwrap_or_else(|| Arc::clone(&process.cgroup)),
        });
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
fn exe(proc: BorrowedFd<'_>, pid: u32) -> Result<Vec<u8>, Errno> {
    let mut path = file::link_at(proc, path(&mut [0; 24], pid, "exe"))?;
    if path.ends_with(b" (deleted)") {
        path.truncate(path.len() - b" (deleted)".len());
    }
    Ok(path)
}

/// A container's name as its first process has it: runtimes set one of these variables.
fn container_name(proc: BorrowedFd<'_>, pid: u32) -> Option<String> {
    let mut buffer = Vec::new();
    let text = file::read_at(proc, path(&mut [0; 24], pid, "environ"), &mut buffer).ok()?;
    let name = environ::variable(text, b"CONTAINER_NAME")
        .or_else(|| environ::variable(text, b"HOSTNAME"))?;
    (!name.is_empty()).then(|| parse::name(name))
}
