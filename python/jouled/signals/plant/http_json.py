"""Any feed that answers with JSON."""

from __future__ import annotations

from datetime import datetime

import httpx2

from jouled.balance.site.supply import Reading
from jouled.config.plant import Pointers
from jouled.signals.plant.asked import Asked
from jouled.signals.plant.pointed import parse
from jouled.signals.plant.protocol import Secrets


class HttpJson:
    """Asks `GET {url}`: with a bearer key, a user and a password, or as nobody."""

    def __init__(
        self,
        url: str,
        pointers: Pointers,
        unit: str,
        secrets: Secrets,
        *,
        user: str | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.where = url
        self._pointers = pointers
        self._unit = unit
        self._asked = Asked(url, secrets, user=user, transport=transport)

    def __repr__(self) -> str:
        return f"<HttpJson {self.where}>"

    async def fetch(self, now: datetime) -> Reading:  # noqa: ARG002  (its times are its own)
        body, where = await self._asked.body()
        return parse(body, where, self._pointers, self._unit)

    async def aclose(self) -> None:
        await self._asked.aclose()
