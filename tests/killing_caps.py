"""kill -9 before each step of a program that caps, and before each step of giving back: nothing stays capped.

A step is a system call that changes, or opens to change, the journal or a limit. strace ends the program at the
moment it enters one, by number; `joulectl caps restore` then runs, and every limit file must hold its original
bytes. Run by itself it does so for every step: `python tests/killing_caps.py`.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from limit_trees import LimitTree

CAPPING = Path(__file__).parent / "journal" / "capping.py"
JOULECTL = (sys.executable, "-c", "from jouled.cli.joulectl import main; main()")
CALLS = (
    "openat",
    "write",
    "pwrite64",
    "ftruncate",
    "fsync",
    "rename",
    "renameat",
    "unlink",
    "unlinkat",
    "mkdir",
    "flock",
)
# As many as there are processors on a small machine: each is mostly a Python that starts.
WORKERS = 2


class Step(NamedTuple):
    """The `number`th call of this name."""

    call: str
    number: int


class Host:
    """A fresh tree of limits, and what it held."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = LimitTree(folder)
        for number in (0, 1):
            self.tree.package(number)
        self.tree.package(0, kind="intel-rapl-mmio")
        (self.tree.powercap / "intel-rapl:1" / "enabled").write_text("0\n")
        self.tree.slice("batch.slice")
        self.originals = self.tree.limits()

    @property
    def capping(self) -> list[str]:
        return [sys.executable, str(CAPPING), str(self.folder)]

    @property
    def restoring(self) -> list[str]:
        place = f"--state-dir={self.tree.caps.parent}"
        return [
            "env",
            f"JOULED_PROCFS={self.tree.procfs}",
            f"JOULED_SYSFS={self.tree.sysfs}",
            *JOULECTL,
            "caps",
            "restore",
            place,
            "--config=",
        ]

    def files(self) -> list[Path]:
        """Whose system calls are steps: the journal's, and all limits."""
        caps = self.tree.caps
        own = [caps, caps / "lock", caps / "journal.json", caps / "journal.json.new"]
        return [*own, *(self.tree.sysfs / name for name in self.originals)]

    def traced(self, command: Sequence[str], *flags: str) -> list[str]:
        """Under strace, which sees only calls about our files; it follows threads, and writes to a file."""
        paths = [word for file in self.files() for word in ("-P", str(file))]
        log = str(self.folder / "strace.log")
        return ["strace", "-f", "-qq", "-o", log, "-e", f"trace={','.join(CALLS)}", *paths, *flags, *command]

    def steps(self, command: Sequence[str]) -> list[Step]:
        """Runs it to its end and counts."""
        subprocess.run(self.traced(command), check=True, capture_output=True, text=True)
        counts: Counter[str] = Counter()
        found = []
        for line in (self.folder / "strace.log").read_text().splitlines():
            match = re.match(r"(?:\d+ +)?(\w+)\((.*)", line)
            assert match, line
            counts[match[1]] += 1
            # What only looks can be killed at any time.
            if match[1] != "openat" or "O_RDONLY" not in match[2]:
                found.append(Step(match[1], counts[match[1]]))
        return found

    def kill_at(self, step: Step, command: Sequence[str]) -> None:
        done = subprocess.run(
            self.traced(command, "-e", f"inject={step.call}:signal=KILL:when={step.number}"),
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}, f"{step}: {done.returncode} {done.stderr}"

    def restore(self) -> None:
        done = subprocess.run(self.restoring, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def verify(self, step: Step) -> None:
        assert self.tree.limits() == self.originals, f"after kill -9 at {step}"
        left = {path.name for path in self.tree.caps.iterdir()} if self.tree.caps.exists() else set()
        # A file that was not finished when its writer was killed is nothing to anybody.
        assert left <= {"lock", "journal.json.new"}, f"after kill -9 at {step}: {left}"


def steps_of_capping() -> list[Step]:
    with tempfile.TemporaryDirectory() as folder:
        host = Host(Path(folder))
        return host.steps(host.capping)


def last_write(steps: Iterable[Step]) -> Step:
    """Where both packages and the slice are capped: before the first of the writes that give back."""
    return [step for step in steps if step.call == "fsync"][-2]


def steps_of_restoring(capped: Step) -> list[Step]:
    with tempfile.TemporaryDirectory() as folder:
        host = Host(Path(folder))
        host.kill_at(capped, host.capping)
        assert host.tree.limits() != host.originals
        return host.steps(host.restoring)


def kill_capping(step: Step) -> None:
    with tempfile.TemporaryDirectory() as folder:
        host = Host(Path(folder))
        host.kill_at(step, host.capping)
        host.restore()
        host.verify(step)


def kill_restoring(capped: Step) -> Callable[[Step], None]:
    def kill(step: Step) -> None:
        with tempfile.TemporaryDirectory() as folder:
            host = Host(Path(folder))
            host.kill_at(capped, host.capping)
            host.kill_at(step, host.restoring)
            host.restore()
            host.verify(step)

    return kill


def sampled(steps: Sequence[Step], count: int | None) -> list[Step]:
    """All of them, or so many from the beginning to the end."""
    if count is None or count >= len(steps):
        return list(steps)
    return [steps[round(index * (len(steps) - 1) / (count - 1))] for index in range(count)]


def run(count: int | None = None) -> tuple[int, int]:
    """How many steps of capping and of giving back were tried. Raises AssertionError for the first that failed."""
    steps = steps_of_capping()
    capped = last_write(steps)
    again = steps_of_restoring(capped)
    some, some_again = sampled(steps, count), sampled(again, None if count is None else count // 2)
    with ThreadPoolExecutor(WORKERS) as workers:
        for _ in workers.map(kill_capping, some):
            pass
        for _ in workers.map(kill_restoring(capped), some_again):
            pass
    return len(some), len(some_again)


if __name__ == "__main__":
    capping, restoring = run()
    sys.stdout.write(
        f"killed at {capping} steps of capping and {restoring} of giving back; every limit holds its original\n"
    )
