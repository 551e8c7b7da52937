//! Real processes and cgroups of the host that runs the tests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use jouled_core::ledger::LedgerOptions;
use jouled_host::fake::{Fake, FakeZone};
use jouled_host::observer::Observer;
use jouled_host::root::Root;

/// The running host.
pub(crate) fn live_root() -> Root {
    Root::at("/proc", "/sys")
}

/// Observes the running host with one package that draws 100 W.
pub(crate) fn live_observer() -> Observer {
    let zone = FakeZone::parse("package:0=100W").unwrap();
    let meter = Box::new(Fake::new(vec![zone], 0));
    Observer::open(&live_root(), meter, &LedgerOptions::default()).unwrap()
}

pub(crate) fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Says why a test did nothing here.
#[allow(clippy::print_stderr)] // a test that was passed over must say so
pub(crate) fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

/// A child that is killed and reaped when the test ends, however it ends.
pub(crate) struct Reaped(pub(crate) Child);

impl Reaped {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it now.
    pub(crate) fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        self.end();
    }
}

/// A shell that runs `script` once the command is spawned.
pub(crate) fn new_shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A cgroup of this test, and everything in it, which is killed and removed at its end.
pub(crate) struct LiveCgroup {
    directory: PathBuf,
    name: String,
}

impl LiveCgroup {
    /// Makes `jouled-test-PID-N.slice` in the cpuacct hierarchy, or in the unified one where
    /// there is none; `None` where that may not be done.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let base = ["/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup"]
            .into_iter()
            .find(|base| Path::new(base).join("cgroup.procs").exists())?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("jouled-test-{}-{count}.slice", std::process::id());
        let directory = Path::new(base).join(&name);
        std::fs::create_dir(&directory).ok()?;
        Some(Self { directory, name })
    }

    /// The same, or a line that says why the test does nothing.
    pub(crate) fn or_skip() -> Option<Self> {
        let cgroup = Self::new();
        if cgroup.is_none() {
            skip("cgroups may not be made below /sys/fs/cgroup; run the tests as root");
        }
        cgroup
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Makes a cgroup in it, such as `burner.service`.
    pub(crate) fn child(&self, name: &str) -> PathBuf {
        let directory = self.directory.join(name);
        std::fs::create_dir(&directory).unwrap();
        directory
    }

    /// A shell that runs `script` in the cgroup `directory`.
    pub(crate) fn shell(directory: &Path, script: &str) -> Command {
        new_shell(&format!(
            "echo $$ > {}/cgroup.procs || exit; {script}",
            directory.display()
        ))
    }

    /// The CPU seconds that a cgroup has used, by its own counter.
    pub(crate) fn seconds(directory: &Path) -> f64 {
        let number = |text: &str| text.trim().parse::<f64>().unwrap();
        if let Ok(text) = std::fs::read_to_string(directory.join("cpuacct.usage")) {
            return number(&text) / 1e9;
        }
        let text = std::fs::read_to_string(directory.join("cpu.stat")).unwrap();
        number(text.lines().next().unwrap().rsplit(' ').next().unwrap()) / 1e6
    }

    fn kill_all(directory: &Path) {
        let pids = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        for pid in pids.lines().filter_map(|pid| pid.parse().ok()) {
            // Pid 0 stands for one of another namespace, and would be all of this one.
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

impl Drop for LiveCgroup {
    fn drop(&mut self) {
        let children = std::fs::read_dir(&self.directory).into_iter().flatten();
        let mut all: Vec<PathBuf> = children
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect();
        all.push(self.directory.clone());
        for directory in all {
            // A process that is being forked escapes one round; the kernel needs a moment to let go.
            for _ in 0..500 {
                Self::kill_all(&directory);
                if std::fs::remove_dir(&directory).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }
}

/// Runs `work` on a thread that has no more rights than the user nobody.
pub(crate) fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let nobody = rustix::process::Uid::from_raw(65_534);
            rustix::thread::set_thread_uid(nobody).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

/// The ignored test `name` of this program as a program of its own, where a test needs one: with
/// other limits, or traced. `wrapper` is put before it.
pub(crate) fn helper(wrapper: &[&str], name: &str) -> Command {
    let own = std::env::current_exe().unwrap();
    let mut words = wrapper.iter().map(std::ffi::OsString::from);
    let mut command = match words.next() {
        Some(program) => {
            let mut command = Command::new(program);
            command.args(words).arg(own);
            command
        }
        None => Command::new(own),
    };
    command.args([
        "--ignored",
        "--exact",
        name,
        "--nocapture",
        "--test-threads=1",
    ]);
    command
}
