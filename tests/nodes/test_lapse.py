"""A cap that nobody asks for again: the keeper and the real hands, on plain files and on a clock that jumps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
import trio.testing

from capped_hosts import Host
from jouled.balance.leases import LAPSED, Held, Leases
from jouled.config import Config
from jouled.config.caps import Caps as Settings
from jouled.config.refused import RefusedError
from jouled.control.caps.keeper import CapKeeper
from jouled.control.caps.opening import Opened, open_hands
from jouled.control.caps.turns import Happening
from jouled.control.fleet.own_host import OWNER as OWN_OWNER
from jouled.control.fleet.own_host import OwnHost
from jouled.loads.node import Leased
from jouled.loads.protocol import LoadError
from jouled.wire.caps import CapDraft
from node_orders import order_of

T = TypeVar("T")
NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
SAFE: Mapping[str, Any] = {"enabled": True, "on_lapse": "safe", "safe_w": 60.0}
OWNER = "balance@site"
# Of each of the two sockets, in microwatts.
AT_SAFE, AT_100_W = [30_000_000] * 2, [50_000_000] * 2


async def at_once(work: Callable[[], T], /) -> T:
    await trio.lowlevel.checkpoint()
    return work()


class Node:
    """A host's files, and one life of the daemon's keeper after the other on them. `slept_s` is between two lives."""

    def __init__(self, folder: Path, **caps: Any) -> None:
        self.host = Host(folder)
        self.caps = caps
        self.told: list[Happening] = []
        self._opened: Opened | None = None
        self.slept_s = 0.0
        self.keeper = self.starts()

    def wall(self) -> datetime:
        return NOON + timedelta(seconds=trio.current_time() + self.slept_s)

    def starts(self, **caps: Any) -> CapKeeper:
        tree = self.host.tree
        self.caps = {**self.caps, **caps}
        config = Config(
            sysfs=str(tree.sysfs),
            procfs=str(tree.procfs),
            state_dir=str(tree.caps.parent),
            caps=Settings(**self.caps),
        )
        self._opened = open_hands(config, clock=trio.current_time, wall=self.wall)
        assert self._opened is not None
        self.keeper = CapKeeper(
            config.caps,
            self._opened.hands,
            leases=self._opened.leases,
            clock=trio.current_time,
            wall=self.wall,
            slept=lambda: 0.0,
            tell=self.told.append,
            in_thread=at_once,
        )
        return self.keeper

    def is_killed(self) -> None:
        assert self._opened is not None
        self._opened.hands.close()

    async def looks(self) -> list[int]:
        """The limits after a look."""
        await self.keeper._look(has_slept=False)
        return self.limits

    @property
    def limits(self) -> list[int]:
        return [self.host.limit(0), self.host.limit(1)]

    @property
    def owners(self) -> list[str]:
        return [lease.owner for lease in self.keeper.state().leases]


@pytest.fixture
async def node(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> Node:
    return Node(tmp_path, **SAFE)


async def test_a_node_falls_back_when_its_cap_was_not_asked_for_again(
    node: Node, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    await nursery.start(node.keeper.run)
    for _ in range(5):
        await node.keeper.hold(OWNER, CapDraft(100.0, 60.0))
        await trio.sleep(20)
    assert node.limits == AT_100_W
    await trio.sleep(40.1)
    assert node.limits == AT_SAFE
    (lease,) = node.keeper.state().leases
    assert (lease.owner, lease.watts) == (LAPSED, 60.0)
    assert lease.reason == f"safe: the lease of {OWNER} lapsed at 2026-03-29 12:02:20Z"
    assert (node.told[-1].kind, node.told[-1].severity) == ("cap_set", "warning")
    await trio.sleep(600)
    assert node.limits == AT_SAFE
    nursery.cancel_scope.cancel()


async def test_it_ends_when_the_owner_asks_again(node: Node, autojump_clock: trio.testing.MockClock) -> None:
    await node.keeper.hold(OWNER, CapDraft(100.0, 60.0))
    await trio.sleep(61)
    assert await node.looks() == AT_SAFE
    await node.keeper.hold(OWNER, CapDraft(100.0, 60.0))
    assert (node.owners, node.limits) == ([OWNER], AT_100_W)


async def test_another_owner_that_only_renews_does_not_end_it_and_one_that_comes_new_does(
    node: Node, autojump_clock: trio.testing.MockClock
) -> None:
    await node.keeper.hold("market", CapDraft(180.0, 3600.0))
    await node.keeper.hold(OWNER, CapDraft(100.0, 60.0))
    await trio.sleep(61)
    assert await node.looks() == AT_SAFE
    await node.keeper.hold("market", CapDraft(170.0, 3600.0))
    assert node.limits == AT_SAFE
    await node.keeper.hold("balance@new-site", CapDraft(150.0, 60.0))
    assert node.limits == [75_000_000] * 2


async def test_a_cap_that_is_meant_to_end_neither_falls_back_nor_ends_what_was_fallen_back_to(
    node: Node, autojump_clock: trio.testing.MockClock
) -> None:
    await node.keeper.hold("operator", CapDraft(100.0, 60.0, None, "lift"))
    await trio.sleep(61)
    await node.looks()
    assert node.owners == []
    assert node.host.is_as_it_was
    await node.keeper.hold(OWNER, CapDraft(100.0, 60.0))
    await trio.sleep(61)
    await node.keeper.hold("operator", CapDraft(90.0, 60.0, None, "lift"))
    assert node.limits == AT_SAFE
    await trio.sleep(61)
    assert await node.looks() == AT_SAFE


@pytest.mark.parametrize("is_all", [True, False])
async def test_the_operator_lifts_it(node: Node, autojump_clock: trio.testing.MockClock, *, is_all: bool) -> None:
    await node.keeper.hold(OWNER, CapDraft(100.0, 60.0))
    await trio.sleep(61)
    assert await node.looks() == AT_SAFE
    if is_all:
        assert await node.keeper.release_all() == 1
    else:
        assert await node.keeper.release(LAPSED)
    assert node.host.is_as_it_was
    await trio.sleep(61)
    await node.looks()
    assert node.host.is_as_it_was


async def test_a_cap_that_is_given_up_is_no_lapse(node: Node, autojump_clock: trio.testing.MockClock) -> None:
    await node.keeper.hold(OWNER, CapDraft(100.0, 60.0))
    await node.keeper.release(OWNER)
    await trio.sleep(61)
    await node.looks()
    assert node.owners == []
    assert node.host.is_as_it_was


async def test_where_the_policy_is_to_lift_the_cap_ends_with_its_time(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    node = Node(tmp_path, enabled=True, safe_w=60.0)
    await node.keeper.hold(OWNER, CapDraft(100.0, 60.0))
    await trio.sleep(61)
    await node.looks()
    assert node.owners == []
    assert node.host.is_as_it_was


async def test_a_reload_says_how_far_it_is_fallen_back_and_whether_at_all(
    node: Node, autojump_clock: trio.testing.MockClock
) -> None:
    await node.keeper.hold(OWNER, CapDraft(100.0, 60.0))
    await trio.sleep(61)
    assert await node.looks() == AT_SAFE
    node.keeper.apply(Settings(enabled=True, on_lapse="safe", safe_w=80.0))
    assert await node.looks() == [40_000_000] * 2
    node.keeper.apply(Settings(enabled=True))
    await node.looks()
    assert node.host.is_as_it_was


@pytest.mark.parametrize("on_exit", ["restore", "hold", "safe"])
async def test_kill_9_of_a_node_that_has_fallen_back_does_not_lift_it(
    node: Node, autojump_clock: trio.testing.MockClock, on_exit: str
) -> None:
    node.keeper.apply(Settings(**{**SAFE, "on_exit": on_exit}))
    await node.keeper.hold(OWNER, CapDraft(100.0, 60.0))
    await trio.sleep(61)
    await node.looks()
    node.is_killed()
    node.slept_s += 30 * 86_400.0
    node.starts(on_exit=on_exit)
    assert await node.looks() == AT_SAFE
    await trio.sleep(301)  # what on_exit = safe has left has ended
    assert await node.looks() == AT_SAFE
    assert node.owners == [LAPSED]


@pytest.mark.parametrize("on_exit", ["restore", "hold"])
async def test_a_cap_that_lapsed_while_no_daemon_ran_is_fallen_back_from(
    node: Node, autojump_clock: trio.testing.MockClock, on_exit: str
) -> None:
    node.keeper.apply(Settings(**{**SAFE, "on_exit": on_exit}))
    await node.keeper.hold(OWNER, CapDraft(100.0, 60.0))
    node.is_killed()
    node.slept_s += 90.0
    node.starts(on_exit=on_exit)
    assert await node.looks() == AT_SAFE
    (lease,) = node.keeper.state().leases
    assert lease.reason == f"safe: the lease of {OWNER} lapsed at 2026-03-29 12:01:00Z"


async def test_a_cap_with_time_left_goes_on_after_kill_9(node: Node, autojump_clock: trio.testing.MockClock) -> None:
    await node.keeper.hold(OWNER, CapDraft(100.0, 60.0))
    node.is_killed()
    node.slept_s += 10.0
    node.starts()
    assert await node.looks() == AT_100_W
    await trio.sleep(51)
    assert await node.looks() == AT_SAFE


async def test_a_daemon_that_ends_well_gives_back_and_its_next_life_falls_back(
    node: Node, autojump_clock: trio.testing.MockClock
) -> None:
    await node.keeper.hold("operator", CapDraft(90.0, 600.0, None, "lift"))
    await node.keeper.hold(OWNER, CapDraft(100.0, 60.0))
    await node.keeper.give_back()
    assert node.host.is_as_it_was
    node.slept_s += 61.0
    node.starts()
    assert await node.looks() == AT_SAFE
    assert node.owners == [LAPSED]


async def test_rooms_of_the_daemon_itself_begin_anew_with_it(
    node: Node, autojump_clock: trio.testing.MockClock
) -> None:
    await node.keeper.hold("market", CapDraft(100.0, 60.0))
    node.is_killed()
    node.slept_s += 61.0
    node.starts()
    await node.looks()
    assert node.owners == []
    assert node.host.is_as_it_was


def test_leases_are_the_same_however_late_it_is_looked() -> None:
    leases = Leases().with_one(OWNER, 100, 60, None, 0.0)
    early, late = leases.lapsed(60.0, 50.0, NOON), leases.lapsed(6000.0, 50.0, NOON)
    assert early == late
    assert leases.lapsed(59.9, 50.0, NOON) == leases
    bridge = Leases((Held("safe", 60, 0.0, 300.0),))
    assert bridge.lapsed(301.0, 50.0, NOON) == Leases()


def test_falling_back_needs_to_know_how_far() -> None:
    with pytest.raises(RefusedError, match=r"safe needs caps\.safe, the cap to fall back to"):
        Settings(on_lapse="safe")


# ---- this host ----


async def test_this_host_is_capped_by_its_own_keeper(node: Node, autojump_clock: trio.testing.MockClock) -> None:
    load = OwnHost(node.keeper, lambda: None, name="here")
    assert isinstance(load, Leased)
    await node.looks()
    said = await load.describe()
    assert said.kind == "host"
    assert said.span is not None
    assert said.span.floor_w < 60 < said.span.ceiling_w
    assert not await load.renew()
    await load.apply(order_of(100.0))
    assert node.limits == AT_100_W
    assert await load.confirm(order_of(100.0))
    assert not await load.confirm(order_of(90.0))
    seen = await load.measure()
    assert (seen.state, seen.cap_w, seen.power_w) == ("running", 100.0, None)
    await trio.sleep(30)
    assert await load.renew()
    await trio.sleep(50)
    assert await node.looks() == AT_100_W
    await load.give_back(await load.original())
    assert node.host.is_as_it_was
    await load.aclose()


async def test_this_host_falls_back_where_its_balancer_leads_no_more_and_is_given_back_after(
    node: Node, autojump_clock: trio.testing.MockClock
) -> None:
    load = OwnHost(node.keeper, lambda: None, name="here")
    await load.apply(order_of(100.0))
    await trio.sleep(61)
    assert await node.looks() == AT_SAFE
    await load.give_back({"owner": OWN_OWNER})
    assert node.host.is_as_it_was


async def test_what_the_keeper_refuses_is_said(node: Node, autojump_clock: trio.testing.MockClock) -> None:
    load = OwnHost(node.keeper, lambda: None, name="here")
    with pytest.raises(LoadError, match="the load here: a cap of 1 W cannot be"):
        await load.apply(order_of(1.0))
