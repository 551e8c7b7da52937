"""Slices of low priority are squeezed before a power limit is touched, and get their time back as the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from capped_hosts import PL1, Host, kinds, wanted
from fakes import FakeSnapshot, FakeWorkload, FakeZone
from jouled.config.caps import Caps as Settings
from jouled.control.caps.power import Measured, lies_in
from jouled.control.caps.squeezing import CALM_S, SETTLE_S
from jouled.control.caps.turns import KeptLeases, Power
from jouled.feed import Feed

SETTINGS = Settings(enabled=True, slices=("batch.slice",), slice_min_pct=50)


class Node:
    """A node of 180 W at most: 40 W at rest, 20 W of what matters, and 15 W for each CPU of batch work, of
    which there is as much as eight CPUs can do. It obeys quotas and power limits at once.
    """

    def __init__(self, folder: Path) -> None:
        self.host = Host(folder)
        self.batch = self.host.tree.slice("batch.slice")
        self.host.originals = self.host.tree.limits()
        self.hands = self.host.hands(SETTINGS)
        self.batch_cpus = 8.0
        self.is_measured = True

    @property
    def quota(self) -> float | None:
        quota, period = (self.batch / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)

    @property
    def cpus(self) -> float:
        return min(self.batch_cpus, self.quota if self.quota is not None else 8.0)

    @property
    def watts(self) -> float:
        limit_w = sum(self.host.limit(socket) for socket in (0, 1)) / 1e6
        return min(60 + 15 * self.cpus, limit_w)

    def is_limited(self) -> bool:
        return self.host.limit(0, PL1) != 95_000_000

    def turn(self, cap_w: float | None, after_s: float = 5.0) -> list[str]:
        self.host.now_s += after_s
        power = Power(self.watts, {}, {"batch.slice": (15 * self.cpus, self.cpus)}) if self.is_measured else None
        return kinds(self.hands.turn(wanted(cap_w, power=power)))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_what_slices_can_give_is_taken_from_them_and_no_power_limit_is_touched(node: Node) -> None:
    assert node.watts == 180
    for _ in range(60):
        node.turn(140)
    assert node.watts <= 140
    assert not node.is_limited()
    assert node.quota is not None
    (state,) = node.hands.turn(wanted(140)).slices
    assert (state.slice, state.original_cpus) == ("batch.slice", None)
    assert state.asked_cpus == pytest.approx(node.quota, abs=0.01)


def test_at_the_floor_the_power_limits_do_the_rest_at_once(node: Node) -> None:
    node.turn(60)
    assert node.quota == 0.5
    assert node.is_limited()
    assert node.watts <= 60


def test_power_limits_come_where_squeezing_was_not_enough_in_time(node: Node) -> None:
    node.turn(140)
    assert not node.is_limited()
    squeezed = node.quota
    # What matters wants more, and batch work has no more to give than it is asked to.
    node.host.now_s += SETTLE_S
    power = Power(160, {}, {"batch.slice": (15 * node.cpus, node.cpus)})
    node.hands.turn(wanted(140, power=power))
    assert node.is_limited()
    assert squeezed is not None
    assert node.quota is not None
    assert node.quota < squeezed


def test_where_nothing_is_measured_power_limits_come_at_once(node: Node) -> None:
    node.is_measured = False
    node.turn(140)
    assert node.quota is None
    assert node.watts <= 140


def test_a_node_below_its_cap_is_left_alone(node: Node) -> None:
    node.batch_cpus = 2
    for _ in range(100):
        node.turn(140)
    assert node.host.is_as_it_was


def test_what_was_taken_comes_back_slowly_power_limits_first(node: Node) -> None:
    node.turn(60)
    assert node.is_limited()
    assert node.quota == 0.5
    node.turn(170)
    assert node.is_limited()  # it must be calm for a while
    for _ in range(int(CALM_S / 5) + 4):
        node.turn(170)
    assert not node.is_limited()
    seen = []
    for _ in range(200):
        node.turn(170)
        seen.append(node.watts)
        assert node.watts <= 170
    assert seen[-1] >= 0.9 * 170
    assert not node.is_limited()


def test_a_steady_load_is_squeezed_once_and_then_left_alone(node: Node) -> None:
    for _ in range(60):
        node.turn(140)
    before = node.quota
    for _ in range(500):
        node.turn(140)
    assert node.quota == before


def test_lifting_the_cap_gives_all_of_it_back(node: Node) -> None:
    node.turn(60)
    node.turn(None)
    assert node.host.is_as_it_was
    node.turn(60)
    assert node.quota == 0.5


def test_another_programs_quota_is_a_foreign_write_and_in_the_end_left_to_it(node: Node) -> None:
    node.turn(60)
    for _ in range(2):
        (node.batch / "cpu.max").write_text("max 100000\n")
        assert kinds(node.hands.turn(wanted(60))) == ["cap_foreign"]
        assert node.quota == 0.5
    (node.batch / "cpu.max").write_text("max 100000\n")
    outcome = node.hands.turn(wanted(60))
    assert kinds(outcome) == ["cap_ceded"]
    assert outcome.foreign == (("slice", "batch.slice"),)
    assert node.quota is None
    assert outcome.slices[0].ceded_to == "another program"


def test_the_next_life_knows_what_was_squeezed_and_gives_it_back(node: Node, tmp_path: Path) -> None:
    hold = Settings(enabled=True, on_exit="hold", slices=("batch.slice",), slice_min_pct=50)
    node.hands.close()
    node.hands = node.host.hands(hold)
    node.turn(140)
    quota = node.quota
    assert quota is not None
    node.hands.leave(KeptLeases())
    node.hands = node.host.hands(hold)
    node.turn(140, after_s=0)
    assert node.quota == quota
    node.turn(None)
    assert node.host.is_as_it_was


def test_a_slice_that_ends_is_no_reason_to_fail(node: Node) -> None:
    node.turn(140)
    (node.batch / "cpu.max").unlink()
    node.batch.rmdir()
    outcome = node.hands.turn(wanted(140))
    assert outcome.slices[0].problem is not None
    assert node.is_limited()  # nobody measured
    node.hands.turn(wanted(None))
    assert not node.is_limited()


def unit(name: str, path: str, cpu_s: float, watts: float) -> FakeWorkload:
    return FakeWorkload(labels={"unit": name, "slice": path}, cpu_s=cpu_s, watts={"package": watts})


class Units(FakeSnapshot):
    """A snapshot with these units."""

    units: tuple[FakeWorkload, ...] = ()

    def workloads(self, level: str, sort: str = "watts", limit: int | None = None) -> tuple[FakeWorkload, ...]:
        assert level == "unit"
        return self.units


def snapshot(*units: FakeWorkload, interval_s: float = 2.0) -> Units:
    made = Units(interval_s=interval_s)
    object.__setattr__(made, "units", units)
    return made


def test_power_of_slices_is_that_of_the_units_within_and_of_the_latest_interval() -> None:
    feed: Feed[FakeSnapshot] = Feed()
    measured = Measured(feed, lambda: True, ("batch.slice",))  # type: ignore[arg-type]  # of the same shape
    first = snapshot(unit("a.service", "batch.slice", 100.0, 5.0))
    second = snapshot(
        unit("a.service", "batch.slice", 103.0, 6.0),
        unit("b.service", "batch-night.slice", 1.0, 2.0),
        unit("c.service", "system.slice", 50.0, 9.0),
    )
    for one in (first, second):
        measured.observe(one)
        feed.publish(one)
    drawn = measured()
    assert drawn is not None
    assert (drawn.node_w, drawn.packages_w) == (12.5, {0: 12.5})
    assert drawn.slices == {"batch.slice": (8.0, 2.0)}  # 3 s and 1 s in 2 s


def test_an_old_snapshot_and_one_without_packages_are_no_measurement() -> None:
    feed: Feed[FakeSnapshot] = Feed()
    is_fresh = True
    measured = Measured(feed, lambda: is_fresh)  # type: ignore[arg-type]  # of the same shape
    assert measured() is None
    feed.publish(FakeSnapshot())
    assert measured() is not None
    is_fresh = False
    assert measured() is None

    class Psys(FakeSnapshot):
        def zones(self) -> list[FakeZone]:
            return [FakeZone(zone="psys"), FakeZone(watts=None)]

    is_fresh = True
    feed.publish(Psys())
    assert measured() is None


@pytest.mark.parametrize(
    ("path", "is_within"),
    [
        ("batch.slice", True),
        ("batch-a.slice", True),
        ("batch-a-b.slice", True),
        ("batch.slice/x.service", True),
        ("batches.slice", False),
        ("a-batch.slice", False),
        ("batch-a.service", False),
        ("", False),
    ],
)
def test_a_slice_holds_those_that_lie_in_it(path: str, is_within: bool) -> None:
    assert lies_in(path, "batch.slice") == is_within


def test_the_safe_cap_at_the_end_is_one_of_power_limits_and_leaves_no_slice_squeezed(tmp_path: Path) -> None:
    host = Host(tmp_path)
    batch = host.tree.slice("batch.slice")
    hands = host.hands(Settings(enabled=True, slices=("batch.slice",), on_exit="safe", safe_w=60.0))
    hands.turn(wanted(100, power=Power(120, {}, {"batch.slice": (60.0, 4.0)})))
    assert (batch / "cpu.max").read_text() != "max 100000\n"
    assert hands.leave(KeptLeases()) == ()
    assert (batch / "cpu.max").read_text() == "max 100000\n"
    assert host.limit(0, PL1) == 30_000_000
