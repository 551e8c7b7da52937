"""Blocks on a fake host at known watts."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import threading
import time

import pytest
import trio

import jouled
from burning import burn
from jouled.errors import JouledError
from jouled.measurement import Result
from jouled.measurement.block import MeasureError
from undisturbed import undisturbed

WATTS = 45.0
CPUS = os.sysconf("SC_NPROCESSORS_ONLN")


def known(value: float | None) -> float:
    assert value is not None
    return value


@pytest.mark.parametrize(("seconds", "error"), [(0.05, 0.01), (1.0, 0.001)])
@undisturbed
def test_a_block_at_known_watts_is_right(meter: jouled.Meter, seconds: float, error: float) -> None:
    with jouled.measure(scope="machine", meter=meter) as m:
        time.sleep(seconds)
    assert m.joules == pytest.approx(WATTS * m.seconds, rel=error)
    assert m.seconds >= seconds
    assert m.watts == pytest.approx(WATTS, rel=error)
    assert known(m.error_bound) < WATTS * 0.01


@undisturbed
def test_the_zones_are_each_what_they_draw_and_the_sum_covers_package_and_memory(meter: jouled.Meter) -> None:
    with jouled.measure(scope="machine", meter=meter) as m:
        time.sleep(0.05)
    assert m.covers == ("package", "dram")
    assert m.zones["package:0"].watts == pytest.approx(40, rel=0.01)
    assert m.zones["dram:0"].watts == pytest.approx(5, rel=0.01)
    assert m.joules == pytest.approx(sum(known(zone.joules) for zone in m.zones.values()))
    assert (m.source, m.via, m.is_estimate, m.problems) == ("fake", "sensors", False, ())


@pytest.mark.parametrize(
    ("zones", "covers"),
    [
        (["psys=60W", "package=40W", "core=30W"], ("package",)),
        (["psys=60W", "core=30W"], ("psys",)),
        (["gpu=9W", "core=30W"], ("gpu",)),
        (["package:0=40W", "package:1=40W"], ("package",)),
    ],
)
@undisturbed
def test_the_sum_is_never_of_zones_that_overlap(zones: list[str], covers: tuple[str, ...]) -> None:
    with jouled.measure(scope="machine", meter=jouled.Meter(meters=["fake"], fake_zones=zones)) as m:
        time.sleep(0.01)
    assert m.covers == covers
    assert m.watts == pytest.approx(sum(known(z.watts) for z in m.zones.values() if z.zone in covers))


@undisturbed
def test_a_process_is_charged_its_share_of_all_cpu_time(meter: jouled.Meter) -> None:
    with jouled.measure(meter=meter) as m:
        burn(0.1)
        time.sleep(0.05)
    share = known(m.cpu_seconds) / (CPUS * m.seconds)
    assert m.cpu_seconds == pytest.approx(0.1, rel=0.2)
    assert m.joules == pytest.approx(share * known(m.machine_joules), rel=0.01)
    assert m.active_joules == m.joules
    assert m.machine_joules == pytest.approx(WATTS * m.seconds, rel=0.01)


@undisturbed
def test_one_that_sleeps_is_charged_nearly_nothing(meter: jouled.Meter) -> None:
    with jouled.measure(meter=meter) as m:
        time.sleep(0.1)
    assert known(m.joules) < 0.1 * known(m.machine_joules)


@pytest.mark.parametrize("is_reaped", [True, False])
@undisturbed
def test_children_belong_to_the_process(meter: jouled.Meter, is_reaped: bool) -> None:
    code = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\nimport sys; sys.stdin.read()"
    with jouled.measure(meter=meter) as m:
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        if is_reaped:
            child.communicate()
    if not is_reaped:
        child.communicate()
    assert known(m.cpu_seconds) >= 0.2
    assert known(m.joules) >= 0.2 / (CPUS * m.seconds) * known(m.machine_joules) * 0.9


@undisturbed
def test_a_thread_is_charged_its_own_work_only(meter: jouled.Meter) -> None:
    results: list[Result] = []

    def work(cpu_s: float) -> None:
        with jouled.measure(scope="thread", meter=meter) as m:
            burn(cpu_s)
        results.append(m.result)

    with jouled.measure(meter=meter) as whole:
        threads = [threading.Thread(target=work, args=(cpu_s,)) for cpu_s in (0.05, 0.15)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    cpu = sorted(known(result.cpu_seconds) for result in results)
    assert cpu[0] == pytest.approx(0.05, rel=0.3)
    assert cpu[1] == pytest.approx(0.15, rel=0.2)
    in_threads = sum(known(result.joules) for result in results)
    assert in_threads <= known(whole.joules) * 1.001
    assert in_threads >= known(whole.joules) * 0.8


@undisturbed
def test_nested_blocks_add_up_to_the_one_around_them(meter: jouled.Meter) -> None:
    parts = []
    with jouled.measure(meter=meter) as whole:
        for cpu_s, pause_s in ((0.05, 0), (0.0, 0.05), (0.02, 0.02)):
            with jouled.measure(meter=meter) as part:
                burn(cpu_s)
                time.sleep(pause_s)
            parts.append(part)
    in_parts = sum(known(part.joules) for part in parts)
    assert in_parts <= known(whole.joules)
    assert sum(known(part.machine_joules) for part in parts) <= known(whole.machine_joules)
    assert parts[0].joules > parts[1].joules  # type: ignore[operator]  # known above
    # Between them are only their own ends: microseconds, or a look at the children where there are some, as the servers
    # of other tests are.
    assert 1 - in_parts / known(whole.joules) < 0.05


@undisturbed
def test_one_that_works_then_waits_is_not_charged_less_than_its_working_part(meter: jouled.Meter) -> None:
    with jouled.measure(meter=meter) as whole:
        with jouled.measure(meter=meter) as part:
            burn(0.05)
        time.sleep(0.3)
    assert known(part.joules) <= known(whole.joules) <= known(part.joules) * 1.2


@undisturbed
def test_laps_and_the_rest_are_the_block(meter: jouled.Meter) -> None:
    with jouled.measure("epoch", meter=meter) as m:
        burn(0.02)
        first = m.lap("load")
        time.sleep(0.02)
        m.lap("train")
    assert [lap.name for lap in m.laps] == ["load", "train"]
    assert known(first.joules) > known(m.laps[1].joules)
    assert sum(known(lap.joules) for lap in m.laps) == pytest.approx(known(m.joules), rel=0.05)
    with pytest.raises(MeasureError, match="take laps inside of it"):
        m.lap("late")


@undisturbed
def test_overlapping_blocks_need_not_be_nested(meter: jouled.Meter) -> None:
    a = jouled.measure("a", scope="machine", meter=meter).start()
    time.sleep(0.02)
    b = jouled.measure("b", scope="machine", meter=meter).start()
    time.sleep(0.02)
    a.stop()
    time.sleep(0.02)
    b.stop()
    assert a.watts == pytest.approx(WATTS, rel=0.02)
    assert b.watts == pytest.approx(WATTS, rel=0.02)


def test_it_is_live_inside_and_frozen_after(meter: jouled.Meter) -> None:
    with jouled.measure("x", scope="machine", meter=meter) as m:
        time.sleep(0.01)
        first = known(m.joules)
        assert repr(m).endswith(", so far>")
        time.sleep(0.01)
        assert known(m.joules) > first
    result = m.result
    time.sleep(0.01)
    assert m.result is result
    assert m.stop() is result
    assert repr(m) == f"<Measurement {result}>"
    assert str(result).startswith("x: ")
    assert str(result).endswith(", machine, fake")
    with pytest.raises(AttributeError):
        result.joules = 0.0  # type: ignore[misc]  # what is tested


def test_an_exception_passes_and_the_result_is_there(meter: jouled.Meter) -> None:
    m = jouled.measure(meter=meter)

    def fail() -> None:
        with m:
            burn(0.01)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert known(m.joules) > 0


@undisturbed
def test_idle_energy_is_subtracted_for_the_machine(meter: jouled.Meter) -> None:
    with jouled.measure(scope="machine", meter=meter) as m:
        burn(0.3)
    # This process alone kept one CPU busy; others may have worked too.
    assert known(m.active_joules) <= known(m.joules) * 1.000001
    assert known(m.active_joules) >= 0.5 * known(m.joules) * 0.3 / (CPUS * m.seconds)


@undisturbed
def test_with_edges_the_error_of_a_short_block_is_smaller(meter: jouled.Meter) -> None:
    with jouled.measure(scope="machine", meter=meter) as plain:
        time.sleep(0.005)
    with jouled.measure(scope="machine", meter=meter, edge=True) as aligned:
        time.sleep(0.005)
    assert aligned.joules == pytest.approx(WATTS * aligned.seconds, rel=0.05)
    # Only the package was waited for, and it draws most.
    assert known(aligned.error_bound) < 0.5 * known(plain.error_bound)


def test_wrong_uses_are_said_with_the_right_ones(meter: jouled.Meter) -> None:
    with pytest.raises(ValueError, match="scope 'core' is not known; use one of process, thread, machine"):
        jouled.measure(scope="core")  # type: ignore[arg-type]  # what is tested
    m = jouled.measure("twice", meter=meter)
    with pytest.raises(MeasureError, match="'twice' was not begun"):
        m.stop()
    with m:
        pass
    with pytest.raises(MeasureError, match="'twice' was begun before"):
        m.start()


def test_a_thread_block_that_another_thread_ends_is_not_known(meter: jouled.Meter) -> None:
    m = jouled.measure(scope="thread", meter=meter)
    thread = threading.Thread(target=m.start)
    thread.start()
    thread.join()
    # The kernel frees a thread a moment after it was joined.
    while thread.native_id is not None and os.path.exists(f"/proc/self/task/{thread.native_id}"):  # noqa: PTH110  (a plain question)
        time.sleep(0.001)
    m.stop()
    assert m.joules is None
    assert "end it in the same thread" in m.problems[0]


@undisturbed
async def test_it_measures_in_trio(meter: jouled.Meter) -> None:
    async with jouled.measure(scope="machine", meter=meter) as m:
        await trio.sleep(0.02)
    assert m.watts == pytest.approx(WATTS, rel=0.02)


@undisturbed
def test_it_measures_in_asyncio(meter: jouled.Meter) -> None:
    async def one() -> Result:
        async with jouled.measure(scope="machine", meter=meter) as m:
            await asyncio.sleep(0.02)
        return m.result

    async def many() -> list[Result]:
        return await asyncio.gather(*(one() for _ in range(5)))

    for result in asyncio.run(many()):
        assert result.watts == pytest.approx(WATTS, rel=0.02)


def test_a_sensor_that_fails_makes_the_energy_unknown_and_says_why(tmp_path: object) -> None:
    host = Rapl(str(tmp_path))
    meter = jouled.Meter(meters=["rapl"], sysfs=host.root)
    with jouled.measure(scope="machine", meter=meter) as good:
        host.write(2_000_000)
    assert good.joules == pytest.approx(1.0)
    with jouled.measure("bad", scope="machine", meter=meter) as bad:
        host.write(None)
    assert (bad.joules, bad.watts, bad.machine_joules, bad.error_bound) == (None, None, None, None)
    assert any("energy_uj" in problem for problem in bad.problems)
    assert str(bad).startswith("bad: energy not known in ")
    host.write(3_000_000)
    with jouled.measure(scope="machine", meter=meter) as again:
        host.write(3_500_000)
    assert again.joules == pytest.approx(0.5)


def test_a_counter_that_wraps_in_a_block_is_corrected(tmp_path: object) -> None:
    host = Rapl(str(tmp_path))
    meter = jouled.Meter(meters=["rapl"], sysfs=host.root)
    host.write(9_999_999)
    with jouled.measure(scope="machine", meter=meter) as m:
        host.write(499_999)
    assert m.joules == pytest.approx(0.5)
    assert math.isfinite(known(m.error_bound))


class Rapl:
    """A /sys with one package, whose counter goes to 10 J."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._zone = os.path.join(root, "class/powercap/intel-rapl:0")  # noqa: PTH118  (one string)
        os.makedirs(self._zone)  # noqa: PTH103  (one string)
        self._put("name", "package-0\n")
        self._put("max_energy_range_uj", "9999999\n")
        self.write(1_000_000)

    def write(self, microjoules: int | None) -> None:
        time.sleep(0.01)  # a joule at once is more than any package could draw
        self._put("energy_uj", "nonsense\n" if microjoules is None else f"{microjoules}\n")

    def _put(self, name: str, text: str) -> None:
        with open(f"{self._zone}/{name}", "w") as file:  # noqa: PTH123  (in place: attributes keep their inode)
            file.write(text)


def test_a_wrong_word_in_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULED_METERS", "fake,foo")
    with pytest.raises(JouledError, match=r"^\$JOULED_METERS='fake,foo': 'foo' is no meter; use one of auto, .*fake$"):
        jouled.Meter()


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULED_METERS", "")
    assert jouled.Meter().source
