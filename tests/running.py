"""Daemon processes: started, awaited, and always ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


class Running:
    """A daemon process that has said where to look."""

    def __init__(self, process: subprocess.Popen[str], port: int, said: str) -> None:
        self.process = process
        self.port = port
        self.said = said

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return bytes(answer.read())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """The seconds from the signal to the exit, which must have code 0."""
        start_s = time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(timeout=60) == 0, self.rest()
        return time.monotonic() - start_s

    def rest(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def running(*command: str, pass_fds: Sequence[int] = (), environ: Mapping[str, str] | None = None) -> Iterator[Running]:
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
        env={"JOULED_STORE_URL": "none", **os.environ, **(environ or {})},
    )
    try:
        assert process.stderr is not None
        said = []
        while True:
            line = process.stderr.readline()
            said.append(line)
            assert line, f"the daemon ended: {''.join(said)}"
            if found := re.match(r"jouled: http://127\.0\.0\.1:(\d+)/metrics .*\(", line):
                break
        yield Running(process, int(found[1]), "".join(said))
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


@contextmanager
def running_jouled(*flags: str, resolution: str = "0") -> Iterator[Running]:
    """The real daemon with the real scanner, on a free port. Its readers are told every microjoule, to
    which tests compare; what operators get by default is `1mJ`.
    """
    fixed = ("--listen=127.0.0.1:0", "--log-format=text")
    environ = {"JOULED_ACCESS_RESOLUTION": resolution}
    with running(sys.executable, "-m", "jouled", *fixed, *flags, environ=environ) as daemon:
        yield daemon
