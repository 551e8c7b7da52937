"""`/api/v1/deliveries`: who was told of events, and who could not be."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get, post
from litestar.params import PathParameter, QueryParameter

from jouled.bookkeeping import deliveries
from jouled.web.api.parameters import Cursor, Limit, TheClock, TheStore
from jouled.wire.deliveries import Delivery, DeliveryState
from jouled.wire.problems import Page

State = Annotated[
    DeliveryState | None, QueryParameter(name="state", description="Only these; `dead` ones were given up.")
]
SeqInPath = Annotated[int, PathParameter(ge=1, le=2**63 - 1)]


class Deliveries(Controller):
    """Of events to the webhook and the command."""

    path = "/deliveries"
    tags = ("events",)

    @get()
    async def list_deliveries(
        self, store: TheStore, only: State = None, cursor: Cursor = None, limit: Limit = 100
    ) -> Page[Delivery]:
        """Newest first."""
        return await store.fetch(lambda connection: deliveries.listed(connection, only, cursor, limit))

    @post("/{seq:int}/retry", opt={"scope": "admin"}, status_code=200)
    async def retry_delivery(self, seq: SeqInPath, store: TheStore, clock: TheClock) -> Delivery:
        """Try one that was given up again, from the beginning."""
        return await store.commit(lambda connection: deliveries.retry(connection, seq, clock()))
