"""`/api/v1/balance`: what the balancer finds, what it changed and why, and the operator's word on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from litestar import Controller, get, post
from litestar.params import JSONBody, QueryParameter

from jouled.bookkeeping.pages import ROWS
from jouled.web.api.balance_shown import SERIES_MAX, TheBalance
from jouled.web.api.parameters import Cursor, IdInPath, Limit, TheClock, TheStore, TheWriter
from jouled.wire.balance import BalanceEvent, BalancePoint, BalanceStatus, PauseDraft
from jouled.wire.problems import Page

OfLoad: TypeAlias = Annotated[
    str | None, QueryParameter(name="miner_id", max_length=128, description="Of this load only, whatever its kind.")
]
From: TypeAlias = Annotated[
    datetime | None, QueryParameter(name="from", description="The first minute; default: a day before `to`.")
]
To: TypeAlias = Annotated[datetime | None, QueryParameter(name="to", description="Minutes before then; default: now.")]
Minutes: TypeAlias = Annotated[int, QueryParameter(ge=1, le=SERIES_MAX, description="Minutes at most.")]


class BalanceApi(Controller):
    """The balancer of this site."""

    path = "/balance"
    tags = ("balance",)
    opt = {"scope": "control"}  # noqa: RUF012  (Litestar copies it)

    @get("/status")
    async def get_balance_status(self, balance: TheBalance) -> BalanceStatus:
        """What the latest cycle found: supply, budget, target, load, and what is on its way. What is not known is
        null.
        """
        return balance.status()

    @get("/events")
    async def list_balance_events(
        self, *, store: TheStore, balance: TheBalance, load: OfLoad = None, limit: Limit = ROWS, cursor: Cursor = None
    ) -> Page[BalanceEvent]:
        """Each change of a load with its reason, its inputs and what came of it, newest first. Without a store only
        those of this life of the daemon.
        """
        return await balance.events(store, load, limit, cursor)

    @get("/series")
    async def list_balance_minutes(
        self,
        *,
        store: TheStore,
        clock: TheClock,
        balance: TheBalance,
        start: From = None,
        end: To = None,
        limit: Minutes = SERIES_MAX,
        cursor: Cursor = None,
    ) -> Page[BalancePoint]:
        """Supply, budget, target, load and band of each minute, oldest first, for plots."""
        return await balance.series(store, start, end or clock().astimezone(UTC), limit, cursor)

    @post("/pause", status_code=200)
    async def pause_balancer(
        self, balance: TheBalance, writer: TheWriter, data: JSONBody[PauseDraft | None] = None
    ) -> BalanceStatus:
        """Raise nothing any more, until it is resumed. Sheds go on: safety is not paused."""
        why = None if data is None else data.reason
        return await balance.acting.pause(writer.name, why or "")

    @post("/resume", status_code=200)
    async def resume_balancer(self, balance: TheBalance, writer: TheWriter) -> BalanceStatus:
        """Loads may be raised again."""
        return await balance.acting.resume(writer.name)

    @get("/decisions")
    async def list_proposed_changes(self, store: TheStore, balance: TheBalance) -> Page[BalanceEvent]:
        """Changes that wait for somebody to approve or reject them; where the mode is observe, those that would be
        done.
        """
        return await balance.proposed(store)

    @post("/decisions/{decision_id:str}/approve", status_code=200)
    async def approve_change(self, decision_id: IdInPath, balance: TheBalance, writer: TheWriter) -> BalanceEvent:
        """It is done at once if it is still called for: 409 where it was decided on already."""
        return await balance.deciding.approve(decision_id, writer.name)

    @post("/decisions/{decision_id:str}/reject", status_code=200)
    async def reject_change(self, decision_id: IdInPath, balance: TheBalance, writer: TheWriter) -> BalanceEvent:
        """It is not done, nor proposed again for balance.rejected: 409 where it was decided on already."""
        return await balance.deciding.reject(decision_id, writer.name)
