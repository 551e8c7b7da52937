"""What goes on while blocks are open."""

from __future__ import annotations

import gc
import shutil
import threading
import time
from pathlib import Path

import pytest

import jouled
from jouled.measurement import tally as tallies
from jouled.measurement.tally import Consumer, tally_of
from undisturbed import undisturbed


def host(root: Path, name: str, files: dict[str, str]) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file).write_text(text)
    return folder


def put(path: Path, text: str) -> None:
    """In place and at once: attributes keep their inode, and a reader never finds half of one."""
    assert len(text) == path.stat().st_size
    with path.open("r+b", buffering=0) as file:
        file.write(text.encode())


def test_a_counter_that_goes_round_twice_in_a_long_block_is_read_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "COUNTER_PERIOD_S", 0.02)
    zone = {"name": "package-0\n", "max_energy_range_uj": "999999\n", "energy_uj": "000000\n"}
    energy = host(tmp_path, "class/powercap/intel-rapl:0", zone) / "energy_uj"
    meter = jouled.Meter(meters=["rapl"], sysfs=str(tmp_path))
    with jouled.measure(scope="machine", meter=meter) as m:
        tally = tally_of(meter)
        for microjoules in (900_000, 800_000, 700_000):  # 0.9 J each time, around the end of the range
            put(energy, f"{microjoules}\n")
            seen = tally._at_ns
            while tally._at_ns == seen:
                time.sleep(0.002)
    assert m.joules == pytest.approx(2.7, abs=0.01)
    tally.keeper.pause()


@undisturbed
def test_a_gauge_is_followed_while_a_block_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "GAUGE_PERIOD_S", 0.02)
    shutil.rmtree(tmp_path / "class", ignore_errors=True)
    chip = host(tmp_path, "class/hwmon/hwmon0", {"name": "power_meter\n", "power1_input": "10000000\n"})
    meter = jouled.Meter(meters=["hwmon"], sysfs=str(tmp_path))
    with jouled.measure(scope="machine", meter=meter) as m:
        time.sleep(0.1)
        put(chip / "power1_input", "90000000\n")
        time.sleep(0.3)
        put(chip / "power1_input", "10000000\n")
        time.sleep(0.1)
    # Its two ends alone would say 10 W.
    assert m.watts is not None
    assert 30 < m.watts < 80
    assert m.error_bound is None
    tally_of(meter).keeper.pause()


def test_the_keeper_ends_when_no_block_is_open_also_where_one_was_dropped(
    meter: jouled.Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "COUNTER_PERIOD_S", 0.01)
    left = jouled.measure(meter=meter).start()
    thread = tally_of(meter).keeper._thread
    assert thread is not None
    del left
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()
    with jouled.measure(meter=meter):
        assert tally_of(meter).keeper._thread is not None


def test_a_model_needs_no_keeper() -> None:
    meter = jouled.Meter(meters=["estimate"])
    with jouled.measure(meter=meter) as m:
        assert tally_of(meter).keeper._thread is None
    assert m.is_estimate
    assert m.error_bound is None


def test_what_the_kernel_books_late_counts_in_the_next_interval_and_not_twice() -> None:
    cpu_ns = [0, 30_000_000, 30_000_000, 40_000_000]
    consumer = Consumer(lambda: cpu_ns.pop(0))
    ten_ms = 10_000_000
    assert consumer.share(ten_ms, cpus=1) == 0.0, "the first is a baseline"
    assert [consumer.share(ten_ms, cpus=1) for _ in range(3)] == [1.0, 1.0, 1.0]
    cpu_ns = [40_000_000, 40_000_000, 40_000_000]
    assert [consumer.share(ten_ms, cpus=1) for _ in range(2)] == [1.0, 0.0]


@undisturbed
def test_many_threads_that_measure_at_once_are_no_more_than_the_process(meter: jouled.Meter) -> None:
    sums: list[float] = []

    def work() -> None:
        for _ in range(50):
            with jouled.measure(scope="thread", meter=meter) as m:
                sum(range(2000))
            assert m.joules is not None
            sums.append(m.joules)

    with jouled.measure(meter=meter) as whole, jouled.measure(scope="machine", meter=meter) as machine:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(sums) == 400
    assert whole.joules is not None
    assert sum(sums) <= whole.joules * 1.001
    assert whole.machine_joules is not None
    assert machine.joules is not None
    assert machine.joules <= whole.machine_joules
