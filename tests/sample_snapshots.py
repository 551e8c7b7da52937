"""A host that adds up, by hand: package 0 draws 20 W, 12 W of them active, and dram a tenth of it."""

from __future__ import annotations

from jouled.wire import Level, Snapshot, Workload, Zone

CREATED_S = 1_699_990_000.0
CONTAINER = "14c2529eb4498c5d1ffd6915d05bf58a91bdda796af59f41d480d11c099d0479"
SCOPE = f"cri-containerd-{CONTAINER}.scope"


def zone(name: str, index: str, watts: float, active_w: float) -> Zone:
    return Zone(
        zone=name,
        index=index,
        source="rapl",
        path=f"/sys/class/powercap/{name}:{index}",
        joules_total=watts * 1000,
        active_joules_total=active_w * 1000,
        idle_joules_total=(watts - active_w) * 1000,
        watts=watts,
        active_watts=active_w,
        idle_watts=watts - active_w,
        created_seconds=CREATED_S,
    )


def row(watts: float | None, **labels: str) -> Workload:
    """A workload that has drawn this for a thousand seconds; None has ended, with 7 J."""
    joules = 7.0 if watts is None else watts * 1000
    return Workload(
        labels=labels,
        joules_total={"package": joules, "dram": joules / 10},
        watts={} if watts is None else {"package": watts, "dram": watts / 10},
        cpu_seconds_total=joules / 10,
        state="terminated" if watts is None else "running",
        created_seconds=CREATED_S,
    )


def process(
    pid: int, comm: str, watts: float | None, uid: int = 0, *, unit: str = "", container_id: str = ""
) -> Workload:
    return row(
        watts,
        pid=str(pid),
        comm=comm,
        exe=f"/usr/bin/{comm}",
        uid=str(uid),
        unit=unit,
        container_id=container_id,
        vm_id="",
    )


def level(name: str, *rows: Workload, omitted: int = 0, **residuals: float) -> Level:
    return Level(name, rows, tuple(row(watts, level=name, reason=key) for key, watts in residuals.items()), omitted)


UNITS = level(
    "unit",
    row(6.0, unit="nginx.service", slice="system.slice"),
    row(3.0, unit="session-3.scope", slice="user-1000.slice"),
    row(1.0, unit=SCOPE, slice="kubepods-burstable-pod7.slice"),
    row(0.5, unit="dbus.service", slice="user-1000.slice/app.slice"),
    row(0.25, unit="dbus.service", slice="system.slice"),
    exited=0.0,
    kernel=0.75,
    unattributed=0.25,
    ungrouped=0.25,
)
PROCESSES = level(
    "process",
    process(100, "nginx", 4.0, 33, unit="nginx.service"),
    process(101, "nginx", 1.5, 33, unit="nginx.service"),
    process(200, "make", 2.0, 1000, unit="session-3.scope"),
    process(201, "cc1", 0.5, 1000, unit="session-3.scope"),
    process(400, "api", 0.75, 10001, unit=SCOPE, container_id=CONTAINER),
    process(300, "dbus-daemon", 0.5, 1000, unit="dbus.service"),
    process(301, "dbus-daemon", 0.25, 0, unit="dbus.service"),
    process(500, "cron", 0.25),
    process(600, "sleep", None, 1000, unit="session-3.scope"),
    exited=1.25,
    kernel=0.75,
    unattributed=0.25,
)
CONTAINERS = level(
    "container",
    row(
        1.0, container_id=CONTAINER, container_name="api-7c9", runtime="containerd", pod_id="5a89bcaa-3509", unit=SCOPE
    ),
    exited=0.0,
    kernel=0.75,
    unattributed=0.25,
    ungrouped=10.0,
)
PODS = level("pod", row(1.0, pod_id="5a89bcaa-3509"), exited=0.0, kernel=0.75, unattributed=0.25, ungrouped=10.0)
USERS = level(
    "user",
    row(0.5, uid="0", user="root"),
    row(5.5, uid="33", user="www-data"),
    row(3.0, uid="1000", user="ada"),
    row(0.75, uid="10001", user="10001"),
    exited=1.25,
    kernel=0.75,
    unattributed=0.25,
    ungrouped=0.0,
)
VMS = level("vm", exited=1.25, kernel=0.75, unattributed=0.25, ungrouped=9.75)


def snapshot(sequence: int = 2, source: str = "rapl") -> Snapshot:
    return Snapshot(
        version="0.1.0",
        hostname="box",
        source=source,
        sequence=sequence,
        time_seconds=1_700_000_000.0,
        interval_seconds=5.0,
        cpu_busy_ratio=0.6,
        processes=9,
        cgroups=12,
        zones=(zone("package", "0", 20.0, 12.0), zone("dram", "0", 2.0, 1.2)),
        levels={each.level: each for each in (PROCESSES, UNITS, CONTAINERS, PODS, VMS, USERS)},
    )
