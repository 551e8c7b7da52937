from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from jouled.books.intensity import Slot, grams_of_pounds, micrograms
from jouled.http import AnswerError
from jouled.signals.answers import decoded, instant_of_text, instant_of_unix
from jouled.signals.carbon.slots import Origin, Point, slots_of

MIDNIGHT = datetime(2026, 10, 24, 22, tzinfo=UTC)  # local midnight of Berlin's day of 25 hours
ORIGIN = Origin("DE", "average", "energy-charts", MIDNIGHT, "GET http://x/co2eq")
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)


def series(*points: Point) -> list[Slot]:
    return slots_of(points, ORIGIN, b"body")


def point(quarters: int, value: int | None = 100, **parts: bool) -> Point:
    return Point(MIDNIGHT + quarters * QUARTER, None if value is None else Decimal(value), **parts)  # type: ignore[arg-type]  # is_forecast


@pytest.mark.parametrize(
    ("day", "quarters"), [("2026-03-28T23:00Z", 92), ("2026-07-01T22:00Z", 96), ("2026-10-24T22:00Z", 100)]
)
def test_a_day_has_as_many_quarters_as_the_answer_has(day: str, quarters: int) -> None:
    start = datetime.fromisoformat(day)
    found = series(*(Point(start + index * QUARTER, Decimal(index)) for index in range(quarters)))
    assert len(found) == quarters
    assert found[-1].end - found[0].start == quarters * QUARTER
    assert all(slot.end - slot.start == QUARTER for slot in found)


def test_points_in_any_order_are_sorted_and_the_same_twice_counts_once() -> None:
    found = series(point(2), point(0), point(1), point(0))
    assert [slot.start for slot in found] == [MIDNIGHT + index * QUARTER for index in range(3)]


def test_two_values_for_one_time_are_refused() -> None:
    with pytest.raises(AnswerError, match=r"GET http://x/co2eq: two different values for 2026-10-24 22:00"):
        series(point(0, 100), point(0, 101), point(1))


def test_null_is_missing_and_zero_is_zero() -> None:
    found = series(point(0, None), point(1, 0), point(2, None), point(3, 5))
    assert [(slot.start, slot.ug_per_kwh) for slot in found] == [
        (MIDNIGHT + QUARTER, 0),
        (MIDNIGHT + 3 * QUARTER, 5_000_000),
    ]


def test_a_point_that_is_left_out_is_a_gap_and_its_neighbour_does_not_grow_over_it() -> None:
    found = series(point(0), point(1), point(3), point(4))
    assert [slot.end - slot.start for slot in found] == [QUARTER] * 4
    assert found[1].end < found[2].start


def test_a_series_may_go_from_hours_to_quarters() -> None:
    found = series(point(0), point(4), point(8), point(9), point(10))
    assert [slot.end - slot.start for slot in found] == [HOUR, HOUR, QUARTER, QUARTER, QUARTER]


@pytest.mark.parametrize("value", ["-0.1", "5001", "1e999999", "NaN", "Infinity"])
def test_what_no_grid_emits_is_refused(value: str) -> None:
    with pytest.raises(AnswerError, match="is not between 0 and 5000; none of it is used"):
        series(Point(MIDNIGHT, Decimal(value)), point(1))


def test_slots_that_overlap_are_refused() -> None:
    with pytest.raises(AnswerError, match="overlap; none is used"):
        series(Point(MIDNIGHT, Decimal(1), MIDNIGHT + HOUR), Point(MIDNIGHT + QUARTER, Decimal(1), MIDNIGHT + HOUR))


@pytest.mark.parametrize("end", [MIDNIGHT, MIDNIGHT - HOUR, MIDNIGHT + timedelta(hours=25)])
def test_a_slot_ends_after_it_begins_and_within_a_day(end: datetime) -> None:
    with pytest.raises(AnswerError, match="at most a day"):
        series(Point(MIDNIGHT, Decimal(1), end))


def test_pounds_become_grams_exactly() -> None:
    assert grams_of_pounds(Decimal(1000)) == Decimal("453.59237")
    assert micrograms(grams_of_pounds(Decimal("870.0"))) == 394_625_362  # 394.6253619
    assert micrograms(Decimal("0.1")) == 100_000


def test_a_slot_says_where_it_is_from() -> None:
    slot = series(point(0, is_forecast=True), point(1))[0]
    assert slot[:2] == ("DE", "average")
    assert slot.provider == "energy-charts"
    assert slot.is_forecast
    assert slot.body_sha256 == "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"data": NaN}'])
def test_what_is_not_the_answer_is_said_with_its_place(body: bytes) -> None:
    with pytest.raises(AnswerError, match=r"^GET http://x: not the answer that was expected"):
        decoded(body, dict[str, list[Decimal]], "GET http://x")


def test_a_page_is_no_answer() -> None:
    with pytest.raises(AnswerError, match="a page for browsers came instead of JSON"):
        decoded(b"\xef\xbb\xbf <html>", dict, "GET http://x")


def test_milliseconds_are_no_seconds() -> None:
    with pytest.raises(AnswerError, match="no time in seconds since 1970"):
        instant_of_unix(1_782_856_800_000, "x")
    assert instant_of_unix(1_782_856_800, "x") == datetime(2026, 6, 30, 22, tzinfo=UTC)


def test_a_time_without_zone_is_taken_only_where_all_is_utc() -> None:
    at = datetime(2026, 5, 4, 12, tzinfo=UTC)
    assert instant_of_text("2026-05-04T12:00Z", "x") == at
    assert instant_of_text("2026-05-04T14:00:00+02:00", "x") == at
    assert instant_of_text("2026-05-04T12:00:00", "x", is_utc=True) == at
    with pytest.raises(AnswerError, match="has no zone"):
        instant_of_text("2026-05-04T12:00:00", "x")
    with pytest.raises(AnswerError, match="is no time"):
        instant_of_text("yesterday", "x")
