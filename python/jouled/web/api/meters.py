"""`/api/v1/meters`: of devices and sites, their power and its history."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec
from litestar import Controller, get, post, put
from litestar.params import HeaderParameter, JSONBody, QueryParameter

from jouled.bookkeeping import meters, power_history, power_readings
from jouled.errors import InvalidError
from jouled.web.api.parameters import Cursor, IdInPath, Limit, TheClock, TheLimits, TheStore
from jouled.web.api.ranges import asked
from jouled.wire.devices import (
    History,
    Meter,
    MeterChange,
    MeterDraft,
    PowerBatch,
    PowerDraft,
    PowerLogged,
    PowerReading,
)
from jouled.wire.problems import Page

IdempotencyKey: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        max_length=100,
        description="The same key again is the same request, and changes nothing.",
    ),
]
Of: TypeAlias = Annotated[str | None, QueryParameter(max_length=128, description="Only those of it.")]
From: TypeAlias = Annotated[datetime | None, QueryParameter(description="By default a day before the end.")]
To: TypeAlias = Annotated[datetime | None, QueryParameter(description="By default now.")]
How: TypeAlias = Annotated[
    Literal["minute", "quarter-hour", "day"] | None,
    QueryParameter(
        description="Means of periods of UTC; by default the readings themselves, and minutes where they are gone."
    ),
]
# As many rows as a day of readings every five seconds have.
HISTORY_ROWS_MAX = 20_000
Rows: TypeAlias = Annotated[int, QueryParameter(ge=1, le=HISTORY_ROWS_MAX, description="Rows at most.")]


class Meters(Controller):
    """Meters."""

    path = "/meters"
    tags = ("meters",)
    opt = {"scope": "write:sites"}  # noqa: RUF012  (Litestar copies it)

    @post()
    async def create_meter(self, data: JSONBody[MeterDraft], store: TheStore, clock: TheClock) -> Meter:
        """Make a meter of a device, of a site, or of both."""
        return await store.commit(lambda connection: meters.create(connection, data, clock()))

    @get()
    async def list_meters(
        self,
        store: TheStore,
        device_id: Of = None,
        site_id: Of = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Page[Meter]:
        """Meters, by id."""
        return await store.fetch(
            lambda connection: meters.listed(connection, cursor, limit, device_id=device_id, site_id=site_id)
        )

    @get("/{meter_id:str}")
    async def get_meter(self, meter_id: IdInPath, store: TheStore) -> Meter:
        """One meter with its latest power."""
        return await store.fetch(lambda connection: meters.get(connection, meter_id))

    @put("/{meter_id:str}")
    async def change_meter(self, meter_id: IdInPath, data: JSONBody[MeterChange], store: TheStore) -> Meter:
        """Change a meter; what is left out stays as it was."""
        return await store.commit(lambda connection: meters.change(connection, meter_id, data))

    @post("/{meter_id:str}/power", opt={"scope": "write:readings"})
    async def log_power(
        self,
        meter_id: IdInPath,
        data: JSONBody[PowerDraft],
        store: TheStore,
        clock: TheClock,
        *,
        idempotency_key: IdempotencyKey = None,
    ) -> PowerReading:
        """Log a power; the same key, or the same instant, again is the same reading."""
        draft = data if idempotency_key is None else _keyed(data, idempotency_key)
        return await store.commit(lambda connection: power_readings.log_power(connection, meter_id, draft, clock()))

    @post("/{meter_id:str}/power/batch", opt={"scope": "write:readings"})
    async def log_power_batch(
        self,
        meter_id: IdInPath,
        data: JSONBody[PowerBatch],
        store: TheStore,
        clock: TheClock,
        limits: TheLimits,
        *,
        idempotency_key: IdempotencyKey = None,
    ) -> PowerLogged:
        """Log many powers of one meter, in any order: all, or none."""
        if len(data.readings) > limits.batch:
            raise InvalidError(f"{len(data.readings)} readings are too many; send at most {limits.batch} at once")
        batch = data
        if idempotency_key is not None:
            keyed = (_keyed(draft, f"{idempotency_key}#{place}") for place, draft in enumerate(data.readings))
            batch = PowerBatch(tuple(keyed))
        return await store.commit(lambda connection: power_readings.log_batch(connection, meter_id, batch, clock()))

    @get("/{meter_id:str}/history")
    async def get_power_history(
        self,
        meter_id: IdInPath,
        store: TheStore,
        clock: TheClock,
        *,
        start_time: From = None,
        end_time: To = None,
        resolution: How = None,
        limit: Rows = HISTORY_ROWS_MAX,
    ) -> History:
        """Powers, oldest first; minutes where the readings themselves are gone."""
        during = asked(start_time, end_time, clock())
        return await store.fetch(
            lambda connection: power_history.history(
                connection, meter_id, during.start, during.end, resolution=resolution, limit=limit
            )
        )


def _keyed(draft: PowerDraft, key: str) -> PowerDraft:
    """A reading's own key is the better one."""
    return draft if draft.key is not None else msgspec.structs.replace(draft, key=key)
