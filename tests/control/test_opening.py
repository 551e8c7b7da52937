"""The start of control: what an earlier life has left, and who else is in charge."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio

from capped_hosts import PL2, Host, wanted
from jouled.balance.leases import Leases
from jouled.config import Config
from jouled.config.caps import Caps as Settings
from jouled.control.caps.keeper import GIVE_BACK_S, CapKeeper
from jouled.control.caps.opening import SAFE_BRIDGE_S, open_hands
from jouled.control.caps.turns import KeptLeases, Outcome, Wanted
from jouled.journal import HeldError, Journal
from jouled.wire.caps import CapDraft, CapPlan

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
HOLD: Mapping[str, Any] = {"enabled": True, "on_exit": "hold"}
SAFE: Mapping[str, Any] = {"enabled": True, "on_exit": "safe", "safe_w": 60.0}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def config(host: Host, **caps: Any) -> Config:
    return Config(
        sysfs=str(host.tree.sysfs),
        procfs=str(host.tree.procfs),
        state_dir=str(host.tree.caps.parent),
        caps=Settings(**caps),
    )


def cap_and_die(host: Host, **caps: Any) -> None:
    """A life that held 100 W for another ten minutes at noon, and was killed."""
    hands = host.hands(Settings(**caps))
    leases = Leases().with_one("operator", 100, 600, "peak", 0.0)
    hands.turn(Wanted(100, KeptLeases(leases.held, leases.shown(NOON), NOON)))
    hands.close()


def opened(host: Host, after_s: float = 0.0, **caps: Any) -> Leases:
    """The leases that the next life goes on with, so long after."""
    found = open_hands(config(host, **caps), clock=lambda: 5.0, wall=lambda: NOON + timedelta(seconds=after_s))
    assert found is not None
    found.hands.turn(wanted(found.leases.at(5.0).watts, has_slept=True))
    found.hands.close()
    return found.leases


def test_restore_gives_back_and_forgets_the_leases(host: Host) -> None:
    cap_and_die(host, **HOLD)
    assert opened(host, enabled=True) == Leases()
    assert host.is_as_it_was
    assert not (host.tree.caps / "journal.json").exists()


def test_hold_goes_on_with_what_was_left_of_each_lease(host: Host) -> None:
    cap_and_die(host, **HOLD)
    (lease,) = opened(host, after_s=200, **HOLD).held
    assert (lease.owner, lease.watts, lease.reason) == ("operator", 100, "peak")
    assert lease.until_s == pytest.approx(405)
    assert host.limit(0) == 50_000_000


def test_hold_gives_back_where_the_time_of_all_leases_has_passed(host: Host) -> None:
    cap_and_die(host, **HOLD)
    assert opened(host, after_s=600, **HOLD).held == ()
    assert host.is_as_it_was


def test_a_clock_set_back_between_two_lives_makes_no_lease_longer(host: Host) -> None:
    cap_and_die(host, **HOLD)
    (lease,) = opened(host, after_s=-86_400, **HOLD).held
    assert lease.until_s == pytest.approx(605)


def test_a_lease_below_what_is_allowed_now_is_raised_to_it_and_said(host: Host, lines: list[Any]) -> None:
    cap_and_die(host, **HOLD)
    assert opened(host, min_w=120.0, **HOLD).watts == 120.0
    assert any("is 120 W now: 100 W is not allowed any more" in line["event"] for line in lines)


def test_safe_holds_the_safe_cap_for_a_while(host: Host) -> None:
    cap_and_die(host, **SAFE)
    leases = opened(host, **SAFE)
    assert leases.watts == 60
    assert host.limit(0) == 30_000_000
    safe = leases.of("safe")
    assert safe is not None
    assert safe.until_s == 5.0 + SAFE_BRIDGE_S


def test_another_boot_has_no_caps_to_give_back(host: Host, lines: list[Any]) -> None:
    cap_and_die(host, enabled=True)
    for socket in (0, 1):
        host.write(socket, 80_000_000)  # as the firmware of today wants it
    host.tree.boots("another")
    opened(host, enabled=True)
    assert host.limit(0) == 80_000_000
    assert any("nothing to give back" in line["event"] for line in lines)


def test_what_was_left_is_given_back_where_capping_is_off_now(host: Host) -> None:
    cap_and_die(host, enabled=True)
    assert open_hands(config(host, enabled=False)) is None
    assert host.is_as_it_was
    host.hands().close()  # the journal is free


def test_where_capping_is_off_what_cannot_be_given_back_yet_is_tried_again(host: Host, tmp_path: Path) -> None:
    cap_and_die(host, enabled=True)
    host.zones[0].rename(tmp_path / "away")
    found = open_hands(config(host, enabled=False))
    assert found is not None
    (tmp_path / "away").rename(host.zones[0])
    found.hands.turn(wanted(100))  # whatever is asked for
    assert host.is_as_it_was


def test_whoever_else_is_in_charge_is_named(host: Host, lines: list[Any]) -> None:
    hands = host.hands()
    with pytest.raises(HeldError, match=r"is held by jouled \(process \d+\)"):
        open_hands(config(host, enabled=True))
    # A daemon that only measures says so, and goes on.
    assert open_hands(config(host, enabled=False)) is None
    assert any("is held by jouled" in line["event"] for line in lines)
    hands.close()


def test_a_dry_run_gives_nothing_back_and_says_how(host: Host, lines: list[Any]) -> None:
    cap_and_die(host, enabled=True)
    found = open_hands(config(host, enabled=True, dry_run=True))
    assert found is not None
    assert host.limit(0) == 50_000_000
    assert any("`joulectl caps restore` gives them back" in line["event"] for line in lines)
    Journal.open(str(host.tree.caps), procfs=str(host.tree.procfs)).close()


class HangingHands:
    """A file of the kernel that does not answer, until it is told to."""

    def __init__(self) -> None:
        self.settings = Settings(enabled=True)
        self.answers = threading.Event()
        self.asked = threading.Event()
        self.did: list[str] = []

    def turn(self, wanted: Wanted) -> Outcome:
        self.asked.set()
        self.answers.wait()
        self.did.append("turn")
        return Outcome(can_limit=True)

    def planned(self, node_w: float) -> CapPlan:
        return CapPlan(node_w, None, ())

    def leave(self, kept: KeptLeases) -> tuple[str, ...]:
        self.did.append("leave")
        return ()


async def test_a_write_that_hangs_does_not_hold_the_end_and_giving_back_comes_after_it(lines: list[Any]) -> None:
    hands = HangingHands()
    keeper = CapKeeper(hands.settings, hands)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.hold, "operator", CapDraft(100))
        await trio.to_thread.run_sync(hands.asked.wait)
        nursery.cancel_scope.cancel()
    began_s = trio.current_time()
    with trio.CancelScope() as scope:
        scope.cancel()
        await keeper.give_back()
    assert trio.current_time() - began_s >= GIVE_BACK_S * 0.99
    assert "do not answer within 2 s" in lines[-1]["event"]
    assert hands.did == []
    hands.answers.set()


async def test_a_write_that_is_slow_is_followed_by_giving_back(lines: list[Any]) -> None:
    hands = HangingHands()
    keeper = CapKeeper(hands.settings, hands)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.hold, "operator", CapDraft(100))
        await trio.to_thread.run_sync(hands.asked.wait)
        nursery.cancel_scope.cancel()
    hands.answers.set()
    await keeper.give_back()
    assert hands.did == ["turn", "leave"]


def test_hold_goes_on_after_a_reboot_with_new_originals(host: Host) -> None:
    cap_and_die(host, **HOLD)
    for socket in (0, 1):
        host.write(socket, 80_000_000)
        host.write(socket, 90_000_000, PL2)
    host.tree.boots("another")
    found = open_hands(config(host, **HOLD), clock=lambda: 5.0, wall=lambda: NOON + timedelta(seconds=60))
    assert found is not None
    assert found.leases.watts == 100
    found.hands.turn(wanted(100, has_slept=True))
    assert [host.limit(0), host.limit(1)] == [50_000_000, 50_000_000]
    found.hands.turn(wanted(None))
    assert [host.limit(0), host.limit(0, PL2)] == [80_000_000, 90_000_000]
    found.hands.close()
