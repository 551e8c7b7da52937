#!/usr/bin/env python3
"""What jouled costs, against a floor and against naive readers in the same run: one table, ratios in CPU time."""

import argparse
import contextlib
import gzip
import http.client
import importlib
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Processes that sleep and, of these, that work.
LOADS = ((500, 0), (2_000, 0), (2_000, 200), (10_000, 0))
LOADS_WITH_TARGETS = ((2_000, 0), (10_000, 0))
DAEMON_PROCESSES = 2_000
PAUSE_MS = 50
PSUTIL_ROUNDS = 5
CACHED_SCRAPES = 40

SCAN_TO_FLOOR_MAX = 1.6
NAIVE_TO_SCAN_MIN = 8.0
PAGE_MAX_MS = 20.0
SERVING_MAX_MS_PER_MB = 1.0
DAEMON_MAX_RATIO = 0.003
RESIDENT_MAX_MB = 45.0


@dataclass(frozen=True)
class Scans:
    """CPU time of one scan by each reader, in nanoseconds, on so many processes."""

    processes: int
    resident_bytes: int
    ns: dict[str, float]

    def us_per_process(self, reader: str) -> float:
        return self.ns[reader] / self.processes / 1e3


def say(label: str, value: str, target: str = "", *, is_met: bool | None = None) -> None:
    verdict = "" if is_met is None else "PASS" if is_met else "MISS"
    print(f"  {label:<46}{value:>26}  {target:<14}{verdict}".rstrip(), flush=True)


# ---- what runs ----


def build() -> Path:
    """Builds the programs of the bench and tells where they are."""
    cargo = os.environ.get("CARGO", "cargo")
    subprocess.run([cargo, "build", "--release", "--quiet", "--locked", "-p", "jouled-bench"], cwd=ROOT, check=True)
    query = [cargo, "metadata", "--no-deps", "--format-version=1"]
    answer = subprocess.run(query, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return Path(json.loads(answer.stdout)["target_directory"]) / "release"


@contextlib.contextmanager
def sleepers(programs: Path, count: int, workers: int, period_ms: int = 20) -> Iterator[None]:
    """So many processes more, for as long as this lasts."""
    command = [str(programs / "sleepers"), str(count), str(workers), str(period_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        if parent.stdout is None or parent.stdout.readline() != b"ready\n":
            sys.exit(f"bench: {count} processes could not be started; see ulimit -u and /proc/sys/kernel/pid_max")
        yield
        # They end when their parent's input does, at the end of this `with`.


@dataclass
class Daemon:
    """A running daemon, looked at from outside."""

    process: subprocess.Popen[bytes]
    port: int
    ready_s: float

    def cpu_s(self) -> float:
        return time.clock_gettime(~self.process.pid << 3 | 2)  # as clock_getcpuclockid(3) makes it

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)


def get(connection: http.client.HTTPConnection, path: str, *, is_gzip: bool) -> tuple[int, int]:
    """The status, and how many bytes came."""
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"} if is_gzip else {})
    response = connection.getresponse()
    return response.status, len(response.read())


@contextlib.contextmanager
def daemon(interval: str, store: str = "none") -> Iterator[Daemon]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as state:
        flags = [
            "--meter=fake",
            f"--interval={interval}",
            f"--listen=127.0.0.1:{port}",
            "--log-level=error",
            f"--store={store}",
        ]
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", "jouled", *flags, f"--state-dir={state}"])
        try:
            wait_until_ready(process, port)
            yield Daemon(process, port, time.monotonic() - began)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=10)


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(1000):
        if process.poll() is not None:
            sys.exit(f"bench: the daemon ended at its start with code {process.returncode}; try make run")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if get(http.client.HTTPConnection("127.0.0.1", port, timeout=5), "/readyz", is_gzip=False)[0] == 200:
                return
        time.sleep(0.02)
    sys.exit("bench: the daemon was not ready within 20 s")


# ---- scans ----


def scan(programs: Path, rounds: int) -> Scans:
    command = [str(programs / "scan"), str(rounds), str(PAUSE_MS)]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    fields = {name: values for name, *values in map(str.split, text.splitlines())}
    return Scans(
        processes=int(fields.pop("processes")[0]),
        resident_bytes=int(fields.pop("resident_bytes")[0]),
        ns={name: float(values[0]) for name, values in fields.items()},
    )


def psutil_us_per_process() -> float | None:
    """The usual way in Python; `None` where it is not installed."""
    try:
        psutil = importlib.import_module("psutil")
    except ImportError:
        return None
    rounds = []
    for _ in range(PSUTIL_ROUNDS + 1):
        began = time.thread_time()
        count = sum(1 for _ in psutil.process_iter(["cpu_times"]))
        rounds.append((time.thread_time() - began) / count * 1e6)
    return statistics.median(rounds[1:])  # the first one makes psutil's own table


def compare_scans(programs: Path, rounds: int) -> None:
    for count, workers in LOADS:
        with sleepers(programs, count, workers):
            scans = scan(programs, rounds)
            psutil_us = psutil_us_per_process()
        who = f"{count:,} processes, {workers} of them at work" if workers else f"{count:,} processes, all asleep"
        print(f"\nOne scan, CPU time by process: {who} (and {scans.processes - count} others)")
        tell_scans(scans, psutil_us, has_targets=(count, workers) in LOADS_WITH_TARGETS)


def tell_scans(scans: Scans, psutil_us: float | None, *, has_targets: bool) -> None:
    floor, jouled = scans.ns["floor"], scans.ns["jouled"]

    def us(reader: str) -> str:
        return f"{scans.us_per_process(reader):.2f} us"

    to_floor, to_scan = jouled / floor, scans.ns["naive"] / jouled
    say("floor: getdents and one clock each", us("floor"))
    say(
        "jouled: scan and ledger",
        f"{us('jouled')} = {to_floor:.2f} x floor",
        f"<= {SCAN_TO_FLOOR_MAX}",
        is_met=to_floor <= SCAN_TO_FLOOR_MAX if has_targets else None,
    )
    say("jouled: and the page rendered", f"{us('page')} = {scans.ns['page'] / floor:.2f} x floor")
    say(
        "naive: open, read, close stat and cgroup",
        f"{us('naive')} = {to_scan:.1f} x jouled",
        f">= {NAIVE_TO_SCAN_MIN:g}",
        is_met=to_scan >= NAIVE_TO_SCAN_MIN if has_targets else None,
    )
    if psutil_us is None:
        say("psutil: process_iter with cpu_times", "not installed")
    else:
        times = psutil_us / scans.us_per_process("jouled")
        say("psutil: process_iter with cpu_times", f"{psutil_us:.2f} us = {times:.0f} x jouled")
    say("jouled: one whole scan", f"{jouled / 1e6:.2f} ms")
    say("jouled: memory by known process", f"{scans.resident_bytes / scans.processes:.0f} bytes")


# ---- the page ----


def measure_page(programs: Path) -> None:
    print("\nThe page of 10,000 busy processes and 2 zones, CPU time")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "page"
        text = subprocess.run([programs / "page", path], check=True, stdout=subprocess.PIPE, text=True).stdout
        page = path.read_bytes()
    for line in text.splitlines():
        name, typical_ns, _ = line.split()
        rendered_ms = float(typical_ns) / 1e6
        met = rendered_ms <= PAGE_MAX_MS
        say(f"rendered as {name}", f"{rendered_ms:.2f} ms", f"<= {PAGE_MAX_MS:g} ms", is_met=met)
    began = time.thread_time()
    small = gzip.compress(page, 1)
    took_ms = (time.thread_time() - began) * 1e3
    say("compressed once a tick, if anybody asks", f"{took_ms:.0f} ms")
    say("its size, plain and compressed", f"{len(page) / 1e6:.2f} and {len(small) / 1e6:.2f} MB")


# ---- the daemon ----


def measure_serving(programs: Path) -> None:
    """Scrapes of a page that stands still: an interval longer than all of them together."""
    print(f"\nServing from the cache, {DAEMON_PROCESSES:,} busy processes")
    with sleepers(programs, DAEMON_PROCESSES, DAEMON_PROCESSES, period_ms=400), daemon("60s") as jouled:
        # Nothing of the start may be counted: the page is rendered by the first of these.
        connection = jouled.connect()
        for is_gzip in (False, True, False):
            get(connection, "/metrics", is_gzip=is_gzip)
        for is_gzip, name in ((False, "plain"), (True, "gzip")):
            before, sent = jouled.cpu_s(), 0
            for _ in range(CACHED_SCRAPES):
                sent += get(connection, "/metrics", is_gzip=is_gzip)[1]
            took_ms = (jouled.cpu_s() - before) * 1e3
            page_mb, by_mb = sent / CACHED_SCRAPES / 1e6, took_ms / (sent / 1e6)
            say(f"one scrape, {name}, of {page_mb:.2f} MB", f"{took_ms / CACHED_SCRAPES:.2f} ms")
            if not is_gzip:
                met = by_mb <= SERVING_MAX_MS_PER_MB
                say("by MB served", f"{by_mb:.2f} ms", f"<= {SERVING_MAX_MS_PER_MB:g} ms", is_met=met)


def measure_daemon(programs: Path, seconds: float) -> None:
    """Measuring alone has targets; the books beside it are shown."""
    for store, words in (("none", "measuring only"), ("sqlite", "with the books")):
        print(f"\nThe whole daemon, {DAEMON_PROCESSES:,} processes, a tick every 5 s, {words}")
        with sleepers(programs, DAEMON_PROCESSES, 0), daemon("5s", store) as jouled:
            tell_daemon(jouled, seconds, has_targets=store == "none")


def tell_daemon(jouled: Daemon, seconds: float, *, has_targets: bool) -> None:
    say("from start to ready (0.5 s of it the interval)", f"{jouled.ready_s:.2f} s")
    say("CPU time until ready", f"{jouled.cpu_s():.2f} s")
    say("nobody scrapes", f"{cpu_ratio(jouled, seconds, has_scrapes=False):.3%} of a CPU")
    ratio = cpu_ratio(jouled, seconds, has_scrapes=True)
    cost, resident_mb = f"{ratio:.3%} of a CPU", jouled.resident_mb()
    if not has_targets:
        say("a scrape every 5 s", cost)
        say("resident memory", f"{resident_mb:.1f} MB")
        return
    say("a scrape every 5 s", cost, f"<= {DAEMON_MAX_RATIO:.1%}", is_met=ratio <= DAEMON_MAX_RATIO)
    met = resident_mb <= RESIDENT_MAX_MB
    say("resident memory", f"{resident_mb:.1f} MB", f"<= {RESIDENT_MAX_MB:g} MB", is_met=met)


def cpu_ratio(jouled: Daemon, seconds: float, *, has_scrapes: bool) -> float:
    """Over whole periods, each with one tick."""
    time.sleep(2.5)  # the middle between two ticks
    connection = jouled.connect()
    before, began = jouled.cpu_s(), time.monotonic()
    for _ in range(max(1, round(seconds / 5))):
        time.sleep(5)
        if has_scrapes:
            get(connection, "/metrics", is_gzip=True)
    return (jouled.cpu_s() - before) / (time.monotonic() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="of each reader, in turns [30]")
    parser.add_argument("--seconds", type=float, default=40, help="for each look at the daemon [40]")
    parser.add_argument("--only", choices=("scan", "page", "daemon", "measure", "allot"), help="one part of the table")
    options = parser.parse_args()
    print(f"jouled on {os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}")
    print("All times are CPU time of the one thread or process, the mean of the middle half of the rounds.")
    programs = build()
    if options.only in (None, "scan"):
        compare_scans(programs, options.rounds)
    if options.only in (None, "page"):
        measure_page(programs)
    if options.only in (None, "daemon"):
        measure_serving(programs)
        measure_daemon(programs, options.seconds)
    if options.only in (None, "measure"):
        print("\nThe library: what measuring a block costs, and import", flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name("bench_measure.py")], check=True)
    if options.only in (None, "allot"):
        print("\nThe planner: power for a fleet of miners, against a plain greedy in Python", flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name("bench_allot.py")], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
