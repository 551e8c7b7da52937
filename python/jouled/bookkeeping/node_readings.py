"""A node's own energy as readings of the site that it is assigned to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, update

from jouled.bookkeeping import readings
from jouled.bookkeeping.upserts import upsert
from jouled.books.records import Part, headline, worst
from jouled.errors import BooksError
from jouled.store.schema.meters import meters
from jouled.store.types import instant
from jouled.wire.readings import ReadingDraft

MJ_PER_KWH = 3_600_000_000
ID_MAX = 128


def meter_of(node: str) -> str:
    return f"node:{node}"[:ID_MAX]


def write(connection: Connection, draft: ReadingDraft, now: datetime, say: Callable[[str], None]) -> None:
    """With its meter, where there is none yet. What the books refuse is said, and the records stay."""
    site = draft.facility_id
    values = {
        "id": draft.meter_id,
        "name": f"energy of {draft.meter_id}"[:256],
        "kind": "main",
        "direction": "consume",
        "energy_source": "grid",
        "site_id": site,
        "state": "unknown",
        "created_at": now,
    }
    try:
        with connection.begin_nested():
            connection.execute(upsert(connection, meters).values(values).on_conflict_do_nothing(index_elements=["id"]))
            # The operator may have assigned the node to another site.
            moved = update(meters).where(meters.c.id == draft.meter_id, meters.c.site_id.is_distinct_from(site))
            connection.execute(moved.values(site_id=site))
            readings.ingest(connection, [draft], now)
    except BooksError as error:
        say(f"the energy of {draft.meter_id} cannot be a reading of site {site!r}: {error}")


def draft_of(node: str, site: str, part: Part, number: str) -> ReadingDraft | None:
    """None where the zones that say what the machine draws were not measured.

    Its instant is the minute's begin, so that it counts for the day in which it was drawn. `number` tells
    the parts of a minute apart.
    """
    classes = headline(zone for zone, _, _ in part.zones)
    shares = {key: share for key, share in part.zones.items() if key[0] in classes}
    covered_us = max((part.covered_us.get(key, 0) for key in shares), default=0)
    energy_mj = sum(share.energy_mj for share in shares.values())
    if not energy_mj and not covered_us:
        return None
    return ReadingDraft(
        meter_id=meter_of(node),
        facility_id=site,
        consumption=energy_mj / MJ_PER_KWH,
        timestamp=instant(part.minute_us),
        quality=worst(share.quality for share in shares.values()),
        metadata={"covered_seconds": covered_us / 1e6, "zones": list(classes)},
        key=f"{meter_of(node)}:{part.minute_us // 1_000_000}:{number}"[-128:],
    )
