"""`/api/v1/circuits`."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get, post, put
from litestar.params import JSONBody, QueryParameter

from jouled.bookkeeping import circuits
from jouled.web.api.parameters import Cursor, IdInPath, Limit, TheClock, TheStore
from jouled.wire.problems import Page
from jouled.wire.sites import Circuit, CircuitDraft

OfSite = Annotated[str, QueryParameter(max_length=128, description="The site.")]


class Circuits(Controller):
    """The power distribution of sites, with its limits."""

    path = "/circuits"
    tags = ("sites",)
    opt = {"scope": "write:sites"}  # noqa: RUF012  (Litestar copies it)

    @post()
    async def create_circuit(self, data: JSONBody[CircuitDraft], store: TheStore, clock: TheClock) -> Circuit:
        """Make a circuit; what feeds it comes first."""
        return await store.commit(lambda connection: circuits.create(connection, data, clock()))

    @get()
    async def list_circuits(
        self, store: TheStore, facility_id: OfSite, cursor: Cursor = None, limit: Limit = 100
    ) -> Page[Circuit]:
        """The circuits of a site, by id."""
        return await store.fetch(lambda connection: circuits.listed(connection, facility_id, cursor, limit))

    @get("/{circuit_id:str}")
    async def get_circuit(self, circuit_id: IdInPath, store: TheStore) -> Circuit:
        """One circuit."""
        return await store.fetch(lambda connection: circuits.get(connection, circuit_id))

    @put("/{circuit_id:str}")
    async def replace_circuit(self, circuit_id: IdInPath, data: JSONBody[CircuitDraft], store: TheStore) -> Circuit:
        """Change a circuit; what is left out gets its default."""
        return await store.commit(lambda connection: circuits.replace(connection, circuit_id, data))
