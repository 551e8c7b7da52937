from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jouled.bookkeeping import deliveries, events
from jouled.bookkeeping.deliveries import Claimed
from jouled.books.deliveries import CLAIM, TRIES, Failure
from jouled.errors import ConflictError, NotFoundError
from jouled.store import Store

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
AWAY = Failure("no answer")


@pytest.fixture(autouse=True)
def both_targets() -> Iterator[None]:
    events.deliver_to(("webhook", "command"))
    yield
    events.deliver_to(())


def happen(store: Store, name: str, at: datetime = NOW) -> str:
    return store.write(
        lambda connection: events.note_event(
            connection, type="test", severity="warning", dedup_key=name, at=at, note=name
        )
    )


def claim(store: Store, now: datetime = NOW, target: str = "webhook") -> Claimed | None:
    return store.write(lambda connection: deliveries.claim(connection, target, now))


def settle(store: Store, claimed: Claimed, failure: Failure | None, now: datetime = NOW) -> str:
    return store.write(lambda connection: deliveries.settle(connection, claimed, failure, now, 0.5))


def states(store: Store, state: str | None = None) -> list[tuple[str, str, int]]:
    page = store.read(lambda connection: deliveries.listed(connection, state, None, 100))
    return [(one.target, one.state, one.attempts) for one in reversed(page.items)]


def test_an_event_is_queued_with_it_for_each_target(store: Store) -> None:
    def fail(connection: Any) -> None:
        events.note_event(connection, type="test", severity="info", dedup_key="x", at=NOW, note="")
        raise ValueError("after all")

    with pytest.raises(ValueError, match="after all"):
        store.write(fail)
    assert states(store) == []
    happen(store, "one")
    assert states(store) == [("webhook", "pending", 0), ("command", "pending", 0)]


def test_deliveries_are_claimed_in_order_each_once(store: Store) -> None:
    names = [happen(store, name, NOW + timedelta(seconds=index)) for index, name in enumerate(("one", "two"))]
    now = NOW + timedelta(seconds=5)
    claimed = [claim(store, now), claim(store, now), claim(store, now)]
    assert [one.event.id if one else None for one in claimed] == [*names, None]
    assert not store.read(lambda connection: deliveries.is_due(connection, "webhook", now))
    assert store.read(lambda connection: deliveries.is_due(connection, "command", now))


def test_whoever_died_with_a_delivery_has_not_kept_it_and_it_counted_as_tried(store: Store) -> None:
    happen(store, "one")
    assert claim(store) is not None
    assert claim(store, NOW + CLAIM - timedelta(seconds=1)) is None
    again = claim(store, NOW + CLAIM)
    assert again is not None
    assert again.attempts == 2


def test_a_receiver_that_stays_away_is_given_up_after_all_tries(store: Store) -> None:
    happen(store, "one")
    now, seen = NOW, []
    for _ in range(TRIES):
        claimed = claim(store, now)
        assert claimed is not None
        seen.append(settle(store, claimed, AWAY, now))
        now += timedelta(days=1)
    assert seen == ["pending"] * (TRIES - 1) + ["dead"]
    assert claim(store, now) is None
    assert states(store, "dead") == [("webhook", "dead", TRIES)]


def test_a_dead_delivery_stays_seen_and_can_be_tried_again(store: Store) -> None:
    event_id = happen(store, "one")
    claimed = claim(store)
    assert claimed is not None
    assert settle(store, claimed, Failure("410 gone", is_final=True)) == "dead"
    (dead,) = store.read(lambda connection: deliveries.listed(connection, "dead", None, 100)).items
    assert (dead.event_id, dead.event_type, dead.last_error, dead.next_at) == (event_id, "test", "410 gone", None)
    again = store.write(lambda connection: deliveries.retry(connection, dead.seq, NOW))
    assert (again.state, again.attempts, again.next_at) == ("pending", 0, NOW)
    claimed = claim(store)
    assert claimed is not None
    assert settle(store, claimed, None) == "delivered"
    with pytest.raises(ConflictError, match="was delivered already"):
        store.write(lambda connection: deliveries.retry(connection, dead.seq, NOW))
    with pytest.raises(NotFoundError, match="there is no delivery 999"):
        store.write(lambda connection: deliveries.retry(connection, 999, NOW))


def test_an_event_that_another_process_wrote_is_queued_once(store: Store) -> None:
    events.deliver_to(())
    happen(store, "one")
    (new,) = store.read(lambda connection: deliveries.events_after(connection, 0))
    for _ in range(2):
        store.write(lambda connection: deliveries.queue(connection, [new.seq], ["webhook"], NOW))
    assert states(store) == [("webhook", "pending", 0)]
    assert store.read(deliveries.newest) == new.seq


def test_what_was_delivered_is_forgotten_after_a_week_and_what_was_given_up_is_not(store: Store) -> None:
    happen(store, "one")
    for target, failure in (("webhook", None), ("command", Failure("no", is_final=True))):
        claimed = claim(store, NOW, target)
        assert claimed is not None
        settle(store, claimed, failure)
    assert store.write(lambda connection: deliveries.tidy(connection, NOW + timedelta(days=6))) == 0
    assert store.write(lambda connection: deliveries.tidy(connection, NOW + timedelta(days=8))) == 1
    assert states(store) == [("command", "dead", 1)]
