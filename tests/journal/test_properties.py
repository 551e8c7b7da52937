"""Whatever happens between the first cap and giving back, every limit file holds its original bytes at the end."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from jouled.balance.writes import Write
from jouled.journal import Journal
from limit_trees import LimitTree, power_write

ATTRIBUTES = ("constraint_0_power_limit_uw", "constraint_1_power_limit_uw", "enabled")

CAP = st.tuples(st.just("cap"), st.integers(0, 2), st.sampled_from(ATTRIBUTES), st.integers(1, 200_000_000))
SQUEEZE = st.tuples(st.just("squeeze"), st.integers(1000, 800_000))
OTHERS = st.sampled_from([("crash",), ("intend",), ("foreign",), ("swap",), ("unplug",), ("give back one",)])
STEPS = st.lists(CAP | SQUEEZE | OTHERS, max_size=12)


class Host:
    """Three packages that may change their numbers, one slice, and a daemon that may be killed."""

    def __init__(self, folder: Path) -> None:
        self.tree = LimitTree(folder)
        self.zones = [
            self.tree.package(number, long_term=95_000_000 + number, short_term=118_000_000) for number in range(3)
        ]
        self.slice = self.tree.slice("batch.slice") / "cpu.max"
        self.originals = self.held()
        self.journal = self.opened()
        self.begun: list[Write] = []

    def opened(self) -> Journal:
        return Journal.open(str(self.tree.caps), procfs=str(self.tree.procfs), sysfs=str(self.tree.sysfs))

    def held(self) -> dict[str, bytes]:
        """By name of the zone: its number is nobody's business."""
        found = {"slice": self.slice.read_bytes()}
        for zone in self.zones:
            for attribute in ATTRIBUTES:
                found[f"{(zone / 'name').read_text()}{attribute}"] = (zone / attribute).read_bytes()
        return found

    def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("cap", number, attribute, value):
                value = value % 2 if attribute == "enabled" else value
                self.write(power_write(self.zones[number], value, attribute))
            case ("squeeze", quota_us):
                self.write(Write(str(self.slice), "CPU time", f"{quota_us} 100000"))
            case ("intend",):
                self.journal.begin([power_write(self.zones[0], 33_000_000)])
            case ("foreign",) if self.begun:
                # It was ours before: what others write first is theirs.
                Path(self.begun[-1].path).write_text("1\n")
            case ("crash",):
                self.journal.close()
                self.journal = self.opened()
            case ("swap",):
                self.swap()
            case ("unplug",):
                away = self.zones[2].rename(self.tree.sysfs / "away")
                assert self.journal.restore().is_whole
                self.begun = []
                away.rename(self.zones[2])
            case ("give back one",) if self.begun:
                self.journal.restore([self.begun.pop().path])

    def write(self, write: Write) -> None:
        assert self.journal.begin([write]).writes == (write,)
        Path(write.path).write_text(f"{write.value}\n")
        self.journal.wrote(write.path, write.value)
        self.begun = [one for one in self.begun if one.path != write.path] + [write]

    def swap(self) -> None:
        """Numbers are given anew: 0 and 1 change places."""
        one, other, spare = self.zones[0], self.zones[1], self.tree.powercap / "intel-rapl:f"
        one.rename(spare)
        other.rename(one)
        spare.rename(other)
        self.zones[0], self.zones[1] = other, one
        self.begun = [write for write in self.begun if write.identity is None]


@settings(max_examples=40)
@given(STEPS)
def test_after_restoring_every_file_equals_its_original_bytes(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        host = Host(Path(folder))
        for step in steps:
            host.do(step)
        host.journal.close()
        with host.opened() as journal:
            assert journal.restore().is_whole
            assert not journal.is_there
        assert host.held() == host.originals
