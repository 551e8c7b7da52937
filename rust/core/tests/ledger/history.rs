//! Any host, any history: the books are right on every page.

use jouled_core::book::Retention;
use jouled_core::idle::IdlePolicy;
use jouled_core::ledger::LedgerOptions;
use jouled_core::level::Level;
use jouled_core::units::{Nanos, Watts};
use jouled_core::workload::{Hypervisor, Vm};
use jouled_core::zone::{Source, ZoneValue};
use proptest::prelude::*;

use crate::book_of::BookOf;
use crate::fake_host::FakeHost;
use crate::kepler;

const PATHS: [&str; 14] = [
    "/",
    "/init.scope",
    "/system.slice",
    "/system.slice/web.service",
    "/system.slice/batch.service",
    "/system.slice/batch.service/jobs",
    "/system.slice/batch.service/jobs/7",
    "/user.slice/user-1000.slice/session-1.scope",
    "/user.slice/user-1000.slice/session-4.scope",
    "/user.slice/user-1001.slice/user@1001.service/app.slice/shell.scope",
    "/docker/ce82d94d69e1fbbc7feeb66930c69e9b96d9f151f594773e5d0e342741d15437",
    "/docker/1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef",
    "/kubepods.slice/kubepods-podd0511cd2_29d2_4215_be0f_f77bc0609d99.slice/cri-containerd-ce82d94d69e1fbbc7feeb66930c69e9b96d9f151f594773e5d0e342741d15437.scope",
    "/kubepods.slice/kubepods-podd0511cd2_29d2_4215_be0f_f77bc0609d99.slice/cri-containerd-1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef.scope",
];
const COMMS: [&str; 4] = ["sh", "cc1", "we\"ird\\\n\u{1}\u{fffd}", ""];

/// Something that happens. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Event {
    Run(usize, u64),
    RunAhead(usize, u64),
    RunThreadIn(usize, usize, u64),
    Spend(usize, u64),
    Age(usize, u64),
    Interrupt(u64),
    Born(u32, usize, usize, u64),
    KernelThread(u32),
    Exit(usize, u64),
    Move(usize, usize),
    Exec(usize, usize),
    SetUid(usize, Option<u32>),
    SetVm(usize, u8),
    Readable(usize, bool),
    Hidden(usize, bool),
    RemoveCgroup(usize, bool),
    CgroupReadable(usize, bool),
    IdleBack(u64),
    Cpus(u32),
    Sleep(u64),
    Names(u32),
    ZoneReset(usize, u64),
    ZoneFailing(usize, bool),
    ZoneGone(usize, bool),
    ZoneAbsent(usize),
}

fn event() -> impl Strategy<Value = Event> {
    use Event as E;
    let (who, place, time) = (0..20_usize, 0..PATHS.len(), 0..800_u64);
    let uid = prop::option::of(1000..1004_u32);
    let work = prop_oneof![
        4 => (who.clone(), time.clone()).prop_map(|(who, time)| E::Run(who, time)),
        1 => (who.clone(), 0..20_000_u64).prop_map(|(who, time)| E::RunAhead(who, time)),
        1 => (who.clone(), place.clone(), time.clone()).prop_map(|(a, b, c)| E::RunThreadIn(a, b, c)),
        2 => (place.clone(), time.clone()).prop_map(|(place, time)| E::Spend(place, time)),
        1 => (place.clone(), 0..9_000_000_u64).prop_map(|(place, time)| E::Age(place, time)),
        1 => (0..100_u64).prop_map(E::Interrupt),
    ];
    let life = prop_oneof![
        4 => (100..112_u32, place.clone(), 0..COMMS.len(), time.clone())
            .prop_map(|(pid, place, comm, time)| E::Born(pid, place, comm, time)),
        1 => (2..5_u32).prop_map(E::KernelThread),
        2 => (who.clone(), time).prop_map(|(who, time)| E::Exit(who, time)),
        2 => (who.clone(), place.clone()).prop_map(|(who, place)| E::Move(who, place)),
        1 => (who.clone(), 0..COMMS.len()).prop_map(|(who, comm)| E::Exec(who, comm)),
        1 => (who.clone(), uid).prop_map(|(who, uid)| E::SetUid(who, uid)),
        1 => (who.clone(), any::<u8>()).prop_map(|(who, vm)| E::SetVm(who, vm % 2)),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, is)| E::Readable(who, is)),
        1 => (who, any::<bool>()).prop_map(|(who, is)| E::Hidden(who, is)),
        2 => (place.clone(), any::<bool>()).prop_map(|(place, is)| E::RemoveCgroup(place, is)),
        1 => (place, any::<bool>()).prop_map(|(place, is)| E::CgroupReadable(place, is)),
    ];
    let zone = 0..8_usize;
    let machine = prop_oneof![
        1 => (0..60_000_u64).prop_map(E::IdleBack),
        1 => (1..6_u32).prop_map(E::Cpus),
        1 => (0..5_000_u64).prop_map(E::Sleep),
        2 => (0..4_u32).prop_map(E::Names),
        1 => (zone.clone(), 0..1_000_000_000_u64).prop_map(|(zone, to)| E::ZoneReset(zone, to)),
        1 => (zone.clone(), any::<bool>()).prop_map(|(zone, is)| E::ZoneFailing(zone, is)),
        1 => (zone.clone(), any::<bool>()).prop_map(|(zone, is)| E::ZoneGone(zone, is)),
        1 => zone.prop_map(E::ZoneAbsent),
    ];
    prop_oneof![6 => work, 4 => life, 1 => machine]
}

fn pick<T: Clone>(all: &[T], at: usize) -> Option<T> {
    (!all.is_empty()).then(|| all[at % all.len()].clone())
}

/// Lets one thing happen; what has no object does not.
fn happen(host: &mut FakeHost, event: &Event) {
    match *event {
        Event::RunThreadIn(at, place, time) => {
            to(host, at, |host, pid| {
                host.run_thread_in(pid, PATHS[place], time);
            });
        }
        Event::Run(at, time) => to(host, at, |host, pid| host.run(pid, time)),
        Event::RunAhead(at, time) => to(host, at, |host, pid| host.run_ahead(pid, time)),
        Event::Spend(place, time) => host.spend(PATHS[place], time),
        Event::Age(place, time) => {
            if !host.cgroup_paths().iter().any(|path| path == PATHS[place]) {
                host.age(PATHS[place], time);
            }
        }
        Event::Interrupt(time) => host.interrupt(time),
        Event::RemoveCgroup(place, are_stale) => remove_cgroup(host, PATHS[place], are_stale),
        Event::CgroupReadable(place, is) => host.set_cgroup_readable(PATHS[place], is),
        Event::IdleBack(time) => host.idle_back(time),
        Event::Cpus(cpus) => host.set_cpus(cpus),
        Event::Sleep(time) => host.sleep(time),
        Event::Names(count) => {
            let all = ["ann", "bob", "o\"hara", "eve"];
            let known: Vec<_> = (1000..1000 + count).zip(all).collect();
            host.name_users(&known);
        }
        _ => {
            life_event(host, event);
            zone_event(host, event);
        }
    }
}

/// Something happens to the process that a number chooses.
fn to(host: &mut FakeHost, at: usize, act: impl FnOnce(&mut FakeHost, u32)) {
    if let Some(pid) = pick(&host.pids(), at) {
        act(host, pid);
    }
}

fn life_event(host: &mut FakeHost, event: &Event) {
    match *event {
        Event::Born(pid, place, comm, time) if !host.is_as_old_as_now(pid) => {
            host.process(pid, PATHS[place], COMMS[comm]);
            host.run(pid, time);
        }
        Event::KernelThread(pid) if !host.is_as_old_as_now(pid) => {
            host.kernel_thread(pid, "kworker");
        }
        Event::Exit(at, time) => to(host, at, |host, pid| {
            host.run(pid, time);
            host.exit(pid);
        }),
        Event::Move(at, place) => to(host, at, |host, pid| host.move_to(pid, PATHS[place])),
        Event::Exec(at, comm) => to(host, at, |host, pid| host.exec(pid, COMMS[comm])),
        Event::SetUid(at, uid) => to(host, at, |host, pid| host.set_uid(pid, uid)),
        Event::SetVm(at, vm) => to(host, at, |host, pid| {
            let id = format!("vm-{vm}");
            let hypervisor = Hypervisor::Kvm;
            let name = id.clone();
            host.set_vm(
                pid,
                Vm {
                    id,
                    name,
                    hypervisor,
                },
            );
        }),
        Event::Readable(at, is) => to(host, at, |host, pid| host.set_readable(pid, is)),
        Event::Hidden(at, is) => to(host, at, |host, pid| host.set_hidden(pid, is)),
        _ => {}
    }
}

fn zone_event(host: &mut FakeHost, event: &Event) {
    let zones = host.zone_names();
    let (Event::ZoneReset(at, _)
    | Event::ZoneFailing(at, _)
    | Event::ZoneGone(at, _)
    | Event::ZoneAbsent(at)) = event
    else {
        return;
    };
    let Some((class, index)) = pick(&zones, *at) else {
        return;
    };
    match *event {
        Event::ZoneReset(_, to) => {
            let range = (to % 3 > 0).then_some(crate::fake_zones::RANGE_UJ);
            host.set_value(
                &class,
                &index,
                ZoneValue::Energy {
                    microjoules: to,
                    range,
                },
            );
        }
        Event::ZoneFailing(_, is) => host.set_failing(&class, &index, is),
        Event::ZoneGone(_, is) => host.set_gone(&class, &index, is),
        _ => host.set_value(&class, &index, ZoneValue::Absent),
    }
}

/// Removes a cgroup; what ran in it has ended, or is not yet seen to have moved away.
fn remove_cgroup(host: &mut FakeHost, path: &str, are_stale: bool) {
    if path == "/" {
        return;
    }
    if !are_stale {
        for pid in host.pids() {
            let at = host.path_of(pid);
            if at == path || at.starts_with(&format!("{path}/")) {
                host.exit(pid);
            }
        }
    }
    host.remove_cgroup(path);
}

fn zones(host: &mut FakeHost, which: u8) {
    let power = |is_average| ZoneValue::Power {
        power: Watts(35.5),
        is_average,
    };
    let modelled = ZoneValue::Modelled {
        idle: Watts(20.0),
        max: Watts(90.0),
    };
    host.zone("package", "0");
    if which & 1 > 0 {
        host.zone("package", "1");
    }
    if which & 2 > 0 {
        host.zone("dram", "0");
    }
    if which & 4 > 0 {
        host.zone_of(Source::Hwmon, "soc", "0", power(true));
    }
    if which & 8 > 0 {
        host.zone_of(Source::Hwmon, "gpu", "0", power(false));
    }
    if which & 16 > 0 {
        host.zone_of(Source::Estimate, "host", "0", modelled);
    }
}

fn options() -> impl Strategy<Value = LedgerOptions> {
    let levels = prop::sample::subsequence(Level::ALL.to_vec(), 1..=Level::ALL.len());
    let levels = prop_oneof![Just(Level::ALL.to_vec()), levels];
    let idle = prop_oneof![Just(IdlePolicy::Ratio), Just(IdlePolicy::Learned)];
    let retention = (
        prop_oneof![Just(0), 1..6_u64, Just(120)],
        prop_oneof![0..4_usize, Just(500)],
    );
    let top = prop::option::of(0..5_usize);
    (levels, top, idle, retention, any::<bool>()).prop_map(
        |(levels, top, idle, (keep, most), is_kepler)| LedgerOptions {
            levels,
            top,
            idle,
            retention: Retention {
                keep: Nanos::from_secs(keep),
                most,
            },
            kepler: is_kepler.then(kepler::node),
        },
    )
}

type Tick = (Vec<Event>, u64, f64);

fn tick() -> impl Strategy<Value = Tick> {
    (
        prop::collection::vec(event(), 0..14),
        50..3000_u64,
        0.0..45.0_f64,
    )
}

/// Few enough for a debug build; `PROPTEST_CASES=5000` with `--release` looks longer.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|count| count.parse().ok()).unwrap_or(24)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn of_any_host_every_page_adds_up(
        options in options(),
        which_zones in any::<u8>(),
        uncounted in any::<u16>(),
        ticks in prop::collection::vec(tick(), 20..60),
    ) {
        let mut host = FakeHost::new();
        zones(&mut host, which_zones);
        for (at, path) in PATHS.iter().enumerate().filter(|(at, _)| uncounted & 0x8000 == 0 && uncounted >> at & 1 > 0) {
            if at == 0 { host.count(path) } else { host.uncount(path) }
        }
        let mut book = BookOf::new(&options);
        for (events, span, watts) in &ticks {
            for event in events {
                happen(&mut host, event);
            }
            host.pass(*span);
            for (class, index) in host.zone_names() {
                host.draw(&class, &index, watts * *span as f64 / 1000.0);
            }
            book.scan(&host);
        }
    }
}
