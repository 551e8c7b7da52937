from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from jouled.errors import UnsupportedError
from jouled.restarts import keep_running


class Failing:
    """Fails so and so often, then ends."""

    def __init__(self, *errors: Exception, lasts_s: float = 0.0) -> None:
        self.began_s: list[float] = []
        self._errors = list(errors)
        self._lasts_s = lasts_s

    async def __call__(self) -> None:
        self.began_s.append(trio.current_time())
        await trio.sleep(self._lasts_s)
        if self._errors:
            raise self._errors.pop(0)


async def test_a_task_that_fails_is_started_again_after_longer_and_longer(
    autojump_clock: trio.testing.MockClock, lines: list[Any]
) -> None:
    task = Failing(*[UnsupportedError("x: away; wait") for _ in range(5)])
    await keep_running("plant", task, pause_max_s=4.0, jitter=lambda: 0.5)
    assert task.began_s == pytest.approx([0.0, 1.0, 3.0, 7.0, 11.0, 15.0])
    assert [(line["event"], line["log_level"]) for line in lines] == [("plant: x: away; wait", "warning")]


async def test_a_task_that_ran_for_long_begins_anew(autojump_clock: trio.testing.MockClock, lines: list[Any]) -> None:
    task = Failing(*[UnsupportedError("x") for _ in range(3)], lasts_s=500.0)
    await keep_running("plant", task, jitter=lambda: 0.5)
    assert task.began_s == pytest.approx([0.0, 501.0, 1002.0, 1503.0])
    assert len(lines) == 3


async def test_a_defect_is_said_with_its_traceback_and_survived(
    autojump_clock: trio.testing.MockClock, lines: list[Any]
) -> None:
    await keep_running("plant", Failing(ValueError("a defect")))
    (line,) = lines
    assert line["event"] == "plant failed; it is started again"
    assert isinstance(line["exc_info"], ValueError)


async def test_a_cancelled_task_stays_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    task = Failing(lasts_s=1000.0)
    with trio.move_on_after(1.0):
        await keep_running("plant", task)
    assert len(task.began_s) == 1
