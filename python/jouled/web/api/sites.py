"""`/api/v1/sites`."""

from __future__ import annotations

from litestar import Controller, get, post, put
from litestar.params import JSONBody

from jouled.bookkeeping import sites
from jouled.web.api.parameters import Cursor, IdInPath, Limit, TheClock, TheStore
from jouled.wire.problems import Page
from jouled.wire.sites import Site, SiteDraft


class Sites(Controller):
    """Sites: what elsewhere are facilities."""

    path = "/sites"
    tags = ("sites",)
    opt = {"scope": "write:sites"}  # noqa: RUF012  (Litestar copies it)

    @post()
    async def create_site(self, data: JSONBody[SiteDraft], store: TheStore, clock: TheClock) -> Site:
        """Make a site."""
        return await store.commit(lambda connection: sites.create(connection, data, clock()))

    @get()
    async def list_sites(self, store: TheStore, cursor: Cursor = None, limit: Limit = 100) -> Page[Site]:
        """All sites, by id."""
        return await store.fetch(lambda connection: sites.listed(connection, cursor, limit))

    @get("/{site_id:str}")
    async def get_site(self, site_id: IdInPath, store: TheStore) -> Site:
        """One site with its load now."""
        return await store.fetch(lambda connection: sites.get(connection, site_id))

    @put("/{site_id:str}")
    async def replace_site(
        self, site_id: IdInPath, data: JSONBody[SiteDraft], store: TheStore, clock: TheClock
    ) -> Site:
        """Change a site; what is left out gets its default."""
        return await store.commit(lambda connection: sites.replace(connection, site_id, data, clock()))
