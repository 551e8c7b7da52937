//! One scan: everything that a sample holds, read in one go.

use std::path::{Path, PathBuf};

use jouled_core::parse::stat;
use jouled_core::sample::Sample;
use jouled_core::units::Nanos;
use rustix::time::ClockId;

use crate::cgroups::Cgroups;
use crate::cpu_clock::{Clocks, CpuTime, Stat};
use crate::error::ScanError;
use crate::file;
use crate::host_clock::{HostClock, Moment, clock, is_procfs, monotonic};
use crate::identity::Reader;
use crate::listing::ProcDir;
use crate::meter::Meter;
use crate::pidfd::ExitWatch;
use crate::processes::{ProcessTroubles, Processes};
use crate::root::Root;
use crate::users::Users;

/// How often is looked for zones that appeared or vanished, and for users with other names.
const LOOK_AROUND: Nanos = Nanos::from_secs(30);

/// What scanning has cost and met so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScanStats {
    /// How long the last scan took, in seconds.
    pub seconds: f64,
    /// CPU seconds that all scans used.
    pub cpu_seconds_total: f64,
    /// Processes in the last scan.
    pub processes: usize,
    /// Cgroups in the last scan.
    pub cgroups: usize,
    /// Cgroup counters that could not be read.
    pub unreadable_cgroups_total: u64,
    /// Troubles with single processes.
    pub troubles: ProcessTroubles,
}

/// Reads samples of one host.
pub struct Scanner {
    proc_path: PathBuf,
    proc: ProcDir,
    pids: Vec<u32>,
    buffer: Vec<u8>,
    processes: Processes,
    cgroups: Cgroups,
    users: Users,
    meter: Box<dyn Meter>,
    ticks_per_second: u64,
    time: HostClock,
    is_live: bool,
    looked_around: Nanos,
    stats: ScanStats,
    problems: Vec<String>,
}

impl Scanner {
    /// A scanner of the host at `root` whose zones `meter` reads. Where the proc root is that of
    /// the running kernel and of this process's pid namespace, CPU clocks and pidfds are used; a
    /// tree on disk has its own time, that of its `uptime`.
    pub fn open(root: &Root, meter: Box<dyn Meter>) -> Result<Self, ScanError> {
        check(root)?;
        let proc = ProcDir::open(&root.proc)?;
        let is_live = is_live(&proc);
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        let cpu_time: Box<dyn CpuTime + Send> = if is_live {
            Box::new(Clocks)
        } else {
            Box::new(Stat::new(ticks_per_second))
        };
        let watch = if is_live { ExitWatch::new().ok() } else { None };
        Ok(Self {
            proc_path: root.proc.clone(),
            proc,
            pids: Vec::new(),
            buffer: Vec::new(),
            processes: Processes::new(Reader::default(), cpu_time, watch),
            cgroups: Cgroups::new(&root.sys),
            users: Users::new(root.passwd()),
            meter,
            ticks_per_second,
            time: HostClock::open(&root.proc)?,
            is_live,
            looked_around: monotonic(),
            stats: ScanStats::default(),
            problems: Vec::new(),
        })
    }

    /// Reads everything once. What every scan needs is read first: if that fails, nothing has
    /// changed; after it, trouble with one process, cgroup or zone costs only itself.
    pub fn scan(&mut self) -> Result<Sample, ScanError> {
        let (started, cpu_started) = (monotonic(), clock(ClockId::ThreadCPUTime));
        let cpu = cpu_times(
            &self.proc,
            &self.proc_path,
            self.ticks_per_second,
            &mut self.buffer,
        )?;
        let moment = self.moment()?;
        // After the clock: whoever is not listed started later than this sample says it was taken.
        self.proc.list(&mut self.pids)?;
        self.look_around(started);
        let mut sample = Sample {
            at: moment.at,
            boot_at: moment.boot_at,
            ticks_per_second: self.ticks_per_second,
            cpu,
            ..Sample::default()
        };
        let now = self.time.around(moment);
        self.meter.read(&now, &mut sample.zones, &mut self.problems);
        self.stats.unreadable_cgroups_total += self.cgroups.read();
        sample.processes.reserve(self.pids.len());
        self.processes.read(
            self.proc.fd(),
            &self.pids,
            &mut self.cgroups,
            &mut sample.processes,
        );
        sample.cgroups = self.cgroups.take_readings();
        sample.users = self.users.names();
        self.stats.processes = sample.processes.len();
        self.stats.cgroups = sample.cgroups.len();
        self.stats.troubles = self.processes.troubles;
        self.stats.seconds = monotonic().since(started).seconds();
        self.stats.cpu_seconds_total += clock(ClockId::ThreadCPUTime).since(cpu_started).seconds();
        Ok(sample)
    }

    /// What scanning has cost and met so far.
    pub fn stats(&self) -> &ScanStats {
        &self.stats
    }

    /// The source of the zones.
    pub fn meter(&self) -> &dyn Meter {
        &*self.meter
    }

    /// What went wrong since the last call, a line each, the same words for the same trouble.
    pub fn take_problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }

    fn look_around(&mut self, now: Nanos) {
        if now.since(self.looked_around) >= LOOK_AROUND {
            self.looked_around = now;
            self.meter.rediscover();
            self.users.refresh();
            self.cgroups
                .sweep(self.processes.iter().map(|process| &process.cgroup));
        }
    }

    /// Now. In a proc file system that is not this namespace's, start times count from its uptime.
    fn moment(&mut self) -> Result<Moment, ScanError> {
        let mut moment = self.time.now(&mut self.buffer)?;
        if !self.is_live && !self.time.is_captured() {
            moment.boot_at = self.time.uptime(&mut self.buffer).unwrap_or(moment.boot_at);
        }
        Ok(moment)
    }
}

/// Refuses roots that are none, before anything starts on them.
pub fn check(root: &Root) -> Result<(), ScanError> {
    file::open_dir(&root.sys).map_err(|errno| ScanError::Read {
        path: root.sys.clone(),
        source: errno.into(),
        fix: "name a sys file system with --sysfs",
    })?;
    let proc = ProcDir::open(&root.proc)?;
    cpu_times(&proc, &root.proc, 1, &mut Vec::new()).map(|_| ())
}

fn cpu_times(
    proc: &ProcDir,
    root: &Path,
    ticks_per_second: u64,
    buffer: &mut Vec<u8>,
) -> Result<stat::CpuTimes, ScanError> {
    let path = || root.join("stat");
    let text = file::read_at(proc.fd(), "stat", buffer)
        .map_err(|errno| ScanError::of_proc(path(), errno))?;
    stat::parse(text, ticks_per_second).map_err(|source| ScanError::Parse {
        path: path(),
        source,
        fix: "name a proc file system with --procfs",
    })
}

/// Whether pids of this proc root are those that this process's system calls take.
fn is_live(proc: &ProcDir) -> bool {
    let own = file::link_at(proc.fd(), "self").ok();
    own.is_some_and(|own| own == std::process::id().to_string().into_bytes())
        && is_procfs(proc.fd())
}
