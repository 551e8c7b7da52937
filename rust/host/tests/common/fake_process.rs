//! A process of a written host: every setter writes its files again, in place.

use super::fake_host::{FakeHost, name};

/// Set in the flags of a kernel thread.
const PF_KTHREAD: u32 = 0x0020_0000;

/// What a process's files say.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    comm: Vec<u8>,
    ticks: u64,
    start_ticks: u64,
    uid: u32,
    flags: u32,
    cgroup: Vec<u8>,
    exe: Option<Vec<u8>>,
    cmdline: Vec<u8>,
    environ: Vec<u8>,
}

impl Record {
    fn new(pid: u32) -> Self {
        Self {
            comm: format!("p{pid}").into_bytes(),
            ticks: 0,
            start_ticks: 100 + u64::from(pid),
            uid: 0,
            flags: 0x0040_0000,
            cgroup: b"0::/\n".to_vec(),
            exe: None,
            cmdline: Vec::new(),
            environ: Vec::new(),
        }
    }

    fn stat(&self, pid: u32) -> Vec<u8> {
        let (system, flags, start) = (self.ticks / 4, self.flags, self.start_ticks);
        let user = self.ticks - system;
        let rest = format!(
            " S 1 {pid} {pid} 0 -1 {flags} 0 0 0 0 {user} {system} 0 0 20 0 1 0 {start} 2512547840 \
             5120 18446744073709551615 1 1 0 0 0 0 0 4096 81923 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        );
        [
            format!("{pid} (").as_bytes(),
            &self.comm,
            b")",
            rest.as_bytes(),
        ]
        .concat()
    }
}

/// A process that is being written.
pub(crate) struct FakeProcess<'h> {
    host: &'h FakeHost,
    pid: u32,
    record: Record,
}

impl<'h> FakeProcess<'h> {
    pub(crate) fn of(host: &'h FakeHost, pid: u32) -> Self {
        let known = host.processes.borrow().get(&pid).cloned();
        let process = Self {
            host,
            pid,
            record: known.clone().unwrap_or_else(|| Record::new(pid)),
        };
        if known.is_none() {
            process.write();
        }
        process
    }

    /// The name that the kernel keeps.
    pub(crate) fn comm(self, comm: impl AsRef<[u8]>) -> Self {
        self.with(|record| record.comm = comm.as_ref().to_vec())
    }

    /// CPU time since it started.
    pub(crate) fn ticks(self, ticks: u64) -> Self {
        self.with(|record| record.ticks = ticks)
    }

    /// When it started, in ticks since boot.
    pub(crate) fn started(self, start_ticks: u64) -> Self {
        self.with(|record| record.start_ticks = start_ticks)
    }

    pub(crate) fn uid(self, uid: u32) -> Self {
        self.with(|record| record.uid = uid)
    }

    /// Makes it a kernel thread.
    pub(crate) fn kernel(self) -> Self {
        self.with(|record| record.flags |= PF_KTHREAD)
    }

    /// The lines of its `cgroup` file, each `0::/path`, with or without the newline.
    pub(crate) fn cgroup(self, lines: &str) -> Self {
        self.with(|record| record.cgroup = format!("{}\n", lines.trim_end()).into_bytes())
    }

    pub(crate) fn exe(self, exe: impl AsRef<[u8]>) -> Self {
        self.with(|record| record.exe = Some(exe.as_ref().to_vec()))
    }

    /// The command line, with spaces between its arguments.
    pub(crate) fn cmdline(self, line: &str) -> Self {
        self.with(|record| record.cmdline = format!("{line} ").replace(' ', "\0").into_bytes())
    }

    /// The environment, with spaces between its variables.
    pub(crate) fn environ(self, line: &str) -> Self {
        self.with(|record| record.environ = format!("{line} ").replace(' ', "\0").into_bytes())
    }

    /// Where one of its files is: `proc/42/stat`.
    pub(crate) fn file(&self, file: &str) -> String {
        format!("proc/{}/{file}", self.pid)
    }

    fn with(mut self, change: impl FnOnce(&mut Record)) -> Self {
        change(&mut self.record);
        self.write();
        self
    }

    fn write(&self) {
        let (host, record, pid, uid) = (self.host, &self.record, self.pid, self.record.uid);
        host.put(&self.file("stat"), record.stat(pid));
        host.put(&self.file("comm"), [&record.comm[..], b"\n"].concat());
        host.put(&self.file("cgroup"), &record.cgroup);
        host.put(&self.file("cmdline"), &record.cmdline);
        host.put(&self.file("environ"), &record.environ);
        let status = format!(
            "Name:\tx\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t{pid}\nPid:\t{pid}\n\
             Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t0\t0\t0\t0\n"
        );
        host.put(&self.file("status"), status);
        if let Some(exe) = &record.exe {
            let path = host.at(&self.file("exe"));
            let _ = std::fs::remove_file(&path);
            std::os::unix::fs::symlink(name(exe), path).unwrap();
        }
        host.processes.borrow_mut().insert(pid, record.clone());
    }
}
