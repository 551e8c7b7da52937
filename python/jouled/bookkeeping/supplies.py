"""Looks at the host's batteries and UPSes, and logs their power."""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import trio
from msgspec.structs import replace
from sqlalchemy import Connection, select, update

from jouled.bookkeeping import batteries, devices, meters, power_readings
from jouled.config import Config
from jouled.errors import BooksError, StoreError
from jouled.log import log
from jouled.signals.nut import Ups, UpsAwayError, read_ups
from jouled.signals.power_supply import read_batteries
from jouled.signals.supply import Supply, as_id
from jouled.store import Store
from jouled.store.buffer import Backlog
from jouled.store.schema import meters as schema
from jouled.wire.devices import DeviceDraft, MeterDraft, PowerDraft

# So long a server of UPSes may be away, as while it is started anew, before its UPSes count as stale.
DEAD_S = 15.0
ANSWER_S = 5.0
SWEEP_S = 60.0

Clock = Callable[[], datetime]


async def look_at_supplies(config: Config, store: Store, clock: Clock) -> None:
    """Until cancelled. Without batteries and UPSes it only watches that none of the books falls silent."""
    settings = config.supplies
    # Four looks a minute of some supplies, for hours.
    backlog = Backlog(store, limit=10_000)
    node = as_id(config.node.name or platform.node() or "localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backlog.run)
        nursery.start_soon(_sweep, store, clock)
        if settings.batteries:
            nursery.start_soon(_look_at_batteries, config, node, backlog, clock)
        for text in settings.nut:
            nursery.start_soon(_look_at_ups, Ups.parse(text), node, settings.interval_s, backlog, clock)


async def _look_at_batteries(config: Config, node: str, backlog: Backlog, clock: Clock) -> None:
    # A battery's controller may take its time; it shall hold up nobody's thread but this one.
    limiter = trio.CapacityLimiter(1)
    known: set[str] = set()
    while True:
        found = await trio.to_thread.run_sync(read_batteries, config.sysfs, limiter=limiter, abandon_on_cancel=True)
        for battery in found:
            backlog.put(functools.partial(_log, node=node, supply=battery, at=clock()))
        for name in known - {battery.name for battery in found}:
            why = "it is not in /sys/class/power_supply any more"
            backlog.put(functools.partial(_mark_stale, node=node, name=name, at=clock(), why=why))
        known = {battery.name for battery in found}
        await trio.sleep(config.supplies.interval_s)


async def _look_at_ups(ups: Ups, node: str, interval_s: float, backlog: Backlog, clock: Clock) -> None:
    """What is wrong is said once, and once that it is well again."""
    answered_s = trio.current_time()
    said: str | None = None
    while True:
        try:
            supply = await read_ups(ups, ANSWER_S)
        except UpsAwayError as error:
            if said != str(error):
                said = str(error)
                log.warning(said)
            if error.is_stale or trio.current_time() - answered_s > max(DEAD_S, 3 * interval_s):
                backlog.put(
                    functools.partial(
                        _mark_stale, node=node, name=str(ups), at=clock(), why=said.removeprefix(f"{ups}: ")
                    )
                )
        else:
            answered_s = trio.current_time()
            if said is not None:
                said = None
                log.info(f"{ups}: answers again")
            backlog.put(functools.partial(_log, node=node, supply=supply, at=clock()))
        await trio.sleep(interval_s)


async def _sweep(store: Store, clock: Clock) -> None:
    while True:
        with suppress(StoreError):  # the store says so itself; silence lasts until the next look
            await store.commit(functools.partial(batteries.mark_all_stale, now=clock()))
        await trio.sleep(SWEEP_S)


def meter_id_of(node: str, name: str) -> str:
    return as_id(f"{node}:{name}")


def _log(connection: Connection, *, node: str, supply: Supply, at: datetime) -> None:
    """May be done again: its instant is its identity."""
    meter_id = _meter(connection, node, supply, at)
    draft: PowerDraft = replace(supply.power, timestamp=at)
    try:
        with connection.begin_nested():
            power_readings.log_power(connection, meter_id, draft, at)
    except BooksError as error:
        log.warning(f"{supply.name}: {error}")


def _meter(connection: Connection, node: str, supply: Supply, at: datetime) -> str:
    meter_id = meter_id_of(node, supply.name)
    table = schema.meters
    row = connection.execute(select(table.c.capacity_wh).where(table.c.id == meter_id)).one_or_none()
    if row is None:
        with connection.begin_nested():
            devices.register(connection, node, DeviceDraft(), at)
            meters.create(
                connection,
                MeterDraft(supply.kind, supply.name, meter_id, device_id=node, capacity_wh=supply.capacity_wh),
                at,
            )
    elif supply.capacity_wh is not None and row.capacity_wh != supply.capacity_wh:
        # It ages; or the operator has put in another.
        connection.execute(update(table).where(table.c.id == meter_id).values(capacity_wh=supply.capacity_wh))
    return meter_id


def _mark_stale(connection: Connection, *, node: str, name: str, at: datetime, why: str) -> None:
    batteries.mark_stale(connection, meter_id_of(node, name), at, why)
