//! A written host: `/proc`, `/sys` and `/etc` in a temporary directory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use jouled_host::root::Root;
use tempfile::TempDir;

use super::fake_process::{FakeProcess, Record};

/// Which cgroup hierarchies are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Version 2 at `/sys/fs/cgroup`.
    V2,
    /// Version 1 with cpuacct, and version 2 at `/sys/fs/cgroup/unified`.
    Hybrid,
    /// Version 1 with cpuacct.
    V1,
}

/// A host on disk. Files are written in place, as the kernel's attributes keep their inode.
pub(crate) struct FakeHost {
    directory: TempDir,
    layout: Layout,
    pub(crate) processes: RefCell<BTreeMap<u32, Record>>,
}

impl FakeHost {
    /// A host of four CPUs that has been up for 1000 s and runs nothing.
    pub(crate) fn new(layout: Layout) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Other users shall see it too, as they see the real one.
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let host = Self {
            directory,
            layout,
            processes: RefCell::default(),
        };
        host.put("proc/uptime", "1000.00 3999.00\n");
        host.cpu(4, [0; 8]);
        if layout != Layout::V1 {
            host.put(&format!("{}/cgroup.controllers", host.v2()), "cpu memory\n");
            // The root counts by the tick, what is no task's included: nobody shall read it.
            host.put(&format!("{}/cpu.stat", host.v2()), "usage_usec 77\n");
        }
        if layout != Layout::V2 {
            host.cpuacct("/", 0);
            host.link("sys/fs/cgroup/cpuacct", "cpu,cpuacct");
        }
        host
    }

    pub(crate) fn root(&self) -> Root {
        Root::at(self.at("proc"), self.at("sys"))
    }

    /// The place of a file, `proc/42/stat`.
    pub(crate) fn at(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// Writes a file in place and makes the directories around it.
    pub(crate) fn put(&self, relative: &str, text: impl AsRef<[u8]>) {
        write(&self.at(relative), text.as_ref());
    }

    pub(crate) fn link(&self, relative: &str, target: &str) {
        let path = self.at(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&path);
        symlink(target, path).unwrap();
    }

    /// Removes a file or a directory with all that is in it.
    pub(crate) fn remove(&self, relative: &str) {
        let path = self.at(relative);
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }

    /// Takes everybody's permission away who is not root.
    pub(crate) fn forbid(&self, relative: &str) {
        std::fs::set_permissions(self.at(relative), PermissionsExt::from_mode(0o0)).unwrap();
    }

    /// The machine's CPU times in ticks, in the order of proc(5): user, nice, system, idle,
    /// iowait, irq, softirq, steal.
    pub(crate) fn cpu(&self, cpus: u32, ticks: [u64; 8]) {
        let columns = ticks.map(|ticks| ticks.to_string()).join(" ");
        let mut text = format!("cpu  {columns} 0 0\n");
        for cpu in 0..cpus {
            writeln!(text, "cpu{cpu} 0 0 0 0 0 0 0 0 0 0").unwrap();
        }
        self.put("proc/stat", text + "intr 7 0 0\nctxt 9\nbtime 1699999000\n");
    }

    /// A process: the one that is there, or a new one.
    pub(crate) fn process(&self, pid: u32) -> FakeProcess<'_> {
        FakeProcess::of(self, pid)
    }

    /// Removes a process.
    pub(crate) fn exit(&self, pid: u32) {
        self.processes.borrow_mut().remove(&pid);
        self.remove(&format!("proc/{pid}"));
    }

    /// A cgroup of version 2 and what it has used.
    pub(crate) fn cgroup_v2(&self, path: &str, usage_usec: u64) {
        let directory = format!("{}{path}", self.v2());
        self.put(&format!("{directory}/cgroup.events"), "populated 1\n");
        self.cpu_stat(path, &format!("usage_usec {usage_usec}\nuser_usec 0\n"));
    }

    /// The text of a cgroup's `cpu.stat`, whatever it says.
    pub(crate) fn cpu_stat(&self, path: &str, text: &str) {
        self.put(&format!("{}{path}/cpu.stat", self.v2()), text);
    }

    /// A cgroup of the cpuacct hierarchy and what it has used.
    pub(crate) fn cpuacct(&self, path: &str, usage_ns: u64) {
        let path = path.trim_end_matches('/');
        let file = format!("sys/fs/cgroup/cpu,cpuacct{path}/cpuacct.usage");
        self.put(&file, format!("{usage_ns}\n"));
    }

    fn v2(&self) -> &'static str {
        match self.layout {
            Layout::V2 => "sys/fs/cgroup",
            Layout::Hybrid => "sys/fs/cgroup/unified",
            Layout::V1 => panic!("a v1 host has no unified hierarchy"),
        }
    }

    /// A powercap zone; it may be written again with another counter.
    pub(crate) fn zone(&self, id: &str, name: &str, microjoules: u64, range: Option<u64>) {
        let directory = format!("sys/class/powercap/{id}");
        self.put(&format!("{directory}/name"), format!("{name}\n"));
        self.put(
            &format!("{directory}/energy_uj"),
            format!("{microjoules}\n"),
        );
        if let Some(range) = range {
            self.put(
                &format!("{directory}/max_energy_range_uj"),
                format!("{range}\n"),
            );
        }
    }
}

/// Writes a file in place and makes the directories around it.
pub(crate) fn write(path: &Path, text: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Bytes as a file name.
pub(crate) fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}
