"""What is paid: price, charges by time, tax, and what a bill is made of."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from jouled.books.tariff import Charge, Tariff, paid
from jouled.config.plan import charge_of
from planned import BERLIN, HOUR, quarters, slots

D = Decimal
WEDNESDAY = date(2026, 3, 4)


def charges(*texts: str) -> tuple[Charge, ...]:
    return tuple(Charge(*charge_of(text)) for text in texts)


def test_tax_is_on_price_and_charges() -> None:
    found = paid(slots(WEDNESDAY, ["50"]), Tariff(BERLIN, charges("0.08", "0.02"), D("0.19")))
    assert [(one.market_per_mwh, one.charges_per_mwh) for one in found] == [(D(50), D(100))]
    assert found[0].total_per_mwh == D("178.5")
    assert found[0].total_per_kwh == D("0.1785")


def test_a_negative_price_stays_negative_and_a_missing_one_missing() -> None:
    found = paid(slots(WEDNESDAY, ["-100", None, "0"]), Tariff(BERLIN, charges("0.01"), D("0.19")))
    assert [one.total_per_mwh for one in found] == [D("-107.1"), None, D("11.9")]


def test_an_hour_is_cut_where_a_charge_begins() -> None:
    found = paid(slots(WEDNESDAY, ["10"] * 24, length=HOUR), Tariff(BERLIN, charges("Mon-Fri 17:30-18:00 = 0.1")))
    dear = [one for one in found if one.total_per_mwh == D(110)]
    assert [(one.start.isoformat(), one.end - one.start) for one in dear] == [
        ("2026-03-04T16:30:00+00:00", timedelta(minutes=30))
    ]
    assert len(found) == 25


def test_charges_hold_by_the_wall_on_days_of_92_and_100_quarters() -> None:
    tariff = Tariff(BERLIN, charges("02:00-03:00 = 0.1"))
    for day, hours in ((date(2026, 3, 29), 0), (date(2026, 10, 25), 2), (date(2026, 3, 4), 1)):
        found = paid(slots(day, ["10"] * quarters(day)), tariff)
        assert len(found) == quarters(day)
        assert sum(one.charges_per_mwh == 100 for one in found) == 4 * hours


def test_what_is_billed_by_the_hour_is_the_average_of_its_quarters() -> None:
    found = paid(slots(WEDNESDAY, ["10", "20", "30", "60", "-5", "-5", "-5", None]), Tariff(BERLIN, billing=HOUR))
    # Not the first quarter; and of an hour that is not known as a whole nobody knows the price.
    assert [one.total_per_mwh for one in found] == [30, 30, 30, 30, None, None, None, None]


def test_a_longer_slot_than_what_is_billed_keeps_its_price() -> None:
    found = paid(slots(WEDNESDAY, ["10", "20"], length=HOUR), Tariff(BERLIN, billing=timedelta(minutes=15)))
    assert [one.total_per_mwh for one in found] == [10] * 4 + [20] * 4


def test_a_day_is_billed_from_midnight_to_midnight_on_days_of_23_and_25_hours() -> None:
    for day in (date(2026, 3, 29), date(2026, 10, 25)):
        found = paid(slots(day, range(quarters(day))), Tariff(BERLIN, billing=timedelta(days=1)))
        assert {one.total_per_mwh for one in found} == {D(quarters(day) - 1) / 2}
