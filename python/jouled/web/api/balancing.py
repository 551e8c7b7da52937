"""`/api/v1/balancing`: decisions about loads, from the proposal to what came of it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from litestar import Controller, get, post
from litestar.params import JSONBody, QueryParameter

from jouled.bookkeeping import balancing, decisions
from jouled.bookkeeping.executing import execute
from jouled.errors import ConflictError
from jouled.web.api.parameters import Cursor, IdInPath, Limit, TheClock, TheLoads, TheStore, TheWriter
from jouled.wire.decisions import Decision, DecisionDraft, Decisions, DecisionSteps, Moved, StatusWord, Why
from jouled.wire.load import Accepted

MESSAGES = {
    "approved": "decision approved successfully",
    "completed": "decision executed successfully",
    "cancelled": "decision cancelled successfully",
}
OfStatus: TypeAlias = Annotated[
    StatusWord | None, QueryParameter(description="Only those of this status; pending is another word for proposed.")
]


class Balancing(Controller):
    """Decisions about loads."""

    path = "/balancing"
    tags = ("balancing",)

    @post("/decisions", opt={"scope": "write:decisions"})
    async def propose_decision(
        self, data: JSONBody[DecisionDraft], store: TheStore, clock: TheClock, writer: TheWriter
    ) -> Accepted:
        """Propose a decision."""
        decision, is_new = await store.commit(
            lambda connection: decisions.propose(connection, data, writer.name, clock())
        )
        return Accepted(decision.id, "decision created successfully" if is_new else "decision created already")

    @get("/decisions/{facility_id:str}")
    async def list_decisions(
        self,
        facility_id: IdInPath,
        store: TheStore,
        status: OfStatus = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Decisions:
        """All decisions of a site, also those of the future; of one status, if asked for."""
        return await store.fetch(lambda connection: decisions.listed(connection, facility_id, status, cursor, limit))

    @get("/decisions/{decision_id:str}/steps")
    async def get_decision(self, decision_id: IdInPath, store: TheStore) -> DecisionSteps:
        """One decision with all that happened to it."""
        return await store.fetch(lambda connection: decisions.with_steps(connection, decision_id))

    @post("/decisions/{decision_id:str}/approve", opt={"scope": "write:decisions"}, status_code=200)
    async def approve_decision(
        self,
        decision_id: IdInPath,
        store: TheStore,
        clock: TheClock,
        writer: TheWriter,
        data: JSONBody[Why | None] = None,
    ) -> Moved:
        """Approve a proposed decision."""
        why = (data and data.reason) or "approved"
        return _moved(
            await store.commit(lambda connection: decisions.approve(connection, decision_id, writer.name, why, clock()))
        )

    @post("/decisions/{decision_id:str}/execute", opt={"scope": "execute"}, status_code=200)
    async def execute_decision(
        self, decision_id: IdInPath, store: TheStore, clock: TheClock, writer: TheWriter, loads: TheLoads
    ) -> Moved:
        """Carry out an approved decision by the load of its zone. Answers when it is done: 409 where it failed."""
        decision = await execute(store, loads, decision_id, writer.name, clock)
        if decision.status != "completed":
            raise ConflictError(f"decision {decision_id} {decision.status}: {decision.result}")
        return _moved(decision)

    @post("/decisions/{decision_id:str}/cancel", opt={"scope": "write:decisions"}, status_code=200)
    async def cancel_decision(
        self,
        decision_id: IdInPath,
        store: TheStore,
        clock: TheClock,
        writer: TheWriter,
        data: JSONBody[Why | None] = None,
    ) -> Moved:
        """Cancel a decision that is not being executed."""
        why = (data and data.reason) or "cancelled"
        return _moved(
            await store.commit(lambda connection: decisions.cancel(connection, decision_id, writer.name, why, clock()))
        )

    @post("/auto/{facility_id:str}", opt={"scope": "write:decisions"}, status_code=200)
    async def balance(
        self, facility_id: IdInPath, store: TheStore, clock: TheClock, writer: TheWriter, loads: TheLoads
    ) -> Decisions:
        """Propose what brings a site's zones back within their bands; nothing that is open already."""
        return await store.commit(
            lambda connection: balancing.balance(connection, facility_id, writer.name, clock(), loads.bands)
        )


def _moved(decision: Decision) -> Moved:
    return Moved(decision.id, MESSAGES[decision.status], decision.status, decision.result)
