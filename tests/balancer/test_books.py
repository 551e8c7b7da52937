"""What the balancer keeps in the books, on both engines; and that it never waits for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from sqlalchemy import insert

from balanced import FakePlant, balancing, fleet_of, settings
from jouled.balance.site.words import Happening, Timing
from jouled.bookkeeping import balance as books
from jouled.bookkeeping import events as all_events
from jouled.config.books import Retention
from jouled.control.site.keeping import Books
from jouled.errors import InvalidError, StoreError
from jouled.store import Store
from jouled.store.retention import sweep
from jouled.store.schema.meters import meters
from jouled.store.schema.sites import circuits, sites
from jouled.wire.balance import BalanceEvent, BalancePoint, Setting

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def event(number: int, load: str = "aa:bb", **more: Any) -> BalanceEvent:
    made = BalanceEvent(
        id=f"decision-{number}",
        miner_id=load,
        old_preset="3010",
        new_preset="off",
        old_power=3010.0,
        new_power=0.0,
        reason="emergency: 32000 W of 20000 W",
        total_consumption_before=32_000.0,
        total_consumption_after=28_990.0,
        available_power=20_000.0,
        target_power=18_000.0,
        success=None,
        error_message=None,
        recorded_at=NOON + number * SECOND,
        kind="shed",
        status="executing",
        mode="auto",
        is_urgent=True,
        inputs={"band": "emergency", "supply_watts": 20_000.0},
        expected={"watts": 0.0},
        observed={},
    )
    return replace(made, **more)


def point(minute: int, **more: Any) -> BalancePoint:
    made = BalancePoint(
        at=NOON + minute * timedelta(minutes=1),
        band="hold",
        stage=None,
        mode="auto",
        supply_watts=None,
        budget_watts=20_000.0,
        target_watts=18_000.0,
        load_watts=17_000.0,
        measured_watts=None,
        unmanaged_watts=0.0,
        pending=0,
        is_saturated=False,
    )
    return replace(made, **more)


def test_a_decision_is_one_row_and_ends_as_it_was_seen_to(store: Store) -> None:
    store.write(lambda connection: books.put(connection, event(1), "site-1"))
    done = event(1, status="completed", success=True, observed={"watts": 12.0}, ended_at=NOON + 9 * SECOND)
    for _ in range(2):  # nobody knows whether the first commit came through
        store.write(lambda connection: books.put(connection, done, "site-1"))
    assert store.read(books.events).items == (done,)


def test_decisions_come_newest_first_of_one_load_or_all_and_page_on(store: Store) -> None:
    def put_all(connection: Any) -> None:
        for number in range(7):
            books.put(connection, event(number, "aa:bb" if number % 2 else "cc:dd"), "site-1")

    store.write(put_all)
    found: list[str] = []
    cursor = None
    while True:
        page = store.read(partial(books.events, limit=3, cursor=cursor))
        found += [one.id for one in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == [f"decision-{number}" for number in reversed(range(7))]
    of_one = store.read(lambda connection: books.events(connection, load="aa:bb"))
    assert [one.id for one in of_one.items] == ["decision-5", "decision-3", "decision-1"]
    with pytest.raises(InvalidError):
        store.read(lambda connection: books.events(connection, cursor="!"))


def test_what_an_earlier_daemon_left_open_is_ended(store: Store) -> None:
    def put_all(connection: Any) -> None:
        books.put(connection, event(1), "site-1")
        books.put(connection, event(2, status="proposed"), "site-1")
        books.put(connection, event(3), "site-2")
        books.end_left(connection, "site-1", NOON + 60 * SECOND)

    store.write(put_all)
    found = {one.id: (one.status, one.success) for one in store.read(books.events).items}
    assert found == {
        "decision-1": ("failed", False),
        "decision-2": ("expired", None),
        "decision-3": ("executing", None),
    }


def test_the_last_verdict_of_a_minute_counts(store: Store) -> None:
    def put_all(connection: Any) -> None:
        for minute in range(5):
            books.put_minute(connection, point(minute, load_watts=1.0), "site-1")
            books.put_minute(connection, point(minute, load_watts=float(minute)), "site-1")
        books.put_minute(connection, point(0), "site-2")

    store.write(put_all)
    whole: dict[str, Any] = {"start": NOON, "end": NOON + timedelta(hours=1)}
    page = store.read(lambda connection: books.series(connection, "site-1", limit=3, **whole))
    more = store.read(lambda connection: books.series(connection, "site-1", limit=3, cursor=page.next_cursor, **whole))
    assert [one.load_watts for one in (*page.items, *more.items)] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert more.next_cursor is None
    assert page.items[0] == point(0, load_watts=0.0)


def test_the_latest_of_each_setting_holds_and_all_are_kept(store: Store) -> None:
    made = [
        Setting("reserve", 20.0, "anna", "storm", NOON),
        Setting("mode", "ask", "anna", "", NOON),
        Setting("reserve", 15.0, "ben", "", NOON + SECOND),
        Setting("reserve", None, "ben", "", NOON + 2 * SECOND),
    ]
    for setting in (*made, *made):
        store.write(partial(books.put_setting, setting=setting, site="site-1"))
    found = store.read(lambda connection: books.settings(connection, "site-1"))
    assert {one.key: (one.value, one.who) for one in found} == {"reserve": (None, "ben"), "mode": ("ask", "anna")}
    assert len(store.read(lambda connection: books.setting_history(connection, "site-1"))) == 4
    assert store.read(lambda connection: books.settings(connection, "site-2")) == ()


async def test_what_is_too_old_goes_and_what_holds_stays(store: Store) -> None:
    retention = Retention()
    later = NOON + timedelta(seconds=retention.quarter_hour_s) + timedelta(days=1)

    def put_all(connection: Any) -> None:
        books.put(connection, event(1), "site-1")
        books.put(connection, event(2, recorded_at=later), "site-1")
        books.put_minute(connection, point(0), "site-1")
        books.put_minute(connection, point(0, at=later), "site-1")
        books.put_setting(connection, Setting("reserve", 20.0, "anna", "", NOON), "site-1")
        books.put_setting(connection, Setting("reserve", 25.0, "anna", "", NOON + SECOND), "site-1")

    store.write(put_all)
    await sweep(store, retention, later, pause_s=0.0)
    assert [one.id for one in store.read(books.events).items] == ["decision-2"]
    left = store.read(lambda connection: books.series(connection, "site-1", start=NOON, end=later + timedelta(days=1)))
    assert [one.at for one in left.items] == [later]
    assert [one.value for one in store.read(lambda connection: books.setting_history(connection, "site-1"))] == [25.0]


def test_circuits_and_the_meter_are_read_as_the_planner_takes_them(store: Store) -> None:
    def make(connection: Any) -> None:
        site = {"name": "Hydro", "timezone": "UTC", "currency": "EUR", "energy_sources": {}, "is_active": True}
        connection.execute(insert(sites).values(id="site-1", created_at=NOON, updated_at=NOON, **site))
        common = {"site_id": "site-1", "created_at": NOON}
        connection.execute(insert(circuits).values(id="hall", name="Hall", limit_w=50_000.0, **common))
        connection.execute(insert(circuits).values(id="pdu", name="PDU", parent_id="hall", **common))
        meter = {"kind": "main", "direction": "consume", "energy_source": "grid", **common}
        connection.execute(insert(meters).values(id="m1", name="miners", **meter))
        connection.execute(insert(meters).values(id="m2", name="miners", power_w=123.0, latest_at=NOON, **meter))

    store.write(make)
    found = store.read(lambda connection: books.circuits_of(connection, "site-1"))
    assert [(one.id, one.limit_w, one.parent) for one in found] == [("hall", 50_000.0, None), ("pdu", None, "hall")]
    assert store.read(lambda connection: books.metered(connection, "m1")) is None
    assert store.read(lambda connection: books.metered(connection, "m2")) == (123.0, NOON)
    assert store.read(lambda connection: books.metered(connection, "m3")) is None


async def told(store: Store, *happenings: Happening) -> None:
    """In one life of the daemon."""
    kept = Books(store, "site-1")
    kept.begin(NOON)
    for number, happening in enumerate(happenings):
        kept.happening(happening, NOON + number * SECOND)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.run)
        kept.close()


def alerts(store: Store) -> list[str]:
    return [alert.dedup_key for alert in store.read(all_events.open_alerts).items]


async def test_conditions_stay_open_until_they_end(store: Store) -> None:
    away = Happening("load_away", "warning", "aa:bb", "it does not answer")
    stale = Happening("supply_stale", "warning", "site", "heard of 50 s ago")
    failed = Happening("supply_failed", "critical", "site", "heard of 700 s ago")
    fresh = Happening("supply_fresh", "info", "site", "heard of again")
    foreign = Happening("foreign", "warning", "aa:bb", "somebody set it")
    await told(store, away, stale, failed, foreign)
    assert alerts(store) == [
        "load_away:site-1:aa:bb",
        "supply_failed:site-1:site",
        "supply_stale:site-1:site",
    ]
    # The next life finds anew what is still so.
    await told(store, failed, fresh)
    assert alerts(store) == []
    types = [one.type for one in store.read(all_events.listed).items]
    assert types.count("foreign") == 1
    assert types.count("supply_fresh") == 1


class AwayStore:
    """A store whose server is gone; what is asked of it fails, or is not answered."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.backlogs: list[Any] = []
        self.hangs = hangs
        self.asked = 0
        self.watch = self
        self.lost = 0

    def drop(self, records: int) -> None:
        self.lost += records

    async def fetch(self, _: object) -> Any:
        self.asked += 1
        if self.hangs:
            await trio.sleep_forever()
        raise StoreError("the server is gone; it is tried again")

    async def commit(self, _: object) -> Any:
        """Its thread ends by itself, whatever the server does."""
        raise StoreError("the server is gone; it is tried again")


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_store_that_is_away_delays_no_shed(tmp_path: Path, autojump_clock: object, hangs: bool) -> None:
    loads = fleet_of(10)
    plant = FakePlant(40_000.0)
    away: Any = AwayStore(hangs=hangs)
    async with balancing(tmp_path, loads, plant, store=away, config=settings(meter="miners")) as balancer:
        await trio.sleep(60)
        await balancer.set_reserve(20.0, "anna")
        plant.say(20_000.0)
        await trio.sleep(30)
        assert balancer.status().load_watts is not None
        assert sum(load.power_w(trio.current_time()) for load in loads) <= 16_000.0
        await trio.sleep(600)
        assert balancer.is_live
        # What could not be written waits for it.
        assert sum(len(backlog) for backlog in away.backlogs) > 0
    assert away.asked > 0
    assert away.lost > 0


async def test_what_happened_is_in_the_books_of_a_real_store(store: Store, tmp_path: Path) -> None:
    loads = fleet_of(4, timing=Timing(0.1, 0.2))
    plant = FakePlant(40_000.0)
    quick = settings(cycle_s=0.1, stale_s=5.0)
    async with balancing(tmp_path, loads, plant, store=store, config=quick) as balancer:
        await balancer.set_reserve(12.0, "anna")
        plant.say(6_000.0)
        with trio.fail_after(60):
            while not any(one.status == "completed" for one in balancer.events()):
                await balancer.changed.changed()
    kept = store.read(books.events).items
    assert {one.id for one in kept} == {one.id for one in balancer.events()}
    assert all(one.status in {"completed", "failed", "cancelled"} for one in kept)
    assert [one.value for one in store.read(lambda connection: books.settings(connection, "site-1"))] == [12.0]
    # Another daemon of this site, with a state directory of its own, holds to what was set.
    async with balancing(tmp_path / "other", loads, plant, store=store, config=quick) as balancer:
        with trio.fail_after(60):
            while balancer.status().safety_margin_percent != 12.0:
                await balancer.changed.changed()
