from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.books.prices import Series, day_bounds
from jouled.http import AnswerError, MissingError
from jouled.signals.market.provider import CET
from jouled.signals.market.slots import Origin, Point, per_mwh, series_of, unit_of

DAY = date(2026, 5, 4)
MIDNIGHT = datetime(2026, 5, 3, 22, tzinfo=UTC)
NOW = datetime(2026, 5, 3, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)


def origin(day: date = DAY) -> Origin:
    return Origin("nordpool", "DE-LU", day, CET, NOW, "GET http://x/prices")


def point(quarters: float, price: str | None, minutes: int | None = None, volume: str | None = None) -> Point:
    start = MIDNIGHT + quarters * QUARTER
    end = None if minutes is None else start + timedelta(minutes=minutes)
    return Point(start, None if price is None else Decimal(price), end, None if volume is None else Decimal(volume))


def series(*points: Point, day: date = DAY) -> Series:
    return series_of(points, origin(day), b"body")


def shown(found: Series) -> list[tuple[str, str, str]]:
    return [(f"{slot.start:%H:%M}", f"{slot.end:%H:%M}", str(slot.price)) for slot in found.slots]


@pytest.mark.parametrize(
    ("day", "first", "count"),
    [
        (date(2025, 10, 1), "2025-09-30T22:00Z", 96),
        (date(2025, 10, 26), "2025-10-25T22:00Z", 100),
        (date(2026, 3, 29), "2026-03-28T23:00Z", 92),
        (date(2026, 10, 25), "2026-10-24T22:00Z", 100),
        (date(2027, 3, 28), "2027-03-27T23:00Z", 92),
    ],
)
def test_a_day_has_as_many_quarters_as_its_clock(day: date, first: str, count: int) -> None:
    start = datetime.fromisoformat(first)
    found = series(*(Point(start + index * QUARTER, Decimal(index)) for index in range(-8, 120)), day=day)
    assert len(found.slots) == count
    assert found.slots[0].start == start
    assert [slot.price for slot in found.slots] == list(range(count))
    assert found.is_complete


def test_points_in_any_order_count_once_and_the_day_before_and_after_are_left_out() -> None:
    found = series(point(2, "3"), point(0, "1"), point(1, "2"), point(0, "1"), point(-1, "9"), point(96, "9"))
    assert [slot.price for slot in found.slots] == [1, 2, 3]


def test_two_values_for_one_time_are_refused_and_a_null_beside_a_value_is_not_one() -> None:
    with pytest.raises(AnswerError, match=r"GET http://x/prices: two different values for 2026-05-03 22:00"):
        series(point(0, "1"), point(0, "2"), point(1, "2"))
    for points in ((point(0, None), point(0, "2")), (point(0, "2"), point(0, None))):
        assert [slot.price for slot in series(*points, point(1, None)).slots] == [2]


def test_null_is_missing_zero_is_zero_and_negative_is_right() -> None:
    found = series(point(0, None), point(1, "0"), point(2, "-250.32"), point(3, None))
    assert [(slot.start, slot.price) for slot in found.slots] == [
        (MIDNIGHT + QUARTER, Decimal(0)),
        (MIDNIGHT + 2 * QUARTER, Decimal("-250.32")),
    ]
    assert not found.is_complete


def test_of_two_resolutions_the_finer_one_counts_and_of_the_hour_remains_the_rest() -> None:
    found = series(point(0, "80", 60), point(1, "10", 15), point(4, "70", 60), point(8, "5", 15), point(9, "6", 15))
    assert shown(found) == [
        ("22:00", "22:15", "80"),
        ("22:15", "22:30", "10"),
        ("22:30", "23:00", "80"),
        ("23:00", "00:00", "70"),
        ("00:00", "00:15", "5"),
        ("00:15", "00:30", "6"),
    ]


def test_three_resolutions_lie_inside_each_other() -> None:
    found = series(point(0, "1", 60), point(0, "2", 30), point(1, "3", 15), point(3, "4", 15))
    assert shown(found) == [
        ("22:00", "22:15", "2"),
        ("22:15", "22:30", "3"),
        ("22:30", "22:45", "1"),
        ("22:45", "23:00", "4"),
    ]


def test_a_null_quarter_does_not_take_the_hour_away() -> None:
    assert shown(series(point(0, "80", 60), point(1, None, 15))) == [("22:00", "23:00", "80")]


def test_a_volume_is_divided_where_its_slot_is_cut() -> None:
    found = series(point(0, "80", 60, "100"), point(0, "10", 15, "7"))
    assert [slot.volume_mwh for slot in found.slots] == [Decimal(7), Decimal(75)]


def test_a_slot_over_the_border_of_the_day_is_cut_there() -> None:
    found = series(point(-2, "80", 60), point(2, "70", 15), point(94, "60", 60))
    assert shown(found) == [("22:00", "22:30", "80"), ("22:30", "22:45", "70"), ("21:30", "22:00", "60")]


def test_slots_of_one_length_that_overlap_are_refused() -> None:
    with pytest.raises(AnswerError, match="overlap; none of it is used"):
        series(point(0, "1", 60), point(2, "1", 60))


@pytest.mark.parametrize("minutes", [0, -15, 3000])
def test_a_slot_has_a_length_that_can_be(minutes: int) -> None:
    with pytest.raises(AnswerError, match="none of it is used"):
        series(point(0, "1", minutes))


def test_one_point_alone_does_not_say_how_long_it_lasts() -> None:
    with pytest.raises(AnswerError, match="one point alone"):
        series(point(0, "1"))


@pytest.mark.parametrize("price", ["100001", "-100001", "1e999999", "-1e999999", "NaN", "sNaN", "Infinity"])
def test_a_price_of_another_unit_is_refused(price: str) -> None:
    with pytest.raises(AnswerError, match="is not between -100000 and 100000; none of it is used"):
        series(point(0, price, 15))


def test_a_volume_that_cannot_be_is_refused() -> None:
    with pytest.raises(AnswerError, match="the volume is -1"):
        series(point(0, "1", 15, "-1"))
    with pytest.raises(AnswerError, match="the volume 1E"):
        series(point(0, "1", 15, "1e300"))


@pytest.mark.parametrize(
    ("written", "kept"), [("1e2", "100"), ("1e-999999", "0.000000"), ("-0.0", "0.0"), ("0." + "3" * 400, "0.333333")]
)
def test_a_price_has_six_decimals_at_most_and_no_exponent(written: str, kept: str) -> None:
    assert str(series(point(0, written, 15)).slots[0].price) == kept


def test_nothing_of_the_day_is_missing_and_not_an_empty_series() -> None:
    for points in ((), (point(0, None), point(1, None)), (point(-9, "1"), point(-8, "1"))):
        with pytest.raises(MissingError, match="nothing of 2026-05-04 in DE-LU yet"):
            series(*points)


def test_an_answer_of_more_than_a_day_can_hold_is_refused() -> None:
    with pytest.raises(AnswerError, match="more than 20000 points"):
        series(*(point(index, "1") for index in range(20_001)))
    with pytest.raises(AnswerError, match="2001 slots in one day"):
        series(*(point(index / 100, "1") for index in range(2001)))


def test_a_series_says_where_it_is_from() -> None:
    found = series(point(0, "1", 15))
    assert found[:6] == ("nordpool", "DE-LU", "day-ahead", DAY, CET, "EUR")
    assert found.fetched_at == NOW
    assert found.body_sha256 == "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"


@pytest.mark.parametrize(
    ("text", "currency", "factor"),
    [
        ("EUR/MWh", "EUR", "1"),
        ("EUR / MWh", "EUR", "1"),
        ("Eur/MWh", "EUR", "1"),
        ("€/MWh", "EUR", "1"),
        ("ct/kWh", "EUR", "10"),
        ("Cent / kWh", "EUR", "10"),
        ("EUR/kWh", "EUR", "1000"),
        ("GBP/MWh", "GBP", "1"),
        ("pence/kWh", "GBP", "10"),
        ("p/kWh", "GBP", "10"),
        ("GBP pence/kWh", "GBP", "10"),
        ("£/kWh", "GBP", "1000"),
        ("SEK/MWh", "SEK", "1"),
    ],
)
def test_units_are_read_however_they_are_written(text: str, currency: str, factor: str) -> None:
    assert unit_of(text, "x") == (currency, Decimal(factor))


@pytest.mark.parametrize("text", ["", "EUR", "MWh", "EUR/MW", "EUR/GWh", "g/kWh", "EUR/MWh\n2", "x" * 10_000])
def test_what_is_no_unit_of_a_price_is_refused(text: str) -> None:
    with pytest.raises(AnswerError, match=r"^x: "):
        unit_of(text, "x")


def test_pence_become_pounds_exactly_and_nonsense_is_refused_before_it_is_computed() -> None:
    assert per_mwh(Decimal("10.2795"), Decimal(10), "x") == Decimal("102.795")
    assert per_mwh(None, Decimal(10), "x") is None
    with pytest.raises(AnswerError, match="x: the price 1E"):
        per_mwh(Decimal("1e999999"), Decimal(10), "x")


LENGTHS = (5, 15, 30, 60)
POINTS = st.lists(
    st.tuples(st.integers(-20, 320), st.sampled_from(LENGTHS), st.integers(-500, 4000) | st.none()), max_size=40
)


@given(POINTS, st.sampled_from([date(2026, 5, 4), date(2025, 10, 26), date(2026, 3, 29)]))
def test_whatever_overlaps_the_slots_are_in_order_in_the_day_and_the_finest_counts(
    drawn: Sequence[tuple[int, int, int | None]], day: date
) -> None:
    start, end = day_bounds(day, CET)
    points = [
        Point(at, None if price is None else Decimal(price), at + timedelta(minutes=minutes))
        for index, minutes, price in drawn
        for at in (start + timedelta(minutes=index * 5 // minutes * minutes),)
    ]
    try:
        found = series(*points, day=day)
    except MissingError:
        assert not [one for one in points if one.price is not None and one.start < end and (one.end or end) > start]
        return
    except AnswerError as error:
        assert "two different values" in str(error)  # noqa: PT017  (one of three outcomes)
        return
    before = start
    for slot in found.slots:
        assert before <= slot.start < slot.end <= end
        before = slot.end
    at = start
    while at < end:
        over = [one for one in points if one.price is not None and one.end and one.start <= at < one.end]
        finest = min(over, key=lambda one: (one.end or end) - one.start, default=None)
        slot_now = found.at(at)
        assert (slot_now.price if slot_now else None) == (finest.price if finest else None)
        at += timedelta(minutes=5)
