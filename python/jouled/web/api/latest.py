"""`/api/v1/readings/latest`: from the cache that daemons share where there is one, else from the store."""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from sqlalchemy import Connection, bindparam, select

from jouled.bookkeeping.readings import reading_of
from jouled.errors import NotFoundError
from jouled.store.schema.readings import energy_readings
from jouled.web.api.parameters import IdInPath, TheStore
from jouled.wire.readings import Reading

# Built once: building a statement takes longer than its answer.
_LATEST = (
    select(energy_readings)
    .where(energy_readings.c.meter_id == bindparam("meter_id"))
    .order_by(energy_readings.c.at.desc(), energy_readings.c.seq.desc())
    .limit(1)
)


@runtime_checkable  # Litestar looks whether it is one
class Latest(Protocol):
    """What knows some meters' latest readings, as JSON."""

    async def latest(self, meter: str) -> bytes | None: ...


class NothingKnown:
    """Where no cache is set up."""

    async def latest(self, meter: str) -> bytes | None:  # noqa: ARG002  (the shape is given)
        return None


TheLatest: TypeAlias = NamedDependency[Latest]


class LatestReadings(Controller):
    """The latest reading of a meter."""

    path = "/readings/latest"
    tags = ("readings",)

    @get("/{meter_id:str}")
    async def get_latest_reading(self, meter_id: IdInPath, store: TheStore, latest: TheLatest) -> Reading:
        """The reading of a meter's latest instant; what came in within the last second may be missing."""
        if (body := await latest.latest(meter_id)) is not None:
            try:
                return msgspec.json.decode(body, type=Reading)
            except msgspec.MsgspecError:
                pass  # of another version of jouled; the store has it as well
        return await store.fetch(lambda connection: _of_meter(connection, meter_id))


def _of_meter(connection: Connection, meter_id: str) -> Reading:
    row = connection.execute(_LATEST, {"meter_id": meter_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no reading of a meter {meter_id!r}")
    return reading_of(row)
