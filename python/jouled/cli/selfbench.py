"""`joulectl selfbench`: what measuring costs on this host, in nanoseconds and in joules."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from jouled.cli.duration import duration
from jouled.cli.joulectl import Options

if TYPE_CHECKING:  # help must not wait for what measuring needs
    from jouled.model import Snapshot

DAY_S = 86_400
INTERVAL_S = 5.0
"""The daemon's default; the cost of a day is reckoned for it."""

EPILOG = """\b
Examples:
  joulectl selfbench
  joulectl selfbench --for 5s --json

Each row is the least time of many tries, the call from Python included (the first row). Scans and
pages are the daemon's own code.
"""


class Row(Struct, frozen=True):
    """One thing that measuring does."""

    name: str
    nanoseconds: float
    per: str
    """What one of it is: a read, a process, a scan."""


class OwnCost(Struct, frozen=True):
    """What the daemon costs, reckoned from one scan here, or by its own row in the ledger."""

    scan_cpu_seconds: float
    """CPU time of one scan."""
    processes: int
    cpu_ratio: float
    """Of one CPU, at one scan in 5 s."""
    joules_per_day: float | None
    """By the mean power of a busy CPU; None where there is none."""
    source: str
    daemon_joules: float | None = None
    """What the running daemon has used since its row began, by its own ledger; None without one."""
    daemon_watts: float | None = None
    daemon_source: str | None = None


class Bench(Struct, frozen=True):
    """All of it."""

    rows: tuple[Row, ...]
    own: OwnCost


@click.command(epilog=EPILOG)
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@click.option(
    "--for",
    "span_s",
    metavar="TIME",
    type=duration(0.1, 60),
    default=1.0,
    help="How long each thing is tried.  [default: 1s]",
)
@click.pass_obj
def command(options: Options, is_json: bool, span_s: float) -> None:
    """Measure what measuring costs here: ns per read, and the daemon's own joules."""
    if options.root is not None:
        raise click.UsageError("selfbench measures this host: leave out --root.")
    bench = measure(span_s, options.url)
    if is_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(bench), indent=2))
        return
    for line in lines(bench):
        click.echo(line)


def measure(span_s: float, url: str | None) -> Bench:
    """Runs all of it for `span_s` seconds each."""
    rows = list(single_reads(span_s))
    scan_rows, own = scans(span_s, url)
    return Bench((*rows, *scan_rows), own)


def single_reads(span_s: float) -> Iterator[Row]:
    """The system calls that a scan is made of, and the naive way beside them."""
    from jouled.meter import Meter

    pid = os.getpid()
    yield Row("a null system call", least_ns(os.getppid, span_s), "call")
    with counters() as files:
        for name, descriptor in files:
            yield Row(f"read {name}", least_ns(lambda file=descriptor: os.pread(file, 64, 0), span_s), "read")  # type: ignore[misc]  # bound at once
    meter = Meter(url=None)
    zones = max(1, len(meter.read().zones))
    yield Row(f"a zone of the meter ({meter.source})", least_ns(meter.read, span_s) / zones, "zone")
    listed = max(1, sum(name.isdigit() for name in os.listdir("/proc")))  # noqa: PTH208  (what a scan does)
    yield Row("list /proc", least_ns(lambda: os.listdir("/proc"), span_s) / listed, "process")  # noqa: PTH208  (as above)
    clock = ~pid << 3 | 2  # CLOCK_PROCESS_CPUTIME_ID of that process, see clock_getcpuclockid(3)
    yield Row("CPU clock of a process", least_ns(lambda: time.clock_gettime_ns(clock), span_s), "process")
    yield Row(
        "open, read, close its stat (naive)", least_ns(lambda: read_naively(f"/proc/{pid}/stat"), span_s), "process"
    )


def scans(span_s: float, url: str | None) -> tuple[list[Row], OwnCost]:
    """Whole scans by the daemon's scanner, and what a day of them costs."""
    from jouled._core import Scanner

    scanner = Scanner()
    scanner.tick()  # the first one reads who everybody is
    snapshot = scanner.tick()
    before_s = snapshot.scan.cpu_seconds_total
    started_ns, count = time.perf_counter_ns(), 0
    while count < 3 or time.perf_counter_ns() - started_ns < span_s * 1e9:
        snapshot = scanner.tick()
        count += 1
    tick_ns = (time.perf_counter_ns() - started_ns) / count
    scan_s = (snapshot.scan.cpu_seconds_total - before_s) / count
    processes = max(1, snapshot.scan.processes)
    rows = [
        Row("scan and ledger", tick_ns, "scan"),
        Row("scan (CPU time)", scan_s * 1e9 / processes, "process"),
        Row("page of metrics", least_ns(lambda: snapshot.exposition(openmetrics=False), span_s), "page"),
    ]
    return rows, own_cost(snapshot, scanner.source, scan_s, url)


def own_cost(snapshot: Snapshot, source: str, scan_s: float, url: str | None) -> OwnCost:
    """Reckoned from one scan; and what a running daemon says of itself."""
    power_w = sum(snapshot.watts.get(name, 0.0) for name in ("package", "dram")) or max(
        snapshot.watts.values(), default=0
    )
    busy_w = power_w / (os.sysconf("SC_NPROCESSORS_ONLN") or 1)
    joules, watts, daemon_source = of_daemon(url)
    return OwnCost(
        scan_cpu_seconds=scan_s,
        processes=snapshot.scan.processes,
        cpu_ratio=scan_s / INTERVAL_S,
        joules_per_day=busy_w * scan_s * DAY_S / INTERVAL_S if power_w else None,
        source=source,
        daemon_joules=joules,
        daemon_watts=watts,
        daemon_source=daemon_source,
    )


def of_daemon(url: str | None) -> tuple[float | None, float | None, str | None]:
    """The joules and watts of the daemon's own row (package and dram), and where they come from."""
    from jouled.client import Client, DaemonError

    try:
        snapshot = Client(url, timeout_s=5.0).snapshot(levels=["process"])
    except DaemonError:
        return None, None, None
    rows = snapshot.levels["process"].workloads if "process" in snapshot.levels else ()
    own = [row for row in rows if row.labels.get("comm") == "jouled" and row.state == "running"]
    if not own:
        return None, None, None
    classes = ("package", "dram")
    joules = sum(row.joules_total.get(name, 0.0) for row in own for name in classes)
    return joules, sum(row.watts.get(name, 0.0) for row in own for name in classes), snapshot.source


@contextmanager
def counters() -> Iterator[list[tuple[str, int]]]:
    """The energy counters that may be read, each open."""
    base = "/sys/class/powercap"
    files: list[tuple[str, int]] = []
    try:
        for name in sorted(os.listdir(base)) if os.path.isdir(base) else []:  # noqa: PTH112, PTH208  (names, not paths)
            try:
                files.append((f"{name}/energy_uj", os.open(f"{base}/{name}/energy_uj", os.O_RDONLY)))
            except OSError:
                continue
        yield files
    finally:
        for _, descriptor in files:
            os.close(descriptor)


def read_naively(path: str) -> bytes:
    """What a reader does that keeps nothing."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)


def least_ns(call: Callable[[], object], span_s: float, clock: Callable[[], int] = time.perf_counter_ns) -> float:
    """The least mean time of one call over batches of about a hundredth of `span_s`: whatever else runs on
    the host only ever adds to it.
    """
    count, end_ns = 1, clock() + round(span_s * 1e9)
    least = float("inf")
    while True:
        started_ns = clock()
        for _ in range(count):
            call()
        now_ns = clock()
        taken_ns = now_ns - started_ns
        if taken_ns * 200 < span_s * 1e9 and now_ns < end_ns:
            count *= 2  # too short to tell: its time is none yet
            continue
        least = min(least, taken_ns / count)
        if now_ns >= end_ns:
            return least


def lines(bench: Bench) -> Iterator[str]:
    """A table, and what it comes to."""
    width = max(len(row.name) for row in bench.rows)
    for row in bench.rows:
        yield f"{row.name:<{width}}  {shown_time(row.nanoseconds):>9}  per {row.per}"
    clock = next((row for row in bench.rows if row.name.startswith("CPU clock")), None)
    naive = next((row for row in bench.rows if "naive" in row.name), None)
    if clock and naive and clock.nanoseconds > 0:
        yield f"the clock costs 1/{naive.nanoseconds / clock.nanoseconds:.0f} of the naive read"
    own = bench.own
    modelled = " (modelled)" if own.source == "estimate" else ""
    yield (
        f"one scan of {own.processes} processes takes {shown_time(own.scan_cpu_seconds * 1e9)} of CPU time: at one in 5 s "
        f"{own.cpu_ratio:.3%} of one CPU"
        + (f", {own.joules_per_day:.3g} J a day{modelled}" if own.joules_per_day is not None else "")
    )
    if own.daemon_joules is not None:
        modelled = " (modelled)" if own.daemon_source == "estimate" else ""
        yield f"the daemon here: {own.daemon_watts or 0.0:.3g} W, {own.daemon_joules:.3g} J since its row began{modelled}"
    else:
        yield "the daemon's own row: no daemon answers here"


def shown_time(nanoseconds: float) -> str:
    """`340 ns`, `4.7 µs`, `2.1 ms`."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.0f} ns"
