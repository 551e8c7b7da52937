"""A program as a load: what it is told, what it says, and that it always ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio

from jouled.config.books import Load as LoadSettings
from jouled.loads.command import CommandLoad
from jouled.loads.protocol import LoadError
from jouled.loads.registry import Loads
from jouled.wire.decisions import Decision
from plants import NOW, FakeLoad

DECISION = Decision(
    id="d-1",
    facility_id="mill",
    decision_type="shift_load",
    source_zone_id="hall-1",
    target_zone_id="hall-2",
    load_shift_amount=12.5,
    reason="a peak; $(touch /tmp/never) `x`",
    triggering_condition=None,
    priority=1,
    status="executing",
    scheduled_at=NOW,
    expires_at=NOW,
    approved_at=NOW,
    executed_at=NOW,
    completed_at=None,
    cancelled_at=None,
    inputs={},
    expected={},
    observed=None,
    result=None,
    key=None,
    created_by="ann",
    created_at=NOW,
)


def python(script: str, limit_s: float = 30.0) -> CommandLoad:
    return CommandLoad((sys.executable, "-c", script), limit_s)


async def test_it_gets_the_decision_as_json_and_its_first_line_is_the_result() -> None:
    script = "import json, sys; d = json.load(sys.stdin); print(d['id'], d['load_shift_amount'], d['target_zone_id']); print(2)"
    assert await python(script).act(DECISION) == "d-1 12.5 hall-2"


async def test_a_program_that_reads_nothing_may_end_well() -> None:
    assert await python("").act(DECISION) == f"{sys.executable} ended well"


async def test_no_shell_sees_its_arguments(tmp_path: Path) -> None:
    load = CommandLoad((sys.executable, "-c", "import sys; print(sys.argv[1])", "$HOME; echo *"))
    assert await load.act(DECISION) == "$HOME; echo *"


async def test_it_knows_nothing_of_the_daemons_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULED_SECRET", "x")
    script = "import os; print(sorted(name for name in os.environ if name != 'LC_CTYPE'), os.getcwd())"
    assert await python(script).act(DECISION) == "['LC_ALL', 'PATH'] /"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import sys; sys.exit('no power')", "ended with status 1: no power"),
        ("import sys; sys.exit(3)", "ended with status 3: it said nothing"),
        ("import os; os.kill(os.getpid(), 9)", "was ended by signal 9"),
        ("import sys; print('\\x1b[2Jbad'); sys.exit(1)", r"status 1: \\x1b\[2Jbad"),
    ],
)
async def test_every_other_end_is_a_failure_that_says_why(script: str, words: str) -> None:
    with pytest.raises(LoadError, match=words):
        await python(script).act(DECISION)


async def test_a_program_that_is_not_there_is_said_with_its_name() -> None:
    with pytest.raises(LoadError, match=r"run /no/such: No such file or directory; check load\.commands"):
        await CommandLoad(("/no/such",)).act(DECISION)


async def test_one_that_takes_too_long_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    said = tmp_path / "pid"
    script = (
        "import subprocess, sys, time, pathlib; child = subprocess.Popen(['sleep', '1000']);"
        f"pathlib.Path({str(said)!r}).write_text(str(child.pid)); time.sleep(1000)"
    )
    with pytest.raises(LoadError, match="was killed: it took longer than 3 s"):
        await python(script, 3.0).act(DECISION)
    await gone(int(said.read_text()))


async def gone(pid: int) -> None:
    with trio.fail_after(60):
        while _is_alive(pid):  # noqa: ASYNC110  (a process of another's tells nobody)
            await trio.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


async def test_what_it_leaves_running_does_not_hold_the_answer_up(tmp_path: Path) -> None:
    script = "import subprocess; print('done', flush=True); print(subprocess.Popen(['sleep', '1000']).pid, flush=True)"
    assert await python(script, 20.0).act(DECISION) == "done"


async def test_words_without_end_are_cut_and_do_not_block() -> None:
    result = await python("print('x' * 10_000_000)").act(DECISION)
    assert result == "x" * 500


async def test_an_order_larger_than_a_pipe_reaches_who_reads_late() -> None:
    from msgspec.structs import replace

    large = replace(DECISION, inputs={"x": "y" * 300_000})
    script = "import sys, time; time.sleep(0.2); print(len(sys.stdin.read()) > 300_000)"
    assert await python(script).act(large) == "True"
    assert await python("").act(large) == f"{sys.executable} ended well"


async def test_cancelled_it_leaves_nothing_running(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    script = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(python(script).act, DECISION)
            while not (file.exists() and file.read_text()):  # noqa: ASYNC110  (another process writes it)
                await trio.sleep(0.01)
            scope.cancel()
    assert not _is_alive(int(file.read_text()))


def test_commands_of_the_settings_are_attached_to_their_zones() -> None:
    settings = LoadSettings(commands=("hall-1=/bin/shed --hall '1 a'", "hall-2=/bin/true"), command_timeout_s=7.0)
    loads = Loads(settings=settings)
    load = loads.of("hall-1")
    assert isinstance(load, CommandLoad)
    assert (load.argv, load.limit_s) == (("/bin/shed", "--hall", "1 a"), 7.0)
    assert loads.of("hall-3") is None


def test_a_load_of_two_zones_acts_once() -> None:
    one, other = FakeLoad(), FakeLoad()
    loads = Loads({"a": one, "b": one, "c": other})
    assert loads.acting(("a", "b")) == [one]
    assert loads.acting(("a", "c", "d")) == [one, other]
