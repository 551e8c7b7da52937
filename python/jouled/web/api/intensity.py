"""`/api/v1/carbon/series` and `/now`: carbon intensity by time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from litestar import Controller, get, post
from litestar.params import JSONBody, QueryParameter

from jouled.bookkeeping import intensity
from jouled.errors import InvalidError
from jouled.web.api.parameters import Cursor, Limit, TheClock, TheLimits, TheStore
from jouled.wire.intensity import CarbonKind, IntensitySlot, SeriesDraft, SeriesTaken
from jouled.wire.problems import Page

Zone = Annotated[str, QueryParameter(min_length=1, max_length=64, description="The zone of the grid, as DE.")]
TheKind = Annotated[CarbonKind, QueryParameter(description="Average or marginal; the two are never mixed.")]
From = Annotated[datetime | None, QueryParameter(name="from", description="Default: a day before `to`.")]
To = Annotated[datetime | None, QueryParameter(name="to", description="Default: a day from now.")]

DAY = timedelta(days=1)


class Intensity(Controller):
    """How much CO2e a kilowatt-hour of the grid stands for, by time."""

    path = "/carbon"
    tags = ("carbon",)

    @get("/series")
    async def list_intensity(
        self,
        *,
        zone: Zone,
        store: TheStore,
        clock: TheClock,
        kind: TheKind = "average",
        start: From = None,
        end: To = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Page[IntensitySlot]:
        """The slots of a series, in order of time."""
        try:
            until = end or (start + 2 * DAY if start is not None else clock() + DAY)
            since = start or until - 2 * DAY
        except OverflowError:
            raise InvalidError("`from` and `to` must be within the years 1970 to 9998") from None
        return await store.fetch(
            lambda connection: intensity.listed(
                connection, zone, kind, start=since, end=until, cursor=cursor, limit=limit
            )
        )

    @get("/now")
    async def get_intensity_now(
        self, zone: Zone, store: TheStore, clock: TheClock, kind: TheKind = "average"
    ) -> IntensitySlot:
        """The slot that counts now: measured before forecast, and the finer one."""
        return await store.fetch(lambda connection: intensity.now(connection, zone, kind, clock()))

    @post("/series", opt={"scope": "write:budgets"})
    async def import_intensity(
        self, data: JSONBody[SeriesDraft], store: TheStore, clock: TheClock, limits: TheLimits
    ) -> SeriesTaken:
        """Put in a series by hand. The same again changes nothing; a forecast never replaces what was measured."""
        if len(data.slots) > limits.batch:
            raise InvalidError(f"{len(data.slots)} slots are more than {limits.batch}; send them in parts")
        return await store.commit(lambda connection: intensity.take(connection, data, clock()))
