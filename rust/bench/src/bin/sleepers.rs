//! `sleepers COUNT [WORKERS [PERIOD_MS]]`: forks COUNT processes that sleep, of which WORKERS wake up
//! every period (20 ms) for about 20 µs of work. Says `ready` when all run; ends with its input.

use std::io::{self, Read, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Resource, Signal, WaitOptions, getrlimit, kill_process, set_parent_process_death_signal,
    setrlimit, waitpid,
};

const WORK: Duration = Duration::from_micros(20);

fn main() -> io::Result<()> {
    let mut words = std::env::args().skip(1);
    let mut number = |default| words.next().map_or(Some(default), |word| word.parse().ok());
    let (Some(count), Some(workers), Some(period_ms)) = (number(0_u64), number(0), number(20))
    else {
        return Err(io::Error::other(
            "usage: sleepers COUNT [WORKERS [PERIOD_MS]]",
        ));
    };
    let mut limit = getrlimit(Resource::Nproc);
    limit.current = limit.maximum;
    setrlimit(Resource::Nproc, limit)?;
    let period = Duration::from_millis(period_ms);
    let mut children = Vec::new();
    let outcome = spawn(count, workers, period, &mut children).and_then(|()| {
        writeln!(io::stdout(), "ready")?;
        io::stdin().read_to_end(&mut Vec::new())
    });
    for child in &children {
        kill_process(*child, Signal::KILL)?;
    }
    for child in &children {
        waitpid(Some(*child), WaitOptions::empty())?;
    }
    outcome.map(drop)
}

fn spawn(count: u64, workers: u64, period: Duration, children: &mut Vec<Pid>) -> io::Result<()> {
    for number in 0..count {
        // SAFETY: this process has one thread, so the child may do anything.
        let pid = unsafe { libc::fork() };
        match Pid::from_raw(pid) {
            None => live(number < workers, period),
            Some(_) if pid < 0 => return Err(io::Error::last_os_error()),
            Some(child) => children.push(child),
        }
    }
    Ok(())
}

/// The life of a child: it dies with its parent.
fn live(works: bool, period: Duration) -> ! {
    if set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
        std::process::exit(1);
    }
    loop {
        if works {
            sleep(period);
            let begin = Instant::now();
            while begin.elapsed() < WORK {}
        } else {
            // SAFETY: pause only waits for a signal.
            unsafe { libc::pause() };
        }
    }
}
