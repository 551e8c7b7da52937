"""`/api/v1/records`: what nodes measured, by minute, quarter-hour and day."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from litestar import Controller, get
from litestar.params import QueryParameter

from jouled.bookkeeping import record_queries
from jouled.bookkeeping.record_queries import Wanted, range_of
from jouled.web.api.parameters import Cursor, Limit, TheClock, TheStore
from jouled.wire.problems import Page
from jouled.wire.records import Resolution, WorkloadRecord, ZoneRecord, ZoneTotal

From: TypeAlias = Annotated[
    datetime | None,
    QueryParameter(
        name="from",
        description="Records that begin then or later; by default those of the last hour, day or 30 days.",
    ),
]
To: TypeAlias = Annotated[
    datetime | None, QueryParameter(name="to", description="Records that begin before then; by default now.")
]
How: TypeAlias = Annotated[
    Resolution,
    QueryParameter(description="Days are those of the site's calendar, and of UTC where the node has no site."),
]
Node: TypeAlias = Annotated[str | None, QueryParameter(max_length=256, description="Of this node only.")]
Zone: TypeAlias = Annotated[
    str | None, QueryParameter(max_length=64, description="Of this zone class only: package, dram, psys...")
]
Level: TypeAlias = Annotated[
    Literal["process", "unit", "container", "pod", "vm", "user"], QueryParameter(description="The level of workloads.")
]
Name: TypeAlias = Annotated[
    str | None,
    QueryParameter(max_length=512, description="Of this unit, command, container, user..., or this reason, only."),
]


class Records(Controller):
    """Interval records."""

    path = "/records"
    tags = ("records",)

    @get("/zones")
    async def list_zone_records(
        self,
        store: TheStore,
        clock: TheClock,
        *,
        from_at: From = None,
        to_at: To = None,
        resolution: How = "minute",
        node: Node = None,
        zone: Zone = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Page[ZoneRecord]:
        """Energy of zones, by zone and time."""
        within = range_of(resolution, from_at, to_at, clock())
        return await store.fetch(
            lambda connection: record_queries.zone_records(
                connection, within, node=node, zone=zone, cursor=cursor, limit=limit
            )
        )

    @get("/workloads")
    async def list_workload_records(
        self,
        store: TheStore,
        clock: TheClock,
        *,
        level: Level = "unit",
        name: Name = None,
        from_at: From = None,
        to_at: To = None,
        resolution: How = "minute",
        node: Node = None,
        zone: Zone = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Page[WorkloadRecord]:
        """Energy of the workloads of a level and of what belongs to none, by workload and time."""
        within = range_of(resolution, from_at, to_at, clock())
        wanted = Wanted(level, name, node, zone)
        return await store.fetch(
            lambda connection: record_queries.workload_records(connection, within, wanted, cursor=cursor, limit=limit)
        )

    @get("/totals")
    async def list_zone_totals(
        self, store: TheStore, node: Node = None, cursor: Cursor = None, limit: Limit = 100
    ) -> Page[ZoneTotal]:
        """Energy of each zone since its first record."""
        return await store.fetch(
            lambda connection: record_queries.zone_totals(connection, node=node, cursor=cursor, limit=limit)
        )
