"""`/api/v1/carbon`: emissions, factors and budgets."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get, post
from litestar.params import JSONBody, QueryParameter

from jouled.bookkeeping import budgets, emissions, processing
from jouled.web.api.parameters import Cursor, IdInPath, Limit, TheClock, TheStore
from jouled.web.api.ranges import EndTime, StartTime, asked
from jouled.wire.carbon import (
    Budget,
    BudgetDraft,
    BudgetMade,
    BudgetPeriod,
    BudgetStatus,
    EmissionsBySource,
    EmissionsTotal,
    FactorsDraft,
    FactorsVersion,
    ProcessDraft,
    Processed,
    SiteEmissions,
    SiteIntensity,
)
from jouled.wire.problems import Page

OfKind = Annotated[BudgetPeriod | None, QueryParameter(description="The newest budget of this period.")]
OfSite = Annotated[str | None, QueryParameter(max_length=128, description="Of this site only.")]
IsActive = Annotated[bool | None, QueryParameter(description="Only those that run, or only those that do not.")]


class Carbon(Controller):
    """What was emitted, and how much may be."""

    path = "/carbon"
    tags = ("carbon",)
    opt = {"scope": "write:budgets"}  # noqa: RUF012  (Litestar copies it)

    @post("/process", opt={"scope": "write:readings"})
    async def process_reading(self, data: JSONBody[ProcessDraft], store: TheStore, clock: TheClock) -> Processed:
        """What a reading emitted. One that is not in the books is taken in, one that is there is not counted again."""
        return await store.commit(lambda connection: processing.process(connection, data, clock()))

    @get("/emissions/{facility_id:str}")
    async def list_emissions(
        self,
        facility_id: IdInPath,
        store: TheStore,
        clock: TheClock,
        *,
        start_time: StartTime = None,
        end_time: EndTime = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> SiteEmissions:
        """The emissions of a site's readings, newest first."""
        during = asked(start_time, end_time, clock())
        return await store.fetch(lambda connection: emissions.listed(connection, facility_id, during, cursor, limit))

    @get("/emissions/{facility_id:str}/by-source")
    async def get_emissions_by_source(
        self,
        facility_id: IdInPath,
        store: TheStore,
        clock: TheClock,
        start_time: StartTime = None,
        end_time: EndTime = None,
    ) -> EmissionsBySource:
        """What a site emitted, by source of energy."""
        during = asked(start_time, end_time, clock())
        return await store.fetch(lambda connection: emissions.by_source(connection, facility_id, during))

    @get("/emissions/{facility_id:str}/total")
    async def get_emissions_total(
        self,
        facility_id: IdInPath,
        store: TheStore,
        clock: TheClock,
        start_time: StartTime = None,
        end_time: EndTime = None,
    ) -> EmissionsTotal:
        """What a site emitted in all."""
        during = asked(start_time, end_time, clock())
        return await store.fetch(lambda connection: emissions.total(connection, facility_id, during))

    @get("/intensity/{facility_id:str}")
    async def get_site_intensity(
        self,
        facility_id: IdInPath,
        store: TheStore,
        clock: TheClock,
        start_time: StartTime = None,
        end_time: EndTime = None,
    ) -> SiteIntensity:
        """What a site emitted per kWh of its energy."""
        during = asked(start_time, end_time, clock())
        return await store.fetch(lambda connection: emissions.intensity(connection, facility_id, during))

    @post("/budget")
    async def create_budget(self, data: JSONBody[BudgetDraft], store: TheStore, clock: TheClock) -> BudgetMade:
        """Make a carbon budget. Others of the site run on."""
        budget = await store.commit(lambda connection: budgets.create(connection, data, clock()))
        return BudgetMade(budget.id, budget)

    @get("/budget/{name:str}")
    async def get_budget(
        self, name: IdInPath, store: TheStore, clock: TheClock, budget_period: OfKind = None
    ) -> Budget:
        """A site's newest active budget, or the budget of this id."""
        return await store.fetch(lambda connection: budgets.of_site(connection, name, budget_period, clock()))

    @get("/budget/{budget_id:str}/periods")
    async def list_budget_periods(
        self, budget_id: IdInPath, store: TheStore, clock: TheClock, cursor: Cursor = None, limit: Limit = 100
    ) -> Page[Budget]:
        """What was used of a budget in each of its periods, newest first."""
        return await store.fetch(lambda connection: budgets.periods(connection, budget_id, clock(), cursor, limit))

    @post("/budget/{budget_id:str}/close", status_code=200)
    async def close_budget(self, budget_id: IdInPath, store: TheStore, clock: TheClock) -> Budget:
        """End a budget; its periods stay as they were."""
        return await store.commit(lambda connection: budgets.close(connection, budget_id, clock()))

    @get("/budgets")
    async def list_budgets(
        self,
        store: TheStore,
        clock: TheClock,
        *,
        facility_id: OfSite = None,
        is_active: IsActive = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Page[Budget]:
        """Carbon budgets, by id."""
        return await store.fetch(
            lambda connection: budgets.listed(connection, facility_id, is_active, clock(), cursor=cursor, limit=limit)
        )

    @get("/status/{facility_id:str}")
    async def get_budget_status(self, facility_id: IdInPath, store: TheStore, clock: TheClock) -> BudgetStatus:
        """The status of that active budget of a site of which most is used."""
        return await store.fetch(lambda connection: budgets.status_of_site(connection, facility_id, clock()))

    @get("/factors")
    async def list_factors(self, store: TheStore) -> Page[FactorsVersion]:
        """All versions of the emission factors, the newest first."""
        return await store.fetch(emissions.versions)

    @post("/factors")
    async def create_factors(self, data: JSONBody[FactorsDraft], store: TheStore, clock: TheClock) -> FactorsVersion:
        """Make a version of the emission factors. What was calculated stays."""
        return await store.commit(lambda connection: emissions.add_version(connection, data, clock()))
