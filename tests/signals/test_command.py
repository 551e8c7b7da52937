from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from jouled.signals.command import Command
from jouled.wire.events import Event

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
EVENT = Event("e-1", "low_battery", "warning", NOW, "charge 18 %", "low:ups-1")


def program(text: str, *arguments: str, limit_s: float = 20.0) -> Command:
    return Command((sys.executable, "-S", "-c", text, *arguments), limit_s=limit_s)


async def test_a_program_gets_the_event_on_its_standard_input_and_a_clean_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/secret")
    write = "import os, sys, json; json.dump([sys.stdin.read(), dict(os.environ), os.getcwd()], open(sys.argv[1], 'w'))"
    assert await program(write, str(tmp_path / "got"), "$(id); `id`").carry(EVENT) is None
    given, environment, folder = json.loads((tmp_path / "got").read_text())
    assert json.loads(given)["id"] == "e-1"
    assert environment["JOULED_EVENT"] == "low_battery"
    assert environment["JOULED_EVENT_ID"] == "e-1"
    assert "NOTIFY_SOCKET" not in environment
    assert folder == "/"


async def test_a_program_that_fails_is_tried_again_and_says_why() -> None:
    failure = await program("import sys; sys.stderr.write('no\\x1b modem' + 'x' * 100_000); sys.exit(3)").carry(EVENT)
    assert failure is not None
    assert not failure.is_final
    assert "ended with status 3. no\\x1b modemxxx" in failure.words
    assert len(failure.words) < 1000


async def test_a_program_that_reads_nothing_is_no_failure() -> None:
    assert await program("pass").carry(EVENT) is None


async def test_a_program_that_is_not_there_is_said() -> None:
    failure = await Command(("/nowhere/program",)).carry(EVENT)
    assert failure is not None
    assert failure.words == "/nowhere/program: No such file or directory; check alerts.command"


async def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    hang = "import os, sys, time\nif pid := os.fork(): open(sys.argv[1], 'w').write(str(pid))\ntime.sleep(600)"
    failure = await program(hang, str(tmp_path / "pid"), limit_s=3.0).carry(EVENT)
    assert failure is not None
    assert "not done within 3 s; it was ended" in failure.words
    child = int((tmp_path / "pid").read_text())
    await _gone(child)


async def test_a_child_that_outlives_its_program_does_not_hold_the_delivery(tmp_path: Path) -> None:
    leave = "import os, sys, time\nif pid := os.fork(): open(sys.argv[1], 'w').write(str(pid))\nelse: time.sleep(600)"
    before_s = time.monotonic()
    assert await program(leave, str(tmp_path / "pid"), limit_s=300.0).carry(EVENT) is None
    assert time.monotonic() - before_s < 150.0
    await _gone(int((tmp_path / "pid").read_text()))


async def test_a_delivery_that_is_called_off_leaves_no_program_behind(tmp_path: Path) -> None:
    hang = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(program(hang, str(tmp_path / "pid"), limit_s=600.0).carry, EVENT)
        await _written(tmp_path / "pid")
        nursery.cancel_scope.cancel()
    await _gone(int((tmp_path / "pid").read_text()))


async def _written(path: Path) -> None:
    with trio.fail_after(60):
        while not _text(path):  # noqa: ASYNC110  (another process writes it)
            await trio.sleep(0.01)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def _gone(pid: int) -> None:
    """A child that nobody waits for may stay as a zombie."""
    with trio.fail_after(60):
        while True:
            try:
                os.kill(pid, 0)
                if _state(pid) == "Z":
                    return
            except (ProcessLookupError, FileNotFoundError):
                return
            await trio.sleep(0.01)
