"""The emission of a reading that may be in the books, or not yet: it is counted once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from jouled.bookkeeping import readings
from jouled.books.emissions import UG_PER_G, UG_PER_KG
from jouled.books.readings import energy_mj
from jouled.errors import ConflictError, InvalidError
from jouled.wire.carbon import ProcessDraft, Processed


def process(connection: Connection, draft: ProcessDraft, now: datetime) -> Processed:
    """Raises NotFoundError for an `id` that the books have not, ConflictError where they say otherwise."""
    is_new = False
    if draft.id is not None:
        reading_id = draft.id
    else:
        if draft.direction is not None or draft.created_at is not None:
            raise InvalidError("direction and created_at are of a reading in the books; send its id as well")
        done = readings.ingest(connection, [draft.draft()], now)[0]
        reading_id, is_new = done.id, done.is_new
    row = readings.row_of(connection, reading_id)
    said = (draft.meter_id, draft.facility_id, energy_mj(draft.consumption), draft.timestamp, draft.quality)
    if said != (row.meter_id, row.site_id, row.energy_mj, row.at, row.quality):
        raise ConflictError(f"reading {reading_id!r} is in the books and says otherwise; it was not changed")
    if draft.energy_source not in {None, row.energy_source}:
        raise ConflictError(f"reading {reading_id!r} is of {row.energy_source}; it was not changed")
    return Processed(
        reading_id,
        row.emission_ug / UG_PER_KG,
        row.intensity_ug_per_kwh / UG_PER_G,
        row.emission_method,
        is_new=is_new,
    )
