#!/usr/bin/env python3
"""Runs the daemon under steady scrapes and fails where it grows: memory, descriptors, threads, late ticks."""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

WARM_UP_S = 10.0
GROWTH_LIMIT_MB = 3.0  # allocators settle over the first minutes; a leak of 1 KB a scrape shows as 10 MB an hour
DESCRIPTOR_SLACK = 16  # scrapes in flight, and processes that came or went since the last scan
LATE_RATIO_LIMIT = 0.05


@dataclass(frozen=True)
class Look:
    """The daemon from outside, at one moment."""

    resident_mb: float
    descriptors: int  # beyond one for each process and cgroup that is watched
    threads: int
    cpu_s: float


def look_at(pid: int, page: bytes) -> Look:
    proc = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    ticks = (proc / "stat").read_text().rsplit(") ", 1)[1].split()[11:13]
    watched = counter(page, "jouled_scan_processes") + counter(page, "jouled_scan_cgroups")
    return Look(
        resident_mb=int(status["VmRSS"].split()[0]) / 1024,
        descriptors=sum(1 for _ in (proc / "fd").iterdir()) - int(watched),
        threads=int(status["Threads"]),
        cpu_s=sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scrape(url: str, *, gzip: bool = False) -> bytes:
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"} if gzip else {})
    with urllib.request.urlopen(request, timeout=5) as response:
        return bytes(response.read())


def wait_until_ready(daemon: subprocess.Popen[bytes], root: str) -> None:
    for _ in range(100):
        if daemon.poll() is not None:
            sys.exit(f"soak: the daemon ended at start with code {daemon.returncode}")
        try:
            scrape(f"{root}/readyz")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    sys.exit("soak: the daemon was not ready within 10 s")


def counter(page: bytes, name: str) -> float:
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$".encode(), page, re.MULTILINE))


def watch(daemon: subprocess.Popen[bytes], root: str, seconds: float) -> list[Look]:
    """Scrapes every second, plain and compressed, and looks every ten."""
    looks: list[Look] = []
    began = time.monotonic()
    next_look = began + WARM_UP_S
    while time.monotonic() < began + WARM_UP_S + seconds:
        if daemon.poll() is not None:
            sys.exit(f"soak: the daemon ended by itself with code {daemon.returncode}")
        page = scrape(f"{root}/metrics")
        scrape(f"{root}/metrics", gzip=True)
        if time.monotonic() >= next_look:
            next_look += 10
            looks.append(look_at(daemon.pid, page))
            now = looks[-1]
            print(
                f"{time.monotonic() - began:6.0f} s  {now.resident_mb:6.1f} MB  {now.descriptors:4d} own fds  "
                f"{now.threads:3d} threads  {now.cpu_s:8.2f} s CPU",
                flush=True,
            )
        time.sleep(1)
    return looks


def verdict(looks: list[Look], ticks: float, late: float) -> list[str]:
    """What grew, in words; empty where nothing did."""
    first, last = looks[0], looks[-1]
    found = []
    if last.resident_mb > first.resident_mb + GROWTH_LIMIT_MB:
        found.append(f"memory grew from {first.resident_mb:.1f} to {last.resident_mb:.1f} MB")
    if last.descriptors > first.descriptors + DESCRIPTOR_SLACK:
        found.append(f"descriptors grew from {first.descriptors} to {last.descriptors}")
    if last.threads > first.threads + DESCRIPTOR_SLACK:
        found.append(f"threads grew from {first.threads} to {last.threads}")
    if ticks == 0:
        found.append("jouled_ticks_total is missing or 0: nothing was measured")
    elif late > ticks * LATE_RATIO_LIMIT:
        found.append(f"{late:.0f} of {ticks:.0f} ticks were late")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--interval", default="1s")
    options = parser.parse_args()
    port = free_port()
    root = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as state:
        command = [sys.executable, "-m", "jouled", "--listen", f"127.0.0.1:{port}", "--state-dir", state]
        daemon = subprocess.Popen([*command, "--interval", options.interval])
        try:
            wait_until_ready(daemon, root)
            looks = watch(daemon, root, options.seconds)
            page = scrape(f"{root}/metrics")
        finally:
            daemon.send_signal(signal.SIGTERM)
            code = daemon.wait(timeout=10)
    found = verdict(looks, counter(page, "jouled_ticks_total"), counter(page, "jouled_ticks_late_total"))
    if code != 0:
        found.append(f"the daemon ended with code {code} on SIGTERM")
    cpu = (looks[-1].cpu_s - looks[0].cpu_s) / max(1.0, 10.0 * (len(looks) - 1))
    print(f"soak: {len(looks)} looks, {len(page)} bytes a page, {cpu:.2%} of one CPU, {'; '.join(found) or 'steady'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
