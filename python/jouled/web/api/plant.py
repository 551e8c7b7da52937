"""`/api/v1/plant`: what the plant said, and what of it is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency

from jouled.bookkeeping import plant as books
from jouled.bookkeeping.pages import ROWS, cursor_of, place_of
from jouled.web.api.no_store import NoStoreError
from jouled.web.api.parameters import Cursor, Limit, TheStore
from jouled.wire.plant import PlantReading
from jouled.wire.problems import Page

if TYPE_CHECKING:  # it asks over HTTP: a daemon without a plant imports none of it
    from jouled.control.plant.feed import Judged, PlantFeed


class PlantShown:
    """What the routes need: the feed, where one is set."""

    def __init__(self, feed: PlantFeed | None = None) -> None:
        self.feed = feed

    def __repr__(self) -> str:
        return f"<PlantShown {self.feed!r}>"

    def latest(self) -> PlantReading | None:
        """The latest that was believed, with what the supply is now."""
        if self.feed is None:
            return None
        one = next((one for one in reversed(self.feed.history) if one.is_accepted), None)
        if one is None:
            return None
        supply = self.feed.supply()
        shown = shown_of(self.feed, one)
        return msgspec.structs.replace(
            shown,
            stage=supply.stage,
            supply_watts=supply.power_w,
            age_seconds=supply.age_s,
            problem=supply.problem,
        )

    def history(self, cursor: str | None, limit: int) -> Page[PlantReading]:
        """Of this life of the daemon, newest first."""
        if self.feed is None:
            return Page(0, (), None)
        before = None if cursor is None else place_of(cursor, int)
        found = [one for one in reversed(self.feed.history) if before is None or one.number < before]
        more = cursor_of(found[limit - 1].number) if len(found) > limit else None
        shown = tuple(shown_of(self.feed, one) for one in found[:limit])
        return Page(len(shown), shown, more)


ThePlant: TypeAlias = NamedDependency[PlantShown]


class PlantApi(Controller):
    """The plant that feeds this site."""

    path = "/plant"
    tags = ("plant",)

    @get("/latest")
    async def get_latest_plant_reading(self, plant: ThePlant) -> PlantReading | None:
        """The latest reading that was believed, how old it is, and what the supply is now; null where there is none."""
        return plant.latest()

    @get("/history")
    async def list_plant_readings(
        self, *, store: TheStore, plant: ThePlant, limit: Limit = ROWS, cursor: Cursor = None
    ) -> Page[PlantReading]:
        """What the plant said, newest first, also what was not believed. Without a store only what this daemon has
        heard.
        """
        if plant.feed is None:
            return plant.history(cursor, limit)
        name = plant.feed.name
        try:
            return await store.fetch(
                lambda connection: books.listed(connection, plant=name, cursor=cursor, limit=limit)
            )
        except NoStoreError:
            return plant.history(cursor, limit)


def shown_of(feed: PlantFeed, one: Judged) -> PlantReading:
    """Of one that has a reading, as all of the history have."""
    reading = one.reading
    assert reading is not None  # noqa: S101  (only such are in the history)
    kept = books.Kept(feed.name, one.at, reading, one.judgement, one.problem, one.supply.stage, one.supply.power_w)
    return books.shown(one.number, kept)
