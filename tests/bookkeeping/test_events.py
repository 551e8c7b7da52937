"""Events: at an edge, once, to all who are to be told, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, select

from jouled.bookkeeping import events
from jouled.store import Store
from jouled.store.schema.events import deliveries, messages
from jouled.store.schema.events import events as table
from metered import NOW


@pytest.fixture(autouse=True)
def _nobody_else_is_told() -> Iterator[None]:
    yield
    events.deliver_to(())


def low(connection: Connection, **fields: Any) -> str | None:
    wanted: dict[str, Any] = {
        "type": "low_battery",
        "severity": "warning",
        "dedup_key": "low:b1",
        "at": NOW,
        "note": "low",
    }
    return events.raise_event(connection, **{**wanted, **fields})


def test_six_times_the_same_condition_is_one_event(store: Store) -> None:
    ids = [store.write(low) for _ in range(6)]

    assert ids[0] is not None
    assert ids[1:] == [None] * 5
    assert store.read(events.listed).count == 1


def test_a_condition_that_ended_may_begin_again(store: Store) -> None:
    store.write(low)
    assert store.write(lambda connection: events.clear(connection, "low:b1", NOW, type="restore", note="charged"))
    assert not store.write(lambda connection: events.clear(connection, "low:b1", NOW, type="restore"))
    assert store.write(low) is not None
    types = [event.type for event in store.read(events.listed).items]

    assert types == ["low_battery", "restore", "low_battery"]


def test_an_event_is_written_told_and_queued_in_one_transaction(store: Store) -> None:
    events.deliver_to(("webhook", "command"))
    event_id = store.write(lambda connection: low(connection, device_id="b1", value=10.0))

    def fails(connection: Connection) -> None:
        low(connection, dedup_key="other")
        raise ValueError

    with pytest.raises(ValueError):
        store.write(fails)
    message = store.read(lambda connection: connection.execute(select(messages)).one())
    event = store.read(lambda connection: connection.execute(select(table)).one())
    queued = store.read(lambda connection: connection.execute(select(deliveries).order_by(deliveries.c.seq)).all())

    assert (message.topic, message.body["id"], message.body["device_id"]) == ("events", event_id, "b1")
    assert [(row.event_seq, row.target, row.state, row.attempts) for row in queued] == [
        (event.seq, "webhook", "pending", 0),
        (event.seq, "command", "pending", 0),
    ]


def test_lists_are_by_what_they_are_of_and_page_by_page(store: Store) -> None:
    for number in range(5):
        store.write(
            partial(
                events.note_event,
                type="discharge",
                severity="info",
                dedup_key=f"d{number}",
                at=NOW - timedelta(hours=number),
                note="",
                device_id="odd" if number % 2 else "even",
                site_id="mill",
            )
        )

    def keys(**wanted: Any) -> list[str]:
        return [one.dedup_key for one in store.read(lambda connection: events.listed(connection, **wanted)).items]

    first = store.read(lambda connection: events.listed(connection, limit=3))
    assert [one.dedup_key for one in first.items] == ["d4", "d3", "d2"]
    assert keys(cursor=first.next_cursor) == ["d1", "d0"]
    assert keys(device_id="odd") == ["d3", "d1"]
    assert keys(type="low_battery") == []
    assert keys(start=NOW - timedelta(hours=1), end=NOW) == ["d1"]
    assert store.read(events.open_alerts).count == 0


def test_a_long_note_is_cut_and_not_refused(store: Store) -> None:
    store.write(lambda connection: low(connection, note="x" * 5000, dedup_key="k" * 500))

    assert len(store.read(events.listed).items[0].note) == events.NOTE_MAX
    assert store.write(lambda connection: events.clear(connection, "k" * 500, NOW))
