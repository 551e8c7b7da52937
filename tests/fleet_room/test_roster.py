"""Miners are found, known again under another address, and kept with what the operator says of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import pytest
import trio
from trio.testing import MockClock

from actuators import FakeActuator
from jouled.bookkeeping import fleet as books
from jouled.bookkeeping.fleet import MinerRow
from jouled.config import Config
from jouled.config.balance import Balance, BalancedLoad
from jouled.config.miners import Miners
from jouled.control.fleet.discovery import Discovery
from jouled.control.fleet.fleet import Fleet
from jouled.control.fleet.roster import Roster
from jouled.errors import StoreError
from jouled.loads.actuator import Actuator, Preset
from jouled.store import Store
from trading import WallClock

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
MAC = "02:00:00:00:00:01"
SUBNET = Miners(subnets=("10.20.0.0/28",), discover_s=60.0)


class Found(NamedTuple):
    address: str
    family: str = "vnish"
    mac: str | None = MAC
    model: str | None = "S19"
    name: str | None = None
    problem: str | None = None


class MovableActuator(FakeActuator):
    """One that can be told where its device is now."""

    def move(self, address: str) -> None:
        self.address = address
        self.is_away = False


class Network:
    """Devices by address: what discovery asks, and what actuators are made of."""

    def __init__(self, *devices: MovableActuator) -> None:
        self.at: dict[str, MovableActuator] = {str(device.address): device for device in devices}
        self.made: list[str] = []
        self.asked: list[str] = []
        self.is_closed = False

    async def connects(self, host: str, port: int, within_s: float) -> bool:
        self.asked.append(host)
        if host in self.at:
            return True
        await trio.sleep(within_s)
        return False

    async def probe(self, address: str) -> Found | None:
        device = self.at.get(address)
        return None if device is None else Found(address, device.kind, device.id, device.model)

    def make(self, family: str, mac: str, address: str) -> Actuator:
        self.made.append(mac)
        for device in self.at.values():
            if device.id == mac:
                return device
        gone = MovableActuator(mac, kind=family, address=address)
        gone.is_away = True
        return gone

    async def aclose(self) -> None:
        self.is_closed = True


def miner(number: int, address: str | None = None) -> MovableActuator:
    address = address or f"10.20.0.{number}"
    return MovableActuator(f"02:00:00:00:00:{number:02x}", kind="vnish", model="S19", address=address, point="2100")


@asynccontextmanager
async def found_by(
    network: Network,
    *,
    store: Store | None = None,
    settings: Miners = SUBNET,
    named: Iterable[BalancedLoad] = (),
    leads: Callable[[], bool] = lambda: True,
) -> AsyncIterator[Roster]:
    config = Config(miners=settings, balance=Balance(load=tuple(named)))
    fleet = Fleet(config=config, clock=WallClock(AT), jitter=lambda: 0.5)
    discovery = Discovery(settings, network.probe, named=config.balance.load, connects=network.connects)
    roster = Roster(
        fleet, settings=settings, making=network, discovery=discovery, store=store, leads=leads, jitter=lambda: 0.5
    )
    fleet.roster = roster
    async with trio.open_nursery() as nursery:
        await nursery.start(fleet.run)
        yield roster
        nursery.cancel_scope.cancel()
    await fleet.aclose()


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110  (what is waited for has no event)
        await trio.sleep(0.05)


async def kept(store: Store, is_so: Callable[[list[MinerRow]], object]) -> list[MinerRow]:
    """What the store has, once it is so: the store lives by the wall, and the test by a clock of its own."""
    while True:
        rows = await store.fetch(books.all_miners)
        if is_so(rows):
            return rows
        await trio.sleep(0.5)


async def test_one_that_does_not_let_itself_be_known_is_a_problem_until_it_does(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(miner(1), miner(2), miner(3))
    locked = {"10.20.0.2", "10.20.0.3"}
    probe = network.probe

    async def refuses(address: str) -> Found | None:
        if address in locked:
            return Found(address, mac=None, problem="its password is another one")
        return await probe(address)

    monkeypatch.setattr(network, "probe", refuses)
    async with found_by(network) as roster:
        await until(lambda: roster.discovery.refused)
        (problem,) = roster.fleet.problems
        assert "10.20.0.2: its password is another one" in problem
        assert "and 1 more" in problem
        locked.clear()
        await until(lambda: len(roster.fleet) == 3)
        assert roster.fleet.problems == ()


async def test_miners_are_found_in_the_subnet_and_nowhere_else(autojump_clock: MockClock) -> None:
    network = Network(miner(1), miner(9), miner(77))
    async with found_by(network) as roster:
        await trio.sleep(20)
        assert [watched.id for watched in roster.fleet.watched] == [MAC, "02:00:00:00:00:09"]
        assert sorted(set(network.asked)) == sorted(f"10.20.0.{number}" for number in range(1, 15))
        assert roster.row(MAC) is not None
        assert roster.fleet.watched[0].allowed.unmanaged is not None  # no max_preset yet
    assert network.is_closed


async def test_a_miner_is_known_again_under_another_address(autojump_clock: MockClock) -> None:
    device = miner(1)
    network = Network(device)
    async with found_by(network) as roster:
        await trio.sleep(20)
        watched = roster.fleet.of(MAC)
        assert watched is not None
        del network.at["10.20.0.1"]
        device.is_away = True
        await trio.sleep(60)
        assert watched.is_away
        assert watched.worst_w(trio.current_time()) == 2100.0
        # The scan does not forget it; it comes back elsewhere, and answers there only.
        network.at["10.20.0.7"] = device
        await trio.sleep(150)
        seen = watched.seen
        assert seen is not None
        assert seen.state == "running"
        assert roster.fleet.of(MAC) is watched
        assert roster.moves == 1
        row = roster.row(MAC)
        assert row is not None
        assert row.address == "10.20.0.7"


async def test_one_that_is_well_is_not_probed_again_and_a_copy_of_it_is_no_move(autojump_clock: MockClock) -> None:
    device, copy = miner(1), miner(1, address="10.20.0.2")
    network = Network(device)
    async with found_by(network) as roster:
        await trio.sleep(30)
        network.asked.clear()
        network.at["10.20.0.2"] = copy
        await trio.sleep(120)
        assert "10.20.0.1" not in network.asked
        assert roster.moves == 0
        assert roster.fleet.actuator(MAC) is device


async def test_a_stranger_that_breaks_the_probe_does_not_end_the_search(autojump_clock: MockClock) -> None:
    class Odd(Network):
        async def probe(self, address: str) -> Found | None:
            if address == "10.20.0.3":
                raise ValueError("not a miner")
            if address == "10.20.0.4":
                await trio.sleep_forever()
            if address == "10.20.0.5":
                return Found(address, mac=None, problem="it does not tell its MAC")
            return await super().probe(address)

    network = Odd(miner(1), miner(3), miner(4), miner(5))
    async with found_by(network) as roster:
        await trio.sleep(20)
        assert [watched.id for watched in roster.fleet.watched] == [MAC]
        assert roster.discovery.latest is not None
        assert (roster.discovery.latest.asked, roster.discovery.latest.answered) == (14, 4)


async def test_a_miner_of_the_settings_is_found_without_a_subnet(autojump_clock: MockClock) -> None:
    network = Network(miner(1, address="192.168.7.7:4028"))
    named = BalancedLoad("the old one", "vnish", address="192.168.7.7:4028", priority=9, circuit="pdu-1")
    async with found_by(network, settings=Miners(), named=[named]) as roster:
        await trio.sleep(20)
        (one,) = roster.fleet.members(trio.current_time())
        assert (one.id, one.priority, one.circuit) == (MAC, 9, "pdu-1")
        assert network.asked == []


async def test_a_daemon_started_anew_counts_a_miner_that_is_away_with_its_most(
    store: Store, autojump_clock: MockClock
) -> None:
    device = miner(1)
    device.draws_w = 2222.0
    async with found_by(Network(device), store=store):
        await kept(store, lambda rows: rows and rows[0].worst_w == 2222.0)
    network = Network()
    async with found_by(network, store=store) as roster:
        await until(lambda: roster.fleet.of(MAC))
        (one,) = roster.fleet.members(trio.current_time())
        await trio.sleep(30)
        (one,) = roster.fleet.members(trio.current_time())
        assert one.seen is not None
        assert one.seen.state == "away"
        assert one.worst_w == 2222.0
        assert [row.name for row in roster.models.rows] == ["S19"]


async def test_what_the_operator_says_at_another_daemon_is_known_here(store: Store, autojump_clock: MockClock) -> None:
    async with found_by(Network(miner(1)), store=store) as roster:
        await kept(store, lambda rows: rows and rows[0].model)
        await store.commit(lambda connection: books.change_model(connection, "S19", {"max_preset": "2620"}, AT))
        await until(lambda: roster.fleet.watched[0].allowed.unmanaged is None)
        (one,) = roster.fleet.members(trio.current_time())
        assert [point.name for point in one.points][-1] == "2620"
        await store.commit(lambda connection: books.change_miner(connection, MAC, {"is_locked": True}, AT))
        await until(lambda: roster.fleet.watched[0].allowed.unmanaged)
        assert "locked" in (roster.fleet.watched[0].allowed.unmanaged or "")


async def test_a_miner_that_answers_counts_on_where_the_store_knows_it_no_more(
    store: Store, autojump_clock: MockClock
) -> None:
    """A store that was put back from an older copy says nothing about what draws power."""
    async with found_by(Network(miner(1)), store=store) as roster:
        await kept(store, len)
        await until(lambda: roster._stored)
        assert await store.commit(lambda connection: books.forget(connection, MAC))
        await until(lambda: not roster._stored)
        assert len(roster.fleet) == 1
        await kept(store, len)


async def test_what_the_store_said_before_the_operator_spoke_is_not_taken_after(
    store: Store, autojump_clock: MockClock
) -> None:
    async with found_by(Network(miner(1)), store=store) as roster:
        await kept(store, len)
        fetch, has_read, goes_on = store.fetch, trio.Event(), trio.Event()

        async def late(work: Callable[[Any], Any]) -> Any:
            found = await fetch(work)
            has_read.set()
            await goes_on.wait()
            return found

        store.fetch = late  # type: ignore[assignment, method-assign]  # an answer that is long on its way
        async with trio.open_nursery() as nursery:
            nursery.start_soon(roster._sync)
            await has_read.wait()
            store.fetch = fetch  # type: ignore[method-assign]  # as it was
            locked = await store.commit(lambda connection: books.change_miner(connection, MAC, {"is_locked": True}, AT))
            roster.take_miner(locked)
            goes_on.set()
        assert roster.fleet.watched[0].standing.locked


async def test_statuses_are_kept_once_a_minute_and_with_each_change(store: Store, autojump_clock: MockClock) -> None:
    device = miner(1)
    async with found_by(Network(device), store=store):
        await kept(store, len)
        device.set_point("1100")
        while True:
            rows = await store.fetch(partial(books.statuses, mac=MAC, limit=100))
            if rows and rows[0].preset == "1100":
                break
            await trio.sleep(0.5)
        assert rows[-1].preset == "2100"
        assert rows[0].state == "running"


async def test_only_the_leader_keeps_records_and_all_of_them_know_the_miners(
    store: Store, autojump_clock: MockClock
) -> None:
    async with found_by(Network(miner(1)), store=store, leads=lambda: False) as roster:
        await trio.sleep(200)
        assert roster.row(MAC) is not None
        assert await store.fetch(books.all_miners) == []


async def test_work_goes_on_while_the_store_is_away(autojump_clock: MockClock, tmp_path: object) -> None:
    with Store(state_dir=str(tmp_path)) as store:

        async def refuses(work: object) -> None:
            raise StoreError("the store is away")

        store.fetch = refuses  # type: ignore[assignment, method-assign]  # as where its server is gone
        store.commit = refuses  # type: ignore[assignment, method-assign]  # as above
        settings = Miners(subnets=SUBNET.subnets, discover_s=60.0)
        async with found_by(Network(miner(1)), store=store, settings=settings) as roster:
            await trio.sleep(300)
            assert roster.row(MAC) is not None
            assert roster.fleet.watched[0].seen is not None
            assert roster.fleet.watched[0].seen.state == "running"


async def test_a_forgotten_miner_counts_no_more_and_is_found_again_where_it_answers(autojump_clock: MockClock) -> None:
    device = miner(1)
    network = Network(device)
    async with found_by(network) as roster:
        await trio.sleep(20)
        roster.forget(MAC)
        assert len(roster.fleet) == 0
        await trio.sleep(80)
        assert len(roster.fleet) == 1


async def test_what_one_device_says_of_itself_does_not_keep_the_others_out_of_the_books(
    store: Store, autojump_clock: MockClock
) -> None:
    """Names of any length, with signs that no table takes."""
    odd, other = miner(1), miner(2)
    name = "preset\x00" + "x" * 300
    odd.presets = (Preset(name, 1100.0, 50.0), Preset("1100", 1100.0, 50.0, pretty="p\x00" * 100))
    odd.point, odd.name, odd.note = name, "n\x00" * 200, "why\x00" * 300
    odd.model = "S\x00" * 200
    async with found_by(Network(odd, other), store=store):
        rows = await kept(store, lambda rows: len(rows) == 2 and all(row.description for row in rows))
        assert [row.point for row in rows] == [None, "2100"]
        assert [preset["name"] for preset in (rows[0].description or {})["presets"]] == ["1100"]
        for row in rows:
            assert await store.fetch(partial(books.statuses, mac=row.id, limit=1))
