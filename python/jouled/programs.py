"""Runs a program of the operator's: no shell, a clean environment, an end to its time, and nothing left of it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import trio

from jouled.errors import one_line

# What is kept of its words.
SAID_BYTES_MAX = 64 * 1024
LINE_MAX = 500
# What it left running may keep its outputs open for ever.
LAST_WORDS_S = 0.2
# Nothing of the daemon's own: no credentials, no notify socket.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class Ended(NamedTuple):
    """How a program ended, and the first line of what it said on standard output and standard error."""

    returncode: int | None
    is_late: bool
    said: str
    complained: str
    # All that it said on standard output, as far as it was kept.
    output: bytes = b""

    @property
    def is_well(self) -> bool:
        return self.returncode == 0

    @property
    def how(self) -> str:
        if self.returncode is not None and self.returncode < 0:
            return f"was ended by signal {-self.returncode}"
        return f"ended with status {self.returncode}"


async def run(
    argv: Sequence[str], told: bytes, *, limit_s: float, environment: Mapping[str, str] | None = None
) -> Ended:
    """It gets `told` on its standard input, and `environment` beside `ENVIRONMENT`. After `limit_s`, or where
    the task is cancelled, it is killed with all that it started. Raises OSError where it cannot be run.
    """
    process = await trio.lowlevel.open_process(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**ENVIRONMENT, **(environment or {})},
        cwd="/",
        start_new_session=True,
    )
    pipes = process.stdin, process.stdout, process.stderr
    assert pipes[0] is not None and pipes[1] is not None and pipes[2] is not None  # noqa: S101, PT018  (all are pipes)
    said, complained = bytearray(), bytearray()
    try:
        with trio.move_on_after(limit_s) as limit:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_tell, pipes[0], told)
                nursery.start_soon(_hear, pipes[1], said)
                nursery.start_soon(_hear, pipes[2], complained)
                await process.wait()
                nursery.cancel_scope.deadline = trio.current_time() + LAST_WORDS_S
        is_late = limit.cancelled_caught and process.returncode is None
    finally:
        await _end(process)
    return Ended(process.returncode, is_late, _first_line(said), _first_line(complained), bytes(said))


async def _tell(pipe: trio.abc.SendStream, told: bytes) -> None:
    # It may have no use for it: it ends, or closes its input, before it was told.
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await pipe.send_all(told)
        await pipe.aclose()


async def _hear(pipe: trio.abc.ReceiveStream, kept: bytearray) -> None:
    """To its end, so that it never waits for us; what is too much is dropped."""
    while part := await pipe.receive_some(16 * 1024):
        kept += part[: SAID_BYTES_MAX - len(kept)]


async def _end(process: trio.Process) -> None:
    """With all that it started: after the answer nothing goes on behind anybody's back."""
    with trio.CancelScope(shield=True):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                await pipe.aclose()


def _first_line(said: bytearray) -> str:
    lines = bytes(said).decode(errors="replace").strip().splitlines()
    return one_line(lines[0][:LINE_MAX]) if lines else ""
