"""Readings: in the books once, with all that they feed."""

from __future__ import annotations

import math
import random
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from jouled.bookkeeping import budgets, emissions, readings, site_energy
from jouled.bookkeeping.sites import zone_of
from jouled.books.calendar import Period
from jouled.config.books import Retention
from jouled.errors import BooksError, ConflictError, InvalidError, NotFoundError
from jouled.store import Store
from jouled.store.check import problems
from jouled.store.retention import sweep
from jouled.store.schema.events import messages
from jouled.store.schema.readings import energy_readings
from jouled.wire.carbon import BudgetDraft
from jouled.wire.readings import Ingested, Reading, ReadingDraft
from metered import NOW, ago, books, draft, ingest, make_meter, make_site, mill


def test_a_reading_has_its_emission_and_its_budget_in_the_same_transaction(store: Store) -> None:
    """It was: ingest did not feed carbon at all."""

    def work(connection: Connection) -> Any:
        mill(connection)
        budgets.create(connection, BudgetDraft(facility_id="mill", budget_period="daily", budget_amount=1), NOW)
        done = ingest(connection, draft(2.0))[0]
        return (
            done,
            emissions.emission_of(readings.row_of(connection, done.id)),
            budgets.status_of_site(connection, "mill", NOW),
        )

    done, emission, status = store.write(work)

    assert done.is_new
    assert (emission.total_emission, emission.carbon_intensity) == (0.84, 420)
    assert emission.method == "factors:default-1"
    assert (status.budget.used_amount, status.status) == (0.84, "warning")


def test_the_same_reading_again_is_the_same_and_nothing_is_doubled(store: Store) -> None:
    store.write(mill)
    reading = draft(2.0, metadata={"shift": 1, "note": "a"}, voltage=230.1)
    first = store.write(lambda connection: ingest(connection, reading))[0]
    before = store.read(books)
    again = store.write(lambda connection: ingest(connection, reading))[0]

    assert (first.is_new, again.is_new, again.id) == (True, False, first.id)
    assert store.read(books) == before


def test_the_same_instant_in_another_zone_of_time_is_the_same_reading(store: Store) -> None:
    store.write(mill)
    first = store.write(
        lambda connection: ingest(connection, draft(at=datetime.fromisoformat("2026-03-04T11:00:00+01:00")))
    )
    again = store.write(lambda connection: ingest(connection, draft(at=datetime.fromisoformat("2026-03-04T10:00:00Z"))))

    assert (again[0].id, again[0].is_new) == (first[0].id, False)


@pytest.mark.parametrize("key", [None, "batch-1-row-2"])
@pytest.mark.parametrize("other", [{"kwh": 3.0}, {"voltage": 1.0}, {"quality": "suspect"}, {"metadata": {"a": 1}}])
def test_other_content_under_the_same_name_is_a_conflict(store: Store, key: str | None, other: dict[str, Any]) -> None:
    store.write(mill)
    store.write(lambda connection: ingest(connection, draft(2.0, key=key)))
    before = store.read(books)
    with pytest.raises(ConflictError, match="says otherwise"):
        store.write(lambda connection: ingest(connection, draft(**{"kwh": 2.0, **other}, key=key)))

    assert store.read(books) == before


def test_a_key_names_one_reading_also_at_another_time(store: Store) -> None:
    store.write(mill)
    store.write(lambda connection: ingest(connection, draft(2.0, key="a")))
    with pytest.raises(ConflictError):
        store.write(lambda connection: ingest(connection, draft(2.0, at=ago(hours=1), key="a")))


def test_two_keys_are_two_readings(store: Store) -> None:
    store.write(mill)
    done = store.write(lambda connection: ingest(connection, draft(key="a"), draft(key="b")))

    assert all(one.is_new for one in done)
    assert done[0].id != done[1].id


def test_within_a_batch_the_same_is_taken_once_and_the_contradiction_refused(store: Store) -> None:
    store.write(mill)
    done = store.write(
        lambda connection: readings.ingest_each(
            connection, [draft(1.0), draft(1.0), draft(9.0), draft(1.0, at=ago(hours=1))], NOW
        )
    )

    assert [getattr(one, "is_new", type(one)) for one in done] == [True, False, ConflictError, True]
    assert len(store.read(books)["readings"]) == 2


def test_of_a_batch_what_can_be_is_taken_and_the_rest_is_said(store: Store) -> None:
    store.write(mill)
    done = store.write(
        lambda connection: readings.ingest_each(
            connection, [draft(1.0), draft(1.0, meter_id="none"), draft(2.0, ago(hours=1))], NOW
        )
    )

    assert isinstance(done[0], Ingested)
    assert isinstance(done[1], InvalidError)
    assert isinstance(done[2], Ingested)
    assert sum(row[1] for row in store.read(books)["readings"]) == 3 * 3_600_000_000


@pytest.mark.parametrize(
    ("reading", "word"),
    [
        (draft(math.nan), "consumption"),
        (draft(math.inf), "consumption"),
        (draft(-1.0), "consumption"),
        (draft(1e9), "another unit"),
        (draft(voltage=math.nan), "no number"),
        (draft(at=NOW + timedelta(minutes=6)), "future"),
        (draft(at=datetime(1970, 1, 1, tzinfo=UTC)), "2000"),
        (draft(at=datetime(2026, 3, 4)), "zone"),  # noqa: DTZ001  (that is what is refused)
        (draft(meter_id="none"), "no meter"),
        (draft(facility_id="other"), "not one of"),
        (draft(metadata={"a": "b" * 5000}), "bytes"),
        (draft(energy_source="peat"), "not known"),
    ],
)
def test_what_cannot_be_is_refused_by_name(store: Store, reading: ReadingDraft, word: str) -> None:
    store.write(mill)
    with pytest.raises(InvalidError, match=word):
        store.write(lambda connection: ingest(connection, reading))

    assert not store.read(books)["readings"]


def test_a_clock_may_be_five_minutes_ahead(store: Store) -> None:
    store.write(mill)

    assert store.write(lambda connection: ingest(connection, draft(at=NOW + timedelta(minutes=5))))[0].is_new


def test_a_generator_has_to_say_from_what(store: Store) -> None:
    def work(connection: Connection) -> None:
        mill(connection)
        make_meter(connection, "diesel", kind="generation", direction="produce")

    store.write(work)
    with pytest.raises(InvalidError, match="from what"):
        store.write(lambda connection: ingest(connection, draft(meter_id="diesel")))
    assert store.write(lambda connection: ingest(connection, draft(meter_id="diesel", energy_source="natural_gas")))


def test_a_reading_is_read_as_it_was_sent(store: Store) -> None:
    store.write(mill)
    sent = draft(
        1.234567,
        voltage=230.1,
        current=-3.5,
        power_factor=0.97,
        frequency=49.98,
        quality="suspect",
        metadata={"a": [1, 2.5, "ü"]},
        key="k-1",
    )
    done = store.write(lambda connection: ingest(connection, sent))[0]
    got = store.read(lambda connection: readings.get(connection, done.id))

    for name in (
        "meter_id",
        "facility_id",
        "consumption",
        "voltage",
        "current",
        "power_factor",
        "frequency",
        "quality",
        "metadata",
        "key",
        "timestamp",
    ):
        assert getattr(got, name) == getattr(sent, name)
    assert (got.energy_source, got.direction, got.created_at) == ("grid", "consume", NOW)
    with pytest.raises(NotFoundError):
        store.read(lambda connection: readings.get(connection, "none"))


def test_a_bad_reading_is_kept_and_not_counted(store: Store) -> None:
    store.write(mill)
    store.write(
        lambda connection: ingest(connection, draft(5.0, quality="bad"), draft(1.0, ago(hours=1), quality="estimated"))
    )
    day = Period(ago(days=1), NOW + timedelta(hours=1))
    total = store.read(lambda connection: emissions.total(connection, "mill", day))

    assert (total.total, total.readings, total.estimated_readings) == (0.42, 1, 1)
    assert len(store.read(books)["readings"]) == 2


def test_a_bad_reading_that_comes_alone_is_kept(store: Store) -> None:
    store.write(mill)
    (done,) = store.write(lambda connection: ingest(connection, draft(quality="bad")))

    assert done.is_new
    assert store.read(lambda connection: readings.get(connection, done.id)).quality == "bad"
    assert store.read(books)["sums"] == []


def test_the_stream_is_told_of_new_readings_only_once_per_site(store: Store) -> None:
    store.write(mill)
    batch = [draft(1.0, ago(minutes=minute)) for minute in range(150)]
    store.write(lambda connection: ingest(connection, *batch))
    store.write(lambda connection: ingest(connection, *batch))
    rows = store.read(lambda connection: connection.execute(select(messages)).all())

    assert [(row.topic, row.body["site_id"], row.body["count"], len(row.body["readings"])) for row in rows] == [
        ("readings", "mill", 150, readings.SHOWN_MAX)
    ]


def test_pages_of_readings_meet_without_a_gap_also_within_one_instant(store: Store) -> None:
    store.write(mill)
    batch = [draft(1.0, ago(minutes=number // 3), key=f"k{number}") for number in range(25)]
    done = store.write(lambda connection: ingest(connection, *batch))
    during, cursor = Period(ago(days=1), NOW + timedelta(seconds=1)), None
    seen: list[Reading] = []
    while True:
        page = store.read(partial(readings.listed, site_id="mill", during=during, cursor=cursor, limit=7))
        seen += page.readings
        cursor = page.next_cursor
        if cursor is None:
            break

    assert sorted(one.id for one in seen) == sorted(one.id for one in done)
    assert [one.timestamp for one in seen] == sorted((one.timestamp for one in seen), reverse=True)


@pytest.mark.parametrize("cursor", ["", "x", "IjEi", "IjE6LTEi", "Ijk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk6MSI"])
def test_a_cursor_that_no_page_gave_out_is_refused(store: Store, cursor: str) -> None:
    store.write(mill)
    with pytest.raises(InvalidError, match="cursor"):
        store.read(lambda connection: readings.listed(connection, "mill", Period(ago(days=1), NOW), cursor, 7))


def _batches(seed: int, count: int = 60) -> list[ReadingDraft]:
    """Over the night in which the clock jumps, of three sources."""
    pick = random.Random(seed)
    night = datetime(2026, 3, 29, tzinfo=UTC)
    return [
        draft(
            pick.randrange(10_000) / 1000,
            night + timedelta(minutes=pick.randrange(-600, 600)),
            pick.choice(["main", "panels", "battery"]),
            key=f"r{seed}-{number}",
        )
        for number in range(count)
    ]


AFTER = datetime(2026, 4, 2, tzinfo=UTC)


def _prepared(connection: Connection) -> None:
    mill(connection)
    for kind in ("daily", "weekly", "monthly", "yearly"):
        body = BudgetDraft(facility_id="mill", id=kind, budget_period=kind, budget_amount=20)
        budgets.create(connection, body, NOW)


def _expected(drafts: list[ReadingDraft]) -> dict[str, Any]:
    """The books after all of them came once, in one batch."""
    with Store(state_dir=tempfile.mkdtemp()) as store:
        store.write(_prepared)
        store.write(lambda connection: ingest(connection, *drafts, now=AFTER))
        return store.read(books)


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_readings_in_any_order_and_however_often_make_the_same_books(data: st.DataObject) -> None:
    drafts = _batches(1, 25)
    order = data.draw(st.permutations(drafts + drafts[:10]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=5)))
    with Store(state_dir=tempfile.mkdtemp()) as store:
        store.write(_prepared)
        for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True):
            store.write(partial(readings.ingest, drafts=order[start:end], now=AFTER))
        assert store.read(books) == _expected(drafts)


def test_two_writers_at_once_make_the_books_of_one(store: Store) -> None:
    """Each sends all, in an order of its own, over a connection of its own."""
    store.write(_prepared)
    drafts = _batches(2)
    failed: list[BaseException] = []

    def send(seed: int) -> None:
        mine = random.Random(seed).sample(drafts, len(drafts))
        try:
            with Store(store.url.render_as_string(hide_password=False)) as other:
                for start in range(0, len(mine), 7):
                    other.write(partial(readings.ingest, drafts=mine[start : start + 7], now=AFTER))
        except BaseException as error:  # noqa: BLE001  (the test's own thread tells)
            failed.append(error)

    threads = [threading.Thread(target=send, args=(seed,)) for seed in (3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failed
    assert store.read(books) == _expected(drafts)


def test_sums_over_any_range_are_those_of_its_readings(store: Store) -> None:
    store.write(_prepared)
    drafts = _batches(5, 200)
    store.write(lambda connection: ingest(connection, *drafts, now=AFTER))
    pick = random.Random(6)
    for _ in range(20):
        start = datetime(2026, 3, 28, 12, tzinfo=UTC) + timedelta(seconds=pick.randrange(60_000))
        end = start + timedelta(seconds=pick.randrange(1, 100_000))

        def both(connection: Connection, start: datetime = start, end: datetime = end) -> tuple[int, int]:
            rows = site_energy.sums(connection, "mill", start, end, zone_of(connection, "mill"))
            query = select(func.sum(energy_readings.c.energy_mj))
            whole = connection.execute(query.where(energy_readings.c.at >= start, energy_readings.c.at < end)).scalar()
            return sum(row.energy_mj for row in rows), int(whole or 0)

        by_sums, by_readings = store.read(both)
        assert by_sums == by_readings


def test_many_at_once_by_copy_are_the_same_as_one_by_one(store: Store) -> None:
    store.write(_prepared)
    drafts = _batches(7, 300)
    store.write(lambda connection: ingest(connection, *drafts[:150], now=AFTER))
    done = store.write(lambda connection: ingest(connection, *drafts, now=AFTER))

    assert [one.is_new for one in done] == [False] * 150 + [True] * 150
    assert store.read(books) == _expected(drafts)


def test_a_sum_beyond_64_bits_is_refused_and_changes_nothing(store: Store) -> None:
    store.write(mill)
    at = datetime(2026, 3, 4, 6, tzinfo=UTC)
    batch = [draft(1_000_000.0, at, key=f"k{number}") for number in range(1200)]
    store.write(lambda connection: ingest(connection, *batch))
    before = store.read(books)
    with pytest.raises(InvalidError, match="another unit"):
        store.write(
            lambda connection: ingest(connection, *(draft(1_000_000.0, at, key=f"l{number}") for number in range(1200)))
        )

    assert store.read(books) == before


async def test_a_reading_that_retention_has_removed_is_not_counted_again(store: Store) -> None:
    """Days stay: it would be in them twice."""
    kept = Retention(raw_s=86_400, minute_s=86_400, quarter_hour_s=3 * 86_400)
    old = [draft(1.0, ago(days=day, hours=hour), key=f"k{day}-{hour}") for day in range(9) for hour in range(0, 24, 3)]

    def again(connection: Connection) -> list[Ingested | BooksError]:
        return readings.ingest_each(connection, old, NOW)

    await store.commit(mill)
    await store.commit(again)
    before = await store.fetch(books)
    await sweep(store, kept, NOW, pause_s=0)
    swept = await store.fetch(books)
    outcomes = await store.commit(again)

    assert 0 < len(swept["readings"]) < len(before["readings"])
    assert {str(one).partition("; ")[2] for one in outcomes if isinstance(one, BooksError)} == {"its time is closed"}
    assert not any(isinstance(one, Ingested) and one.is_new for one in outcomes)
    assert await store.fetch(books) == swept
    assert await store.fetch(lambda connection: list(problems(connection))) == []


def test_a_site_whose_days_are_counted_keeps_its_calendar(store: Store) -> None:
    from jouled.bookkeeping import sites
    from jouled.wire.sites import SiteDraft

    store.write(lambda connection: make_site(connection, "empty"))
    store.write(mill)
    store.write(lambda connection: ingest(connection, draft()))
    moved = SiteDraft(name="Mill", timezone="UTC")

    assert store.write(lambda connection: sites.replace(connection, "empty", moved, NOW)).timezone == "UTC"
    with pytest.raises(ConflictError, match="timezone"):
        store.write(lambda connection: sites.replace(connection, "mill", moved, NOW))
