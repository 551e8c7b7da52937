"""`/api/v1/readings`: taken in once, however often they are sent."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Controller, get, post
from litestar.exceptions import ClientException
from litestar.params import HeaderParameter, JSONBody

from jouled.bookkeeping import readings
from jouled.errors import BooksError, ConflictError, InvalidError
from jouled.web.api.parameters import Cursor, IdInPath, Limit, TheClock, TheLimits, TheStore
from jouled.web.api.ranges import EndTime, StartTime, asked
from jouled.wire.readings import (
    BatchAnswer,
    BatchItem,
    Ingested,
    Key,
    Reading,
    ReadingBatch,
    ReadingDraft,
    SiteReadings,
)

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key", max_length=128, description="The same as `key` in the body: it names the reading."
    ),
]


class Readings(Controller):
    """Energy readings."""

    path = "/readings"
    tags = ("readings",)
    opt = {"scope": "write:readings"}  # noqa: RUF012  (Litestar copies it)

    @post()
    async def ingest_reading(
        self, data: JSONBody[ReadingDraft], store: TheStore, clock: TheClock, idempotency_key: IdempotencyKey = None
    ) -> Ingested:
        """Take in a reading, with its emission and the budgets that it is part of. The same again changes nothing."""
        draft = _named(data, idempotency_key)
        done = await store.commit(lambda connection: readings.ingest(connection, [draft], clock()))
        return done[0]

    @post("/batch", status_code=200)
    async def ingest_readings(
        self, data: JSONBody[ReadingBatch], store: TheStore, clock: TheClock, limits: TheLimits
    ) -> BatchAnswer:
        """Take in many readings in one transaction. Those that cannot be are answered one by one."""
        if len(data.readings) > limits.batch:
            raise InvalidError(f"{len(data.readings)} readings are more than {limits.batch}; send them in parts")
        done = await store.commit(lambda connection: readings.ingest_each(connection, data.readings, clock()))
        items = tuple(_item(outcome) for outcome in done)
        new = sum(item.status == 201 for item in items)
        return BatchAnswer(len(items), new, sum(item.status >= 400 for item in items), items)

    @get("/facility/{facility_id:str}")
    async def list_readings(
        self,
        facility_id: IdInPath,
        store: TheStore,
        clock: TheClock,
        *,
        start_time: StartTime = None,
        end_time: EndTime = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> SiteReadings:
        """A site's readings, newest first."""
        during = asked(start_time, end_time, clock())
        return await store.fetch(lambda connection: readings.listed(connection, facility_id, during, cursor, limit))

    @get("/{reading_id:str}")
    async def get_reading(self, reading_id: IdInPath, store: TheStore) -> Reading:
        """One reading."""
        return await store.fetch(lambda connection: readings.get(connection, reading_id))


def _named(draft: ReadingDraft, header: str | None) -> ReadingDraft:
    """Raises ClientException for a header that is no key, or another than the body's."""
    if header is None or header == draft.key:
        return draft
    if draft.key is not None:
        raise ClientException("the header Idempotency-Key and the body's key differ; send one of them")
    try:
        return msgspec.structs.replace(draft, key=msgspec.convert(header, Key))
    except msgspec.ValidationError as error:
        raise ClientException(f"the header Idempotency-Key is no key: {error}") from None


def _item(outcome: Ingested | BooksError) -> BatchItem:
    if isinstance(outcome, Ingested):
        return BatchItem(201 if outcome.is_new else 200, id=outcome.id)
    if isinstance(outcome, ConflictError):
        return BatchItem(409, error="conflict", message=str(outcome))
    return BatchItem(422, error="unprocessable", message=str(outcome))
