"""`/api/v1/events` and `/api/v1/alerts`."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get
from litestar.params import QueryParameter

from jouled.bookkeeping import events
from jouled.web.api.parameters import Cursor, Limit, TheStore
from jouled.wire.events import Alert, Event
from jouled.wire.problems import Page

OfSite = Annotated[str | None, QueryParameter(max_length=128, description="Of this site only.")]
OfDevice = Annotated[str | None, QueryParameter(max_length=128, description="Of this device only.")]
OfMeter = Annotated[str | None, QueryParameter(max_length=128, description="Of this meter only.")]
OfType = Annotated[str | None, QueryParameter(name="type", max_length=64, description="Of this type only.")]


class Events(Controller):
    """What happened, and what goes on."""

    tags = ("events",)

    @get("/events")
    async def list_events(
        self,
        store: TheStore,
        *,
        site_id: OfSite = None,
        device_id: OfDevice = None,
        meter_id: OfMeter = None,
        event_type: OfType = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Page[Event]:
        """Events, newest first."""
        return await store.fetch(
            lambda connection: events.listed(
                connection,
                site_id=site_id,
                device_id=device_id,
                meter_id=meter_id,
                type=event_type,
                cursor=cursor,
                limit=limit,
            )
        )

    @get("/alerts")
    async def list_alerts(
        self,
        store: TheStore,
        *,
        site_id: OfSite = None,
        device_id: OfDevice = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Page[Alert]:
        """Conditions that are open now."""
        return await store.fetch(
            lambda connection: events.open_alerts(
                connection, site_id=site_id, device_id=device_id, cursor=cursor, limit=limit
            )
        )
