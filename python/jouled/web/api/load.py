"""`/api/v1/load`: metrics come in, and say what the load calls for."""

from __future__ import annotations

from litestar import Controller, get, post
from litestar.params import JSONBody

from jouled.bookkeeping import load
from jouled.web.api.parameters import IdInPath, TheClock, TheLoads, TheStore
from jouled.wire.load import Accepted, Evaluation, LoadMetricDraft, ZoneLoads


class LoadMetrics(Controller):
    """Loads of sites and zones."""

    path = "/load"
    tags = ("load",)

    @post("/metrics", opt={"scope": "write:readings"})
    async def record_load_metric(self, data: JSONBody[LoadMetricDraft], store: TheStore, clock: TheClock) -> Accepted:
        """Record what was seen of a load; the zone's load is brought up to date."""
        return await store.commit(lambda connection: load.record(connection, data, clock()))

    @get("/evaluate/{facility_id:str}")
    async def evaluate_load(
        self, facility_id: IdInPath, store: TheStore, clock: TheClock, loads: TheLoads
    ) -> Evaluation:
        """What a site's load calls for."""
        return await store.fetch(lambda connection: load.evaluate(connection, facility_id, clock(), loads.bands))

    @get("/zones/{facility_id:str}")
    async def list_zone_loads(
        self, facility_id: IdInPath, store: TheStore, clock: TheClock, loads: TheLoads
    ) -> ZoneLoads:
        """The loads of a site's zones."""
        return await store.fetch(lambda connection: load.zone_loads(connection, facility_id, clock(), loads.bands))
