"""A daemon that may be killed and started again: its log is one file through all its lives, and it is watched."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE_S = 300.0
_READY = re.compile(r"jouled: http://127\.0\.0\.1:(\d+)/metrics .*\(")


class Held(NamedTuple):
    """What a process has in its hands."""

    at_s: float
    memory_kb: int
    descriptors: int
    threads: int
    cpu_s: float


class Daemon:
    """By a file of settings. It does not run before `start`."""

    def __init__(self, settings: Path) -> None:
        self.settings = settings
        self.log = settings.with_suffix(".log")
        self.log.touch()
        self.port = 0
        # Of each of its lives.
        self.held: list[list[Held]] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_up(self) -> bool:
        """Started, and ready since."""
        return bool(self.port) and self._process is not None and self._process.poll() is None

    def start(self) -> float:
        """Until it says where it is. How long that took."""
        began_s, said_before = time.monotonic(), self.log.stat().st_size
        environ = {name: value for name, value in os.environ.items() if not name.startswith("JOULED_")}
        command = [sys.executable, "-m", "jouled", "--log-format=text", f"--config={self.settings}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL, env=environ)
        self.held.append([])

        def is_ready() -> bool:
            assert self._process is not None
            said = self.log.read_bytes()[said_before:].decode()
            assert self._process.poll() is None, f"the daemon ended: {said}"
            found = _READY.search(said)
            self.port = int(found[1]) if found is not None else 0
            return bool(self.port)

        eventually(is_ready, "the daemon says where it is")
        return time.monotonic() - began_s

    def kill(self) -> None:
        """As a power cut of its process."""
        self._end(signal.SIGKILL)

    def stop(self) -> float:
        """The seconds from SIGTERM to its exit, which must have code 0."""
        began_s = time.monotonic()
        code = self._end(signal.SIGTERM)
        assert code == 0, f"it ended with {code}: {self.log.read_text()[-2000:]}"
        return time.monotonic() - began_s

    def close(self) -> None:
        """Whatever it does."""
        if self._process is not None and self._process.poll() is None:
            self._end(signal.SIGKILL)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return json.loads(answer.read())

    def look(self) -> None:
        """Notes what it holds now."""
        if not self.is_up or self._process is None:
            return
        root = Path(f"/proc/{self._process.pid}")
        with suppress(OSError):
            status = dict(line.split(":\t", 1) for line in (root / "status").read_text().splitlines() if ":\t" in line)
            ticks = (root / "stat").read_text().rpartition(")")[2].split()
            cpu_s = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
            descriptors = len(list((root / "fd").iterdir()))
            memory_kb = int(status["VmRSS"].split()[0])
            self.held[-1].append(Held(time.time(), memory_kb, descriptors, int(status["Threads"]), cpu_s))

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self.port = 0
        self._process.send_signal(number)
        return self._process.wait(timeout=PATIENCE_S)


def eventually(is_so: Callable[[], object], what: str, *, patience_s: float = PATIENCE_S) -> None:
    end_s = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < end_s, f"not in {patience_s:g} s: {what}"
        time.sleep(0.02)


class Watched(threading.Thread):
    """Looks at a daemon now and then."""

    def __init__(self, daemon: Daemon, every_s: float = 0.5) -> None:
        super().__init__(name="watched")
        self._daemon_looked_at = daemon
        self._every_s = every_s
        self._is_over = threading.Event()

    def run(self) -> None:
        while not self._is_over.wait(self._every_s):
            self._daemon_looked_at.look()

    def end(self) -> None:
        self._is_over.set()
        self.join()
