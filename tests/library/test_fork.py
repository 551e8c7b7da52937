"""Blocks, samplers and locks across os.fork()."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import jouled
from burning import burn
from jouled.measurement.tally import tally_of
from undisturbed import undisturbed


def in_child(work: Callable[[], Any]) -> Any:
    """What `work` gives in a forked child; a child that hangs is ended, and fails the test."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    timer = threading.Timer(60, os.kill, (pid, 9))
    timer.start()
    try:
        with os.fdopen(reader) as answer:
            text = answer.read()
    finally:
        timer.cancel()
        os.waitpid(pid, 0)
    assert text, "the child gave no answer"
    return json.loads(text)


@undisturbed
def test_a_childs_copy_measures_from_the_fork_on_and_the_parents_is_undisturbed(meter: jouled.Meter) -> None:
    with jouled.measure(meter=meter) as m:
        burn(0.1)

        def child() -> list[Any]:
            burn(0.02)
            m.stop()
            return [m.joules, m.seconds, m.cpu_seconds]

        joules, seconds, cpu_s = in_child(child)
        parents = m.result
    assert 0.02 <= cpu_s < 0.08
    assert seconds < parents.seconds - 0.09
    assert 0 < joules < parents.joules
    # The child was one of its descendants.
    assert m.cpu_seconds is not None
    assert m.cpu_seconds >= 0.1 + cpu_s * 0.9


@undisturbed
def test_thread_and_machine_blocks_go_on_in_a_child(meter: jouled.Meter) -> None:
    with (
        jouled.measure(scope="thread", meter=meter) as thread,
        jouled.measure(scope="machine", meter=meter) as machine,
    ):

        def child() -> list[Any]:
            burn(0.02)
            return [thread.stop().cpu_seconds, thread.result.problems, machine.stop().watts]

        cpu_s, problems, watts = in_child(child)
    assert cpu_s == pytest.approx(0.02, abs=0.02)
    assert problems == []
    assert watts == pytest.approx(45, rel=0.05)


@undisturbed
def test_locks_that_other_threads_hold_at_the_fork_do_not_stop_the_child(meter: jouled.Meter) -> None:
    stop = threading.Event()

    def measure_on_and_on() -> None:
        while not stop.is_set():
            with jouled.measure(meter=meter):
                meter.read()

    threads = [threading.Thread(target=measure_on_and_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):

            def child() -> float | None:
                with jouled.measure(scope="machine", meter=meter) as m:
                    time.sleep(0.002)
                return m.watts

            assert in_child(child) == pytest.approx(45, rel=0.2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_no_thread_of_ours_stands_in_the_way_of_a_fork_and_it_comes_back(meter: jouled.Meter) -> None:
    def keepers() -> list[str]:
        thread = tally_of(meter).keeper._thread
        return [] if thread is None or not thread.is_alive() else [thread.name]

    with jouled.measure(meter=meter):
        assert len(keepers()) == 1
        assert in_child(keepers) == keepers()
        assert len(keepers()) == 1
    tally_of(meter).keeper.pause()
    assert keepers() == []


def test_a_read_that_the_fork_cut_is_begun_anew(meter: jouled.Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jouled.meter.FORK_WAIT_S", 0.01)
    guard = meter._backend._guard  # type: ignore[union-attr]  # these are sensors
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with guard.lock:
            held.set()
            done.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    try:
        assert in_child(lambda: len(meter.read().zones)) == 2
    finally:
        done.set()
        holder.join()
