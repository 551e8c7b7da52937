"""`/api/v1/market/plan`: what the node's power will be, when, and why."""

from __future__ import annotations

from typing import TypeAlias

from litestar import Controller, get
from litestar.di import NamedDependency

from jouled.balance.planner import Rules
from jouled.bookkeeping import cap_decisions
from jouled.books.tariff import Tariff
from jouled.config.market import Market as Settings
from jouled.control.plan.planning import Planning
from jouled.web.api.market import From, To, during
from jouled.web.api.parameters import Cursor, Limit, TheClock, TheStore
from jouled.wire.plan import CapDecision, PlanOfPower
from jouled.wire.problems import Page

ThePlanning: TypeAlias = NamedDependency[Planning]


def unplanned(timezone: str | None = None) -> Planning:
    """Where the settings want no plan: nothing is known, and there is no limit."""
    return Planning(Rules((), Tariff(timezone or Settings().timezone)), lambda: None, lambda: 1.0)


class PlanApi(Controller):
    """The node's power as it follows market and carbon."""

    path = "/market/plan"
    tags = ("market",)

    @get()
    async def get_plan(self, planning: ThePlanning, clock: TheClock, start: From = None, end: To = None) -> PlanOfPower:
        """Each slot with its price, what is paid, carbon, and the budget that follows; a month at most."""
        return await planning.shown(*during(start, end, clock(), planning.timezone))


class PlanDecisions(Controller):
    """What was decided of the node's power."""

    path = "/market/decisions"
    tags = ("market",)

    @get()
    async def list_cap_decisions(
        self,
        *,
        store: TheStore,
        clock: TheClock,
        planning: ThePlanning,
        start: From = None,
        end: To = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Page[CapDecision]:
        """Each time that the budget became another one, with its inputs; newest first."""
        since, until = during(start, end, clock(), planning.timezone)
        return await store.fetch(
            lambda connection: cap_decisions.listed(connection, start=since, end=until, cursor=cursor, limit=limit)
        )
