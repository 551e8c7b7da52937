"""A cgroup for one command: it counts the CPU time of all that the command starts, the dead included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MOST_DEEP = 8
"""So deep the command's own cgroups are looked through for what still lives in them."""


class TransientCgroup:
    """A cgroup below the own one, made for a command and removed after it."""

    def __init__(self, directory: Path, counter: str) -> None:
        self.directory = directory
        self._counter = counter

    @classmethod
    def make(cls, name: str, *, root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> TransientCgroup | None:
        """A new cgroup `name`; None where none may be made: then nothing has changed."""
        own = own if own is not None else Path("/proc/self/cgroup").read_text()
        for parent, counter in _places(own, root):
            directory = parent / name
            try:
                directory.mkdir()
            except OSError:
                continue
            cgroup = cls(directory, counter)
            # The file is made by the kernel; a plain directory has none.
            if (directory / counter).exists() and os.access(directory / "cgroup.procs", os.W_OK):
                return cgroup
            cgroup.remove()
        return None

    def take(self, pid: int) -> bool:
        """Puts a process in; False where that is not allowed."""
        try:
            (self.directory / "cgroup.procs").write_text(str(pid))
        except OSError:
            return False
        return True

    def cpu_s(self) -> float:
        """CPU seconds of all that was ever in it. Raises OSError where the kernel gives no number."""
        text = (self.directory / self._counter).read_text()
        if self._counter == "cpuacct.usage":
            return int(text) / 1e9
        return int(text.split()[1]) / 1e6

    def pids(self) -> list[int]:
        """Who still lives in it, and in cgroups that the command has made below."""
        pids: list[int] = []
        for directory in self._all():
            with suppress(OSError):
                pids += [int(word) for word in (directory / "cgroup.procs").read_text().split()]
        return sorted(pids)

    def remove(self) -> None:
        """Moves who still lives into the cgroup around it, and takes it away."""
        for _ in range(3):  # who forks meanwhile is moved the next time
            for pid in self.pids():
                with suppress(OSError):
                    (self.directory.parent / "cgroup.procs").write_text(str(pid))
            for directory in reversed(list(self._all())):
                with suppress(OSError):
                    directory.rmdir()
            if not self.directory.exists():
                return

    def _all(self) -> Iterator[Path]:
        yield self.directory
        depth = len(self.directory.parts)
        for place, names, _ in os.walk(self.directory):
            if len(Path(place).parts) - depth >= MOST_DEEP:
                names.clear()
            yield from (Path(place, name) for name in names)


def _places(own: str, root: Path) -> Iterator[tuple[Path, str]]:
    """Where a cgroup may be made: below the own one of version 2, else of cpuacct."""
    paths = {}
    for line in own.splitlines():
        number, controllers, path = line.split(":", 2)
        paths["v2" if number == "0" else "v1" if "cpuacct" in controllers.split(",") else ""] = path.lstrip("/")
    for mount in (root, root / "unified"):
        if "v2" in paths and (mount / "cgroup.controllers").exists():
            yield mount / paths["v2"], "cpu.stat"
    for mount in (root / "cpuacct", root / "cpu,cpuacct"):
        if "v1" in paths and (mount / "cpuacct.usage").exists():
            yield mount / paths["v1"], "cpuacct.usage"
