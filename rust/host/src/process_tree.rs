//! The CPU time of this process and all that descend from it, the ended ones included.

use std::path::Path;

use jouled_core::parse;
use jouled_core::units::Nanos;
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::time::{ClockId, clock_gettime};

use crate::cpu_clock::{process_clock, thread_clock};
use crate::file;
use crate::listing::ProcDir;

/// More descendants than this are not followed.
const MOST_DESCENDANTS: usize = 65_536;

/// How often the tree is walked again because a child ended meanwhile.
const MOST_WALKS: u32 = 3;

/// CPU time of this process, its live descendants, and those that were waited for: by its CPU
/// clocks, and by what the kernel says of ended children. Without children it is two system calls.
pub fn tree_cpu() -> Nanos {
    let own = own_clock();
    let mut reaped = reaped_children();
    if !has_children() {
        return Nanos(own.0 + reaped.0);
    }
    for _ in 1..MOST_WALKS {
        let live = live_descendants(Path::new("/proc"));
        let before = std::mem::replace(&mut reaped, reaped_children());
        // Else a child went from one sum to the other while both were read.
        if before == reaped {
            return Nanos(own.0 + live.0 + reaped.0);
        }
    }
    Nanos(own.0 + live_descendants(Path::new("/proc")).0 + reaped.0)
}

/// CPU time of one thread of this process; `None` where it has ended.
pub fn thread_cpu(tid: u32) -> Option<Nanos> {
    thread_clock(tid).ok()
}

/// CPU time of the thread that asks.
pub fn own_thread_cpu() -> Nanos {
    nanos(clock_gettime(ClockId::ThreadCPUTime))
}

fn own_clock() -> Nanos {
    nanos(clock_gettime(ClockId::ProcessCPUTime))
}

fn nanos(time: rustix::time::Timespec) -> Nanos {
    Nanos(time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

/// Whether there is a child, live or not waited for: it is asked without waiting or reaping.
fn has_children() -> bool {
    let options = WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT | WaitIdOptions::EXITED;
    !matches!(waitid(WaitId::All, options), Err(Errno::CHILD))
}

/// CPU time of the descendants that were waited for, to the microsecond.
fn reaped_children() -> Nanos {
    // SAFETY: all zeroes is a valid rusage, which is plain numbers.
    let mut spent: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `spent` is a valid rusage that lives through the call.
    if unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut spent) } != 0 {
        return Nanos(0);
    }
    let of = |time: libc::timeval| {
        time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_usec.unsigned_abs() * 1_000
    };
    Nanos(of(spent.ru_utime) + of(spent.ru_stime))
}

/// CPU time of all live descendants, and of those that each of them waited for.
fn live_descendants(proc: &Path) -> Nanos {
    let mut family = Family::open(proc);
    let mut buffer = Vec::new();
    let mut sum = 0;
    let mut pids = family.children(std::process::id());
    let mut seen = 0;
    while let Some(pid) = pids.pop() {
        seen += 1;
        if seen > MOST_DESCENDANTS {
            break;
        }
        // It may have ended since it was listed: then its parent has its time by now.
        let Ok(clock) = process_clock(pid) else {
            continue;
        };
        sum += clock.0 + reaped_by(proc, pid, &mut buffer).0;
        pids.extend(family.children(pid));
    }
    Nanos(sum)
}

/// CPU time of the children that another process has waited for, to the clock tick.
fn reaped_by(proc: &Path, pid: u32, buffer: &mut Vec<u8>) -> Nanos {
    let ticks = file::read(&proc.join(format!("{pid}/stat")), buffer)
        .ok()
        .and_then(reaped_ticks);
    let a_second = rustix::param::clock_ticks_per_second().max(1);
    Nanos(ticks.unwrap_or(0).saturating_mul(1_000_000_000 / a_second))
}

/// `cutime + cstime` of `/proc/P/stat`.
fn reaped_ticks(text: &[u8]) -> Option<u64> {
    fields(text)
        .skip(13)
        .take(2)
        .map(parse::number)
        .sum::<Option<u64>>()
}

/// The parent in `/proc/P/stat`.
fn parent(text: &[u8]) -> Option<u32> {
    let parent = fields(text).nth(1).and_then(parse::number)?;
    u32::try_from(parent).ok()
}

/// The fields after the name, which may hold any bytes.
fn fields(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = text.iter().rposition(|byte| *byte == b')');
    let rest = end.and_then(|end| text.get(end + 2..)).unwrap_or_default();
    rest.split(u8::is_ascii_whitespace)
}

/// Who is whose child.
enum Family {
    /// The kernel says it of each process.
    Listed(std::path::PathBuf),
    /// It was built without that: parent and child, sorted.
    Scanned(Vec<(u32, u32)>),
}

impl Family {
    fn open(proc: &Path) -> Self {
        if proc.join("thread-self/children").exists() {
            Self::Listed(proc.into())
        } else {
            Self::Scanned(scan(proc))
        }
    }

    fn children(&mut self, pid: u32) -> Vec<u32> {
        match self {
            Self::Listed(proc) => listed(proc, pid),
            Self::Scanned(pairs) => {
                let first = pairs.partition_point(|(parent, _)| *parent < pid);
                let own = pairs[first..]
                    .iter()
                    .take_while(|(parent, _)| *parent == pid);
                own.map(|(_, child)| *child).collect()
            }
        }
    }
}

/// The children of each thread of a process.
fn listed(proc: &Path, pid: u32) -> Vec<u32> {
    let (mut buffer, mut children) = (Vec::new(), Vec::new());
    let tasks = std::fs::read_dir(proc.join(format!("{pid}/task")));
    for task in tasks.into_iter().flatten().flatten() {
        let Ok(text) = file::read(&task.path().join("children"), &mut buffer) else {
            continue;
        };
        let words = text.split(u8::is_ascii_whitespace);
        children.extend(words.filter_map(|word| u32::try_from(parse::number(word)?).ok()));
    }
    children
}

/// Every process under its parent.
fn scan(proc: &Path) -> Vec<(u32, u32)> {
    let (mut pids, mut buffer) = (Vec::new(), Vec::new());
    if ProcDir::open(proc)
        .and_then(|mut dir| dir.list(&mut pids))
        .is_err()
    {
        return Vec::new();
    }
    let mut pairs: Vec<(u32, u32)> = pids
        .into_iter()
        .filter_map(|pid| {
            let text = file::read(&proc.join(format!("{pid}/stat")), &mut buffer).ok()?;
            Some((parent(text)?, pid))
        })
        .collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::sync::{Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use super::*;

    /// Tests are threads of one process: the children of one are those of all.
    static FAMILY: Mutex<()> = Mutex::new(());

    /// A shell that burns CPU time itself, and one below it that does.
    fn burner() -> Child {
        let script = "sh -c 'while :; do :; done' & exec sleep 60";
        Command::new("setsid")
            .args(["sh", "-c", script])
            .spawn()
            .unwrap()
    }

    fn end(mut child: Child) {
        let group = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        child.wait().unwrap();
    }

    fn grows_by(least: Duration, mut read: impl FnMut() -> Nanos) -> bool {
        let (first, since) = (read(), Instant::now());
        while since.elapsed() < Duration::from_secs(30) {
            if u128::from(read().since(first).0) >= least.as_nanos() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    #[test]
    fn a_grandchild_that_works_is_seen_by_either_way_of_finding_it() {
        let _alone = FAMILY.lock().unwrap_or_else(PoisonError::into_inner);
        let child = burner();
        let least = Duration::from_millis(50);
        let by_list = grows_by(least, || live_descendants(Path::new("/proc")));
        let by_scan = grows_by(least, || {
            let mut family = Family::Scanned(scan(Path::new("/proc")));
            let mut pids = family.children(std::process::id());
            let mut sum = 0;
            while let Some(pid) = pids.pop() {
                sum += process_clock(pid).map_or(0, |clock| clock.0);
                pids.extend(family.children(pid));
            }
            Nanos(sum)
        });
        let whole = grows_by(least, tree_cpu);
        end(child);
        assert_eq!((by_list, by_scan, whole), (true, true, true));
    }

    #[test]
    fn what_an_ended_child_spent_stays_in_the_sum() {
        let _alone = FAMILY.lock().unwrap_or_else(PoisonError::into_inner);
        let before = tree_cpu();
        let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let reaped = reaped_children();
        assert!(
            Command::new("sh")
                .args(["-c", script])
                .status()
                .unwrap()
                .success()
        );
        let spent = reaped_children().since(reaped);
        assert!(spent.0 > 1_000_000, "{spent:?}");
        assert!(tree_cpu().since(before).0 >= spent.0);
    }

    #[test]
    fn names_with_parentheses_and_spaces_do_not_shift_the_fields() {
        let text = b"7 (a) R 9 (b)) S 42 7 7 0 -1 4194304 1 2 3 4 5 6 70 8 20 0 1 0 99\n";
        assert_eq!(parent(text), Some(42));
        assert_eq!(reaped_ticks(text), Some(78));
        assert_eq!(parent(b"nonsense"), None);
    }

    #[test]
    fn another_thread_reads_the_clock_of_this_one() {
        let tid = rustix::thread::gettid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        let own = own_thread_cpu();
        let seen = std::thread::scope(|scope| scope.spawn(|| thread_cpu(tid)).join().unwrap());
        assert!(seen.unwrap() >= own);
        assert_eq!(thread_cpu(4_194_305), None);
    }
}
