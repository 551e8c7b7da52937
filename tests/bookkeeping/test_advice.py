"""Recommendations over the store, on both engines: computed each time, judged once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from jouled.bookkeeping import advice
from jouled.books.load import Bands
from jouled.errors import NotFoundError
from jouled.store import Store
from jouled.store.schema.carbon import carbon_intensity
from jouled.store.schema.sites import sites
from jouled.wire.reports import Judgement, Recommendation, Recommendations
from plants import NOW, make_site, mill, see

BANDS = Bands()
HOUR = timedelta(hours=1)


@pytest.fixture
def books(store: Store) -> Store:
    store.write(mill)
    return store


def recommended(books: Store, site_id: str = "mill") -> Recommendations:
    return books.read(lambda connection: advice.recommended(connection, site_id, NOW, BANDS))


def judge(books: Store, recommendation_id: str, status: Any, note: str | None = None) -> Recommendation:
    return books.write(
        lambda connection: advice.judge(
            connection, "mill", recommendation_id, Judgement(status, note), who="ann", now=NOW, bands=BANDS
        )
    )


def two_days(connection: Connection, kw: float = 50.0, **fields: Any) -> None:
    for hours in range(48):
        see(connection, kw, "hall-1", NOW - hours * HOUR, window_duration=3600, **fields)


def test_savings_follow_from_the_records(books: Store) -> None:
    books.write(partial(two_days, peak_utilization=95.0))
    shaving, base, off_peak = recommended(books).recommendations
    assert [one.category for one in (shaving, base, off_peak)] == ["demand_management", "base_load", "load_shifting"]
    # (50 kW - 20 kW) x 48 h at 0.30 a kWh
    assert (base.savings_kwh, base.estimated_savings, base.currency) == (1440.0, Decimal("432.000000"), "EUR")
    assert base.unknown == {"savings_gco2e": "the site has no readings from which its carbon intensity follows"}
    assert (base.zone_id, base.status, base.period_days) == ("hall-1", "pending", 30)


def test_other_records_have_other_savings(books: Store) -> None:
    """What once was the same sum for every site."""
    books.write(two_days)
    before = recommended(books).recommendations[0].estimated_savings
    books.write(lambda connection: connection.execute(update(sites).values(price_micro_per_kwh=150_000)))
    assert (before, recommended(books).recommendations[0].estimated_savings) == (Decimal(432), Decimal(216))


def test_means_are_weighted_by_energy_and_time(books: Store) -> None:
    """An hour of 90 kW at 0.80 and one of 10 kW at 1.0 are 0.82; a minute of much distortion is not an hour of it."""
    books.write(partial(see, kw=90, power_factor=0.8, window_duration=3600, harmonic_distortion=4))
    books.write(partial(see, kw=10, power_factor=1.0, window_duration=3600, at=NOW - HOUR, harmonic_distortion=4))
    books.write(partial(see, kw=10, window_duration=60, at=NOW - 2 * HOUR, harmonic_distortion=60))
    power_factor, *others = recommended(books).recommendations
    assert "is 0.820," in power_factor.description
    assert [one.title for one in others] == ["Optimize Off-Peak Usage"]


def test_a_series_of_the_sites_zone_says_what_clean_hours_save(books: Store) -> None:
    books.write(lambda connection: connection.execute(update(sites).values(carbon_zone="DE", carbon_kind="average")))
    books.write(two_days)

    def series(connection: Connection) -> None:
        rows = [
            {
                "zone": zone,
                "kind": "average",
                "start_at": NOW - (hour + 1) * HOUR,
                "end_at": NOW - hour * HOUR,
                "ug_per_kwh": (500 if hour % 24 < 12 else 100) * 1_000_000 if zone == "DE" else 1,
                "provider": "file",
                "is_forecast": False,
                "quality": "good",
                "fetched_at": NOW,
            }
            for hour in range(48)
            for zone in ("DE", "FR")
        ]
        connection.execute(insert(carbon_intensity), rows)

    books.write(series)
    (off_peak,) = [one for one in recommended(books).recommendations if one.category == "load_shifting"]
    # 30 kW may move, and fit there; only the day before has both: its 6 cleanest hours are 400 g below its dirtiest.
    assert (off_peak.savings_gco2e, off_peak.savings_kwh) == (6 * 30 * 400, 0)


def test_nothing_recorded_or_nothing_wrong_is_said(books: Store) -> None:
    assert recommended(books).reason == "no load metrics of the last 30 days"
    books.write(partial(see, kw=140, zone=None))
    assert recommended(books).reason == "the load metrics of the last 30 days call for nothing"
    with pytest.raises(NotFoundError):
        recommended(books, "nowhere")


def test_what_was_decided_stays_and_is_not_doubled(books: Store) -> None:
    books.write(two_days)
    first = recommended(books)
    chosen = first.recommendations[-1]
    judged = judge(books, chosen.id, "dismissed", "it has to run")
    assert (judged.id, judged.status, judged.note) == (chosen.id, "dismissed", "it has to run")
    again = recommended(books)
    assert [one.id for one in again.recommendations] == [one.id for one in first.recommendations]
    assert [one.status for one in again.recommendations] == ["pending", "dismissed"]
    judge(books, chosen.id, "implemented")
    assert recommended(books).recommendations[-1].status == "implemented"


def test_what_was_implemented_stays_when_the_records_do_not_advise_it_any_more(books: Store) -> None:
    books.write(partial(see, kw=140, power_factor=0.5, at=NOW - timedelta(days=20)))
    (chosen,) = recommended(books).recommendations
    judge(books, chosen.id, "implemented")
    later = NOW + timedelta(days=20)
    (kept,) = books.read(lambda connection: advice.recommended(connection, "mill", later, BANDS)).recommendations
    assert (kept.id, kept.status, kept.unknown) == (chosen.id, "implemented", chosen.unknown)


def test_only_what_is_recommended_can_be_judged(books: Store) -> None:
    books.write(partial(make_site, site_id="other"))
    with pytest.raises(NotFoundError, match="site 'mill' has no recommendation 'rec-1'"):
        judge(books, "rec-1", "approved")
