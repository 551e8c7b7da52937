//! `scan [ROUNDS [PAUSE_MS [READER]]]`: the CPU time of one scan by each reader, in turns, on the
//! processes that run. Prints one line for each: its name, the typical and the least nanoseconds.
//! With a READER only that one runs, for a profiler.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

use jouled_bench::floor::Floor;
use jouled_bench::naive;
use jouled_bench::stopwatch::{timed, typical};
use jouled_core::exposition::{Format, render};
use jouled_core::ledger::LedgerOptions;
use jouled_host::fake::Fake;
use jouled_host::observer::Observer;
use jouled_host::root::Root;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Rounds before it counts: caches fill, tables grow, the first ticks read every new process.
const WARM_UP: usize = 6;

/// Who comes after the naive reader finds cold caches: every order in its turn, so that each does
/// as often as the others.
const ORDERS: [[&str; 3]; 6] = [
    ["floor", "jouled", "naive"],
    ["naive", "jouled", "floor"],
    ["jouled", "naive", "floor"],
    ["floor", "naive", "jouled"],
    ["naive", "floor", "jouled"],
    ["jouled", "floor", "naive"],
];

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What all rounds of each series took, in CPU nanoseconds.
#[derive(Default)]
struct Rounds {
    floor: Vec<f64>,
    jouled: Vec<f64>,
    page: Vec<f64>,
    naive: Vec<f64>,
}

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default| words.get(at).map_or(Ok(default), |word| word.parse());
    let (rounds, pause) = (
        number(0, 30)?,
        Duration::from_millis(number(1, 50)?.try_into()?),
    );
    let only = words.get(2).map(String::as_str);
    // As the daemon does: one descriptor tells of each process's exit. A debugger may refuse it;
    // then some processes go unwatched.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);

    let mut floor = Floor::open()?;
    let processes = floor.pass()?.processes;
    let resident_before = resident_bytes()?;
    let mut observer = Observer::open(
        &Root::at("/proc", "/sys"),
        Box::new(Fake::new(Vec::new(), 0)),
        &LedgerOptions::default(),
    )?;
    let mut taken = Rounds::default();
    for round in 0..WARM_UP + rounds {
        if round == WARM_UP {
            taken = Rounds::default();
        }
        for reader in ORDERS[round % ORDERS.len()] {
            if only.is_none_or(|only| only == reader) {
                take(reader, &mut taken, &mut floor, &mut observer)?;
            }
        }
        sleep(pause);
    }
    drop(floor);
    report(&mut taken, processes, resident_before)
}

fn take(
    reader: &str,
    taken: &mut Rounds,
    floor: &mut Floor,
    observer: &mut Observer,
) -> Outcome<()> {
    match reader {
        "floor" => taken.floor.push(timed(|| floor.pass()).0),
        "naive" => taken.naive.push(timed(naive::pass).0),
        _ => {
            let (tick_ns, observation) = timed(|| observer.tick());
            let observation = observation?;
            let (page_ns, _) = timed(|| render(&observation.snapshot, Format::Prometheus));
            let (drop_ns, ()) = timed(|| drop(observation));
            taken.jouled.push(tick_ns + drop_ns);
            taken.page.push(tick_ns + drop_ns + page_ns);
        }
    }
    Ok(())
}

fn report(taken: &mut Rounds, processes: usize, resident_before: u64) -> Outcome<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "processes {processes}")?;
    let grown = resident_bytes()?.saturating_sub(resident_before);
    writeln!(out, "resident_bytes {grown}")?;
    for (name, rounds) in [
        ("floor", &mut taken.floor),
        ("jouled", &mut taken.jouled),
        ("page", &mut taken.page),
        ("naive", &mut taken.naive),
    ] {
        if !rounds.is_empty() {
            let typical = typical(rounds);
            writeln!(out, "{name} {typical:.0} {:.0}", rounds[0])?;
        }
    }
    Ok(())
}

/// The second number of `statm`, in pages.
fn resident_bytes() -> Outcome<u64> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = text.split(' ').nth(1).unwrap_or_default().parse()?;
    Ok(pages * rustix::param::page_size() as u64)
}
