"""`joulectl selfbench`: what it says of this host, and how it takes its times."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from jouled.cli import selfbench
from jouled.cli.selfbench import Bench, OwnCost, Row, least_ns, lines
from undisturbed import undisturbed

JOULECTL = (sys.executable, "-c", "from jouled.cli.joulectl import main; main()")


def joulectl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*JOULECTL, *words], capture_output=True, text=True, check=False)


@undisturbed
def test_this_host_has_a_cost_for_each_read_and_none_for_a_daemon_that_is_not_there() -> None:
    done = joulectl("--url", "http://127.0.0.1:1", "selfbench", "--for", "100ms", "--json")
    assert done.stderr == ""
    bench: dict[str, Any] = json.loads(done.stdout)
    cost = {row["name"]: row["nanoseconds"] for row in bench["rows"]}
    assert all(0 < nanoseconds < 1e10 for nanoseconds in cost.values())
    # The ratio of the two is the product; it is ten and more on a quiet host.
    assert cost["CPU clock of a process"] < cost["open, read, close its stat (naive)"]
    assert bench["own"]["processes"] > 0
    assert bench["own"]["scan_cpu_seconds"] > 0
    assert bench["own"]["daemon_joules"] is None


def ticking(call_ns: int) -> tuple[Callable[[], None], Callable[[], int]]:
    """A call that takes so long on a clock that only it moves; each look at the clock takes 1 ns."""
    now = [0]

    def call() -> None:
        now[0] += call_ns

    def clock() -> int:
        now[0] += 1
        return now[0]

    return call, clock


@pytest.mark.parametrize("call_ns", [20, 340, 1_000_000, 3_000_000_000])
def test_a_call_is_timed_in_batches_so_that_the_clock_costs_nothing(call_ns: int) -> None:
    call, clock = ticking(call_ns)
    assert least_ns(call, 1.0, clock) == pytest.approx(call_ns, rel=1e-3)


def test_the_least_of_many_batches_counts() -> None:
    now, calls = [0], [0]

    def call() -> None:
        calls[0] += 1
        # Every other ten thousand calls somebody else has the CPU half of the time.
        now[0] += 100 if calls[0] // 10_000 % 2 else 200

    assert least_ns(call, 0.1, lambda: now[0]) == 100


def test_the_table_says_what_it_comes_to() -> None:
    rows = (
        Row("CPU clock of a process", 340.0, "process"),
        Row("open, read, close its stat (naive)", 8160.0, "process"),
    )
    own = OwnCost(0.002, 1000, 0.0004, 345.6, "rapl", 12.0, 0.004)
    assert list(lines(Bench(rows, own))) == [
        "CPU clock of a process                 340 ns  per process",
        "open, read, close its stat (naive)    8.16 µs  per process",
        "the clock costs 1/24 of the naive read",
        "one scan of 1000 processes takes 2 ms of CPU time: at one in 5 s 0.040% of one CPU, 346 J a day",
        "the daemon here: 0.004 W, 12 J since its row began",
    ]


def test_what_is_not_known_is_not_said() -> None:
    own = OwnCost(0.002, 1000, 0.0004, None, "rapl")
    assert "J" not in list(lines(Bench((Row("x", 1.0, "call"),), own)))[1]


def test_counters_are_closed_again() -> None:
    with selfbench.counters() as files:
        assert isinstance(files, list)


def test_a_captured_host_has_no_cost() -> None:
    done = joulectl("--root", "/", "selfbench")
    assert done.returncode == 2
    assert (
        done.stderr
        == "joulectl: error: selfbench measures this host: leave out --root; see joulectl selfbench --help\n"
    )
