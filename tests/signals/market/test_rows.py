from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from jouled.http import AnswerError
from jouled.signals.market.rows import Row, label, number, points_of_rows, quarters

PARIS = "Europe/Paris"
WINTER = date(2025, 10, 26)
SPRING = date(2026, 3, 29)
PLAIN = date(2026, 5, 4)


def starts(day: date, *periods: str) -> list[tuple[str, str]]:
    rows = [Row(period, Decimal(1), Decimal(index), f"f:{index}") for index, period in enumerate(periods)]
    return [(f"{point.start:%H:%M}", f"{point.end:%H:%M}") for point in points_of_rows(rows, day, PARIS) if point.end]


def test_labels_are_local_time_and_the_last_one_ends_at_24() -> None:
    assert starts(PLAIN, "00:00-00:15", "23:45-24:00") == [("22:00", "22:15"), ("21:45", "22:00")]


def test_the_last_quarter_may_also_be_written_as_the_original_s_clock_wrote_it() -> None:
    assert starts(PLAIN, "23:45-00:00") == starts(PLAIN, "23:45-24:00")


def test_spaces_and_dashes_of_web_pages_are_read() -> None:
    assert starts(PLAIN, "00:00 - 00:15", " 0:15\u20130:30 ") == [("22:00", "22:15"), ("22:15", "22:30")]


def test_the_second_of_two_equal_labels_is_the_later_instant_when_the_clock_is_set_back() -> None:
    found = starts(WINTER, "01:45-02:00", "02:00-02:15", "02:45-03:00", "02:00-02:15", "02:45-03:00", "03:00-03:15")
    assert found == [
        ("23:45", "00:00"),
        ("00:00", "00:15"),
        ("00:45", "01:00"),
        ("01:00", "01:15"),
        ("01:45", "02:00"),
        ("02:00", "02:15"),
    ]
    assert starts(WINTER, "02:00-03:00", "02:00-03:00") == [("00:00", "01:00"), ("01:00", "02:00")]


def test_a_label_that_a_short_day_does_not_have_is_left_out() -> None:
    found = starts(SPRING, "01:45-02:00", "02:00-02:15", "02:45-03:00", "03:00-03:15")
    assert found == [("00:45", "01:00"), ("01:00", "01:15")]


def test_across_the_change_of_the_clock_a_period_may_name_the_wall_s_next_time() -> None:
    assert starts(SPRING, "01:45-03:00") == [("00:45", "01:00")]


@pytest.mark.parametrize("day", [PLAIN, WINTER, SPRING])
def test_every_quarter_of_a_day_is_read_back_from_its_label(day: date) -> None:
    instants = [at for at, _ in quarters(day, PARIS)]
    labels = [label(at, at + timedelta(minutes=15), PARIS) for at in instants]
    rows = [Row(text, Decimal(1), Decimal(index), "f") for index, text in enumerate(labels)]
    assert [point.start for point in points_of_rows(rows, day, PARIS)] == instants
    assert len(instants) == {PLAIN: 96, WINTER: 100, SPRING: 92}[day]
    assert labels[0] == "00:00-00:15"
    assert labels[-1] == "23:45-24:00"


@pytest.mark.parametrize("day", [WINTER, SPRING])
def test_hours_are_read_back_from_their_labels_too(day: date) -> None:
    instants = [at for at, _ in quarters(day, PARIS)][::4]
    labels = [label(at, at + timedelta(hours=1), PARIS) for at in instants]
    rows = [Row(text, Decimal(1), Decimal(index), "f") for index, text in enumerate(labels)]
    assert [point.start for point in points_of_rows(rows, day, PARIS)] == instants


@pytest.mark.parametrize("period", ["", "02:15-02:00", "00:00-02:00", "24:00-24:15", "25:00-25:15", "1-2", "x" * 9999])
def test_what_is_no_period_is_refused_with_its_line(period: str) -> None:
    with pytest.raises(AnswerError, match=r"^f:0: "):
        starts(PLAIN, period)


def test_one_period_with_two_values_is_refused_and_the_same_twice_is_not() -> None:
    once = Row("10:00-10:15", Decimal(1), Decimal(2), "f:2")
    with pytest.raises(AnswerError, match="f:3: 10:00-10:15 is there already"):
        list(points_of_rows([once, once._replace(price=Decimal(3), where="f:3")], PLAIN, PARIS))
    assert len(list(points_of_rows([once, once._replace(where="f:3")], PLAIN, PARIS))) == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("68.2", "68.2"),
        ("1,234.5", "1234.5"),
        ("-1,234,567.89", "-1234567.89"),
        ("\u22125.01", "-5.01"),
        (" 0 ", "0"),
        ("-", None),
        ("", None),
        ("\u2013", None),
        ("n/a", None),
    ],
)
def test_numbers_have_thousands_and_a_dash_is_missing(text: str, value: str | None) -> None:
    assert number(text, "x") == (None if value is None else Decimal(value))


@pytest.mark.parametrize("text", ["1,23", "1.234,5", "1e9", "NaN", "0x10", "1 234", "9" * 5000, "\u0663"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(AnswerError, match="is no number; write it as"):
        number(text, "x")


def test_a_label_is_of_the_site_and_not_of_utc() -> None:
    at = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
    assert label(at, at + timedelta(minutes=15), PARIS) == "14:30-14:45"
    assert label(at, at + timedelta(minutes=30), "Europe/London") == "13:30-14:00"
