"""`/api/v1/site-zones`, and what is planned there."""

from __future__ import annotations

from litestar import Controller, get, post, put
from litestar.params import JSONBody

from jouled.bookkeeping import site_zones
from jouled.web.api.circuits import OfSite
from jouled.web.api.parameters import Cursor, IdInPath, Limit, TheClock, TheStore
from jouled.wire.problems import Page
from jouled.wire.sites import ScheduledEvent, ScheduledEventDraft, SiteZone, SiteZoneDraft, SiteZones, StatusDraft


class ZonesOfSites(Controller):
    """Parts of sites: production, office, data_center... Zones of the hardware are in /api/v1/zones."""

    path = "/site-zones"
    tags = ("sites",)
    opt = {"scope": "write:sites"}  # noqa: RUF012  (Litestar copies it)

    @post()
    async def create_site_zone(self, data: JSONBody[SiteZoneDraft], store: TheStore, clock: TheClock) -> SiteZone:
        """Make a zone."""
        return await store.commit(lambda connection: site_zones.create(connection, data, clock()))

    @get()
    async def list_site_zones(
        self, store: TheStore, clock: TheClock, facility_id: OfSite, cursor: Cursor = None, limit: Limit = 100
    ) -> SiteZones:
        """The zones of a site, by id."""
        return await store.fetch(lambda connection: site_zones.of_site(connection, facility_id, clock(), cursor, limit))

    @get("/{zone_id:str}")
    async def get_site_zone(self, zone_id: IdInPath, store: TheStore, clock: TheClock) -> SiteZone:
        """One zone with its load."""
        return await store.fetch(lambda connection: site_zones.get(connection, zone_id, clock()))

    @put("/{zone_id:str}")
    async def replace_site_zone(
        self, zone_id: IdInPath, data: JSONBody[SiteZoneDraft], store: TheStore, clock: TheClock
    ) -> SiteZone:
        """Change a zone; what is left out gets its default, its load stays."""
        return await store.commit(lambda connection: site_zones.replace(connection, zone_id, data, clock()))

    @post("/{zone_id:str}/events")
    async def plan_event(
        self, zone_id: IdInPath, data: JSONBody[ScheduledEventDraft], store: TheStore, clock: TheClock
    ) -> ScheduledEvent:
        """Plan something for a zone."""
        return await store.commit(lambda connection: site_zones.plan(connection, zone_id, data, clock()))

    @get("/{zone_id:str}/events")
    async def list_planned_events(
        self, zone_id: IdInPath, store: TheStore, clock: TheClock, cursor: Cursor = None, limit: Limit = 100
    ) -> Page[ScheduledEvent]:
        """All that was planned for a zone."""
        return await store.fetch(lambda connection: site_zones.events(connection, zone_id, clock(), cursor, limit))

    @put("/events/{event_id:str}/status")
    async def set_planned_event_status(
        self, event_id: IdInPath, data: JSONBody[StatusDraft], store: TheStore, clock: TheClock
    ) -> ScheduledEvent:
        """Say what became of a planned event."""
        return await store.commit(lambda connection: site_zones.set_status(connection, event_id, data.status, clock()))
