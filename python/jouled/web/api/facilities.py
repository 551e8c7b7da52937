"""`/api/v1/facility`: a site at a glance."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get
from litestar.params import QueryParameter

from jouled.bookkeeping import facilities, site_zones
from jouled.web.api.parameters import Cursor, IdInPath, Limit, TheClock, TheLoads, TheStore
from jouled.wire.sites import SiteConsumption, SiteLoad, SiteStatus, SiteZones

Day = Annotated[
    str | None,
    QueryParameter(
        pattern=r"^\d{4}-\d{2}-\d{2}(?!\n)$",
        description="A day of the site's calendar, as 2026-03-29; by default today.",
    ),
]


class Facilities(Controller):
    """Sites at a glance."""

    path = "/facility"
    tags = ("sites",)

    @get("/{facility_id:str}/load")
    async def get_facility_load(
        self, facility_id: IdInPath, store: TheStore, clock: TheClock, loads: TheLoads
    ) -> SiteLoad:
        """A site's power now, in kW."""
        return await store.fetch(
            lambda connection: facilities.current_load(connection, facility_id, clock(), loads.bands)
        )

    @get("/{facility_id:str}/consumption")
    async def get_facility_consumption(
        self, facility_id: IdInPath, store: TheStore, clock: TheClock, date: Day = None
    ) -> SiteConsumption:
        """A site's energy of one of its days, in kWh."""
        return await store.fetch(lambda connection: facilities.consumption(connection, facility_id, date, clock()))

    @get("/{facility_id:str}/status")
    async def get_facility_status(
        self, facility_id: IdInPath, store: TheStore, clock: TheClock, loads: TheLoads
    ) -> SiteStatus:
        """Whether something is wrong with a site."""
        return await store.fetch(lambda connection: facilities.status(connection, facility_id, clock(), loads.bands))

    @get("/{facility_id:str}/zones")
    async def list_facility_zones(
        self, facility_id: IdInPath, store: TheStore, clock: TheClock, cursor: Cursor = None, limit: Limit = 100
    ) -> SiteZones:
        """A site's zones with their loads."""
        return await store.fetch(lambda connection: site_zones.of_site(connection, facility_id, clock(), cursor, limit))
