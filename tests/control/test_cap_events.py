"""What happens to caps, in the books: written once, in order, and never waited for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import trio

from jouled.bookkeeping import events
from jouled.control.caps.events import EVENTS_MAX, CapEvents
from jouled.control.caps.turns import Happening
from jouled.store import Store

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


class Telling:
    """A clock that goes on by a second with each event."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._at = NOON

    def clock(self) -> datetime:
        self._at += timedelta(seconds=1)
        return self._at

    async def tell(self, *happenings: Happening) -> None:
        """In one life of the daemon."""
        told = CapEvents(self.store, self.clock, node="rack-7")
        for happening in happenings:
            told.tell(happening)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(told.run)
            told.close()

    @property
    def types(self) -> list[str]:
        page = self.store.read(events.listed)
        return [event.type for event in reversed(page.items)]

    @property
    def alerts(self) -> list[str]:
        page = self.store.read(events.open_alerts)
        return [alert.dedup_key for alert in page.items]


SET = Happening("cap_set", "info", "operator", "at most 100 W, asked for by operator", 100.0)
FAILED = Happening("cap_failed", "critical", "/sys/limit", "write /sys/limit: no data")
RECOVERED = Happening("cap_recovered", "info", "/sys/limit", "it can be written again")
CEDED = Happening("cap_ceded", "critical", "/sys/limit", "left to thermald")
LIFTED = Happening("cap_lifted", "info", "node", "no cap is asked for any more")


async def test_events_are_written_in_order_and_conditions_stay_open_until_they_end(store: Store) -> None:
    telling = Telling(store)
    await telling.tell(SET, FAILED, CEDED)
    assert telling.types == ["cap_set", "cap_failed", "cap_ceded"]
    assert telling.alerts == ["cap_ceded:rack-7:/sys/limit", "cap_failed:rack-7:/sys/limit"]


async def test_a_condition_that_ends_is_closed_and_said(store: Store) -> None:
    telling = Telling(store)
    await telling.tell(FAILED, CEDED, RECOVERED)
    assert telling.alerts == ["cap_ceded:rack-7:/sys/limit"]
    await telling.tell(CEDED, LIFTED)
    assert telling.alerts == []
    assert telling.types == ["cap_failed", "cap_ceded", "cap_recovered", "cap_ceded", "cap_lifted"]


async def test_what_was_open_when_an_earlier_daemon_ended_is_open_no_longer(store: Store) -> None:
    telling = Telling(store)
    await telling.tell(FAILED)
    await telling.tell()
    assert telling.alerts == []


async def test_an_event_that_is_written_twice_is_there_once(store: Store) -> None:
    told = CapEvents(store, lambda: NOON, node="rack-7")
    told.tell(SET)
    work = told._backlog._works[-1]
    store.write(work)
    store.write(work)
    assert Telling(store).types == ["cap_set"]


async def test_a_store_that_is_away_is_not_waited_for_and_the_queue_has_an_end(store: Store) -> None:
    told = CapEvents(store, lambda: NOON, node="rack-7")
    for _ in range(2 * EVENTS_MAX):
        told.tell(SET)
    assert len(told._backlog) == EVENTS_MAX
    assert told._backlog.dropped == EVENTS_MAX + 1  # and what closes the alerts of before
