"""One run of a command: started so that none of its descendants is lost, its signals passed on."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn

from jouled.cli.measure_cgroup import TransientCgroup

PR_SET_CHILD_SUBREAPER = 36
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
NOT_EXECUTABLE, NOT_FOUND = 126, 127


class Survivor(NamedTuple):
    """A descendant that still lives when the command has ended."""

    pid: int
    name: str
    cpu_s: float


class Ended(NamedTuple):
    """How a command ended. `cpu_s` is its own CPU time and that of all its descendants, by `cpu_by`."""

    exit_code: int
    start_ns: int
    """When it was let begin, CLOCK_MONOTONIC."""
    end_ns: int
    cpu_s: float
    cpu_by: Literal["cgroup", "rusage"]
    survivors: tuple[Survivor, ...]
    ended_by: int | None
    """The signal by which the user wants an end of it all; None where nobody does."""
    exec_error: int | None
    """Why the program could not be started, as errno."""


class Child:
    """A process that waits for the word to become the command.

    While it lives this process is the reaper of its orphans, and takes signals for it.
    """

    def __init__(self, command: Sequence[str], *, cgroup: TransientCgroup | None, stdout: int | None = None) -> None:
        _become_reaper()
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*PASSED_ON, signal.SIGCHLD})
        go_read, self._go = os.pipe()
        self._failed, failed_write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._go)
            _become(command, self._mask, go_read, failed_write, stdout)
        os.close(go_read)
        os.close(failed_write)
        self._cgroup = cgroup if cgroup is not None and cgroup.take(self._pid) else None
        self._before_s = self._cpu_s()
        self._status: int | None = None
        self._ended_by: int | None = None

    def run(self, pulse: Callable[[float], None], period_s: float) -> Ended:
        """Lets it begin, and waits for its end; meanwhile `pulse` is called each `period_s` with the
        seconds so far.
        """
        start_ns = time.monotonic_ns()
        os.close(self._go)
        while self._status is None:
            found = signal.sigtimedwait({*PASSED_ON, signal.SIGCHLD}, period_s)
            if found is None:
                pulse((time.monotonic_ns() - start_ns) / 1e9)
            elif found.si_signo == signal.SIGCHLD:
                self._reap()
            else:
                self._pass_on(found)
        return self._ended(start_ns, time.monotonic_ns())

    def close(self) -> None:
        """Gives signals back. What survives the command is nobody's here any more."""
        os.close(self._failed)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _ended(self, start_ns: int, end_ns: int) -> Ended:
        assert self._status is not None  # noqa: S101  (waited for)
        code = os.waitstatus_to_exitcode(self._status)
        error = int.from_bytes(os.read(self._failed, 4), "little") or None
        survivors = self._survivors()
        cpu_s = self._cpu_s() - self._before_s
        if self._cgroup is None:
            cpu_s += sum(survivor.cpu_s for survivor in survivors)
        return Ended(
            exit_code=code if code >= 0 else 128 - code,
            start_ns=start_ns,
            end_ns=end_ns,
            cpu_s=max(0.0, cpu_s),
            cpu_by="cgroup" if self._cgroup is not None else "rusage",
            survivors=survivors,
            ended_by=self._ended_by,
            exec_error=error,
        )

    def _reap(self) -> None:
        """Takes all that have ended: the command, and orphans of it that came to this process."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._pid:
                    self._status = status

    def _pass_on(self, found: signal.struct_siginfo) -> None:
        if found.si_signo in ENDING:
            self._ended_by = found.si_signo
        # What a terminal sends (a positive code: from the kernel), it sends to the command too; but that
        # it hung up it tells the first process of its session alone, which may be this one.
        if found.si_code <= 0 or found.si_signo == signal.SIGHUP:
            with suppress(ProcessLookupError):
                os.kill(self._pid, found.si_signo)

    def _cpu_s(self) -> float:
        if self._cgroup is not None:
            return self._cgroup.cpu_s()
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    def _survivors(self) -> tuple[Survivor, ...]:
        pids = self._cgroup.pids() if self._cgroup is not None else descendants(os.getpid())
        found = (survivor(pid) for pid in pids)
        return tuple(one for one in found if one is not None)


def survivor(pid: int) -> Survivor | None:
    """Who this is, and its CPU time by its own clock; None for one that has ended."""
    try:
        # MAKE_PROCESS_CPUCLOCK of the kernel's posix-timers.h, which clock_getcpuclockid(3) gives.
        cpu_s = time.clock_gettime(~pid << 3 | 2)
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(") ")[2][:1]
    except OSError:
        return None
    return None if state in {"Z", "X"} else Survivor(pid, name, cpu_s)


def descendants(pid: int, proc: Path = Path("/proc")) -> list[int]:
    """All processes that have `pid` as their parent, or one of these."""
    children: dict[int, list[int]] = {}
    for place in proc.iterdir():
        if place.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                parent = int((place / "stat").read_text(errors="replace").rpartition(") ")[2].split()[1])
                children.setdefault(parent, []).append(int(place.name))
    found: list[int] = []
    rest = [pid]
    while rest:
        below = children.pop(rest.pop(), [])
        found += below
        rest += below
    return sorted(found)


def _become_reaper() -> None:
    """Orphans of the command come to this process, so that their time is in its account of children."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _become(
    command: Sequence[str], mask: set[signal.Signals] | set[int], go: int, failed: int, stdout: int | None
) -> NoReturn:
    """In the child: makes itself ready, waits for the word, and becomes the command."""
    try:
        if stdout is not None:
            os.dup2(stdout, 1)
        # Python ignores the first two and has a handler for the third; the command shall find them as
        # any program does.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        if callable(signal.getsignal(signal.SIGINT)):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        program, arguments = shutil.which(command[0]) or command[0], list(command)
        # What comes after this is in the command's account: as little as can be.
        os.read(go, 1)
        os.execv(program, arguments)  # noqa: S606  (running it is what this is for)
    except OSError as error:
        os.write(failed, (error.errno or 0).to_bytes(4, "little"))
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError | NotADirectoryError) else NOT_EXECUTABLE)
    except ValueError:  # an empty name, which execv does not even try
        os.write(failed, errno.ENOENT.to_bytes(4, "little"))
        os._exit(NOT_FOUND)
    except BaseException:  # noqa: BLE001  (nothing of this process may run on in the child)
        os._exit(NOT_EXECUTABLE)
