"""Writes what a node measured in a minute, with its sums by quarter-hour and day, and as a reading of its site."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Table, bindparam, case, insert, or_, select, update

from jouled.bookkeeping import node_readings
from jouled.bookkeeping.ids import new_id
from jouled.bookkeeping.upserts import upsert
from jouled.books.claims import Claim, Holder
from jouled.books.minutes import DAY_S, MINUTE_S, QUARTER_HOUR_S, Calendar, quarter_hour_of
from jouled.books.records import Part, RowShare
from jouled.errors import StoreError
from jouled.model import ZoneKey
from jouled.store.schema.measured import nodes, workload_energy, workloads, zone_energy, zones
from jouled.store.schema.sites import sites
from jouled.store.types import instant, microseconds

# What people call a workload: the first of these labels that it has.
_NAMES = ("unit", "container_name", "container_id", "vm_name", "vm_id", "pod_name", "pod_id", "user", "uid")
_NAME_MAX = 512
# In one statement: both engines take more, none of it quicker.
_KEYS_MAX = 500
QUARTER_HOUR = timedelta(minutes=15)


def utc_now() -> datetime:
    return datetime.now(UTC)


class NodeRecords:
    """The records of one node, in one run of its daemon. `say` is told, again and again, what the operator
    should mend. `machine` tells hosts of one name apart.
    """

    def __init__(
        self,
        node: str,
        site: str | None,
        say: Callable[[str], None],
        clock: Callable[[], datetime] = utc_now,
        *,
        machine: str | None = None,
    ) -> None:
        self.node = node
        self.site = site
        self._say = say
        self._clock = clock
        self._run = new_id()
        self._machine = machine
        self._claim = Claim(self._run, machine)
        self._parts = 0

    def __repr__(self) -> str:
        return f"<NodeRecords of {self.node} [{self._parts} parts]>"

    def work(self, part: Part) -> Callable[[Connection], None]:
        """To be done in the order in which it was made; done again, it changes nothing. Raises StoreError as long
        as it is not known whether another host has the name.
        """
        self._parts += 1
        return partial(self.write, part=part, number=self._parts)

    def write(self, connection: Connection, *, part: Part, number: int) -> None:
        timezone = self._timezone(connection)
        now = self._clock()
        calendar = self._claimed(connection, number, timezone or "UTC", part.minute_us, now)
        if calendar is None:
            return
        starts = periods(part.minute_us, calendar)
        self._write_zones(connection, part, starts)
        self._write_rows(connection, part, starts)
        if self.site is not None and timezone is not None:
            reading = node_readings.draft_of(self.node, self.site, part, f"{self._run[:8]}-{number}")
            if reading is not None:
                node_readings.write(connection, reading, now, self._say)

    def _timezone(self, connection: Connection) -> str | None:
        """The site's; None where there is no site."""
        if self.site is None:
            return None
        timezone = connection.execute(select(sites.c.timezone).where(sites.c.id == self.site)).scalar_one_or_none()
        if timezone is None:
            self._say(
                f"node.site {self.site!r}: there is no such site, so this node's energy is in no site's readings; "
                f"POST /api/v1/sites makes one"
            )
        return timezone

    def _claimed(
        self, connection: Connection, number: int, timezone: str, minute_us: int, now: datetime
    ) -> Calendar | None:
        """By whose days the part is to be summed up; None where it is written already, or not to be written."""
        known = connection.execute(select(nodes).where(nodes.c.name == self.node).with_for_update()).one_or_none()
        if not self._is_ours(known, now):
            return None
        if known is None:
            calendar = Calendar(timezone)
        elif known.run == self._run and known.part >= number:
            return None
        else:
            since_us = None if known.timezone_at is None else microseconds(known.timezone_at)
            calendar = Calendar(known.timezone, since_us, known.timezone_before).changed(timezone, minute_us)
        values = {
            "run": self._run,
            "part": number,
            "machine": self._machine,
            "timezone": calendar.timezone,
            "timezone_at": None if calendar.since_us is None else instant(calendar.since_us),
            "timezone_before": calendar.before,
            "at": now,
        }
        if known is not None:
            connection.execute(update(nodes).where(nodes.c.name == self.node).values(**values))
            return calendar
        made = upsert(connection, nodes).values(name=self.node, **values).on_conflict_do_nothing()
        if connection.execute(made.returning(nodes.c.name)).first() is None:
            # Another daemon was quicker.
            return self._claimed(connection, number, timezone, minute_us, now)
        return calendar

    def _is_ours(self, known: Row[Any] | None, now: datetime) -> bool:
        holder = None if known is None else Holder(known.run, known.part, known.machine, known.at)
        verdict = self._claim.judge(holder, now)
        if verdict == "unsure":
            raise StoreError(
                f"node.name {self.node!r}: a daemon of another host recorded under it a moment ago; waiting for its end"
            )
        if verdict == "taken":
            self._say(
                f"node.name {self.node!r}: another daemon records under this name, so that nothing of this one is "
                f"recorded; set another node.name here or there"
            )
        return verdict == "ours"

    def _write_zones(self, connection: Connection, part: Part, starts: Mapping[int, datetime]) -> None:
        shares = {key: share for key, share in part.zones.items() if share.energy_mj or part.covered_us.get(key, 0)}
        ids = self._zone_ids(connection, shares, starts[MINUTE_S])
        rows = [
            {
                "zone_id": ids[key],
                "resolution_s": resolution_s,
                "start_at": start,
                "energy_mj": share.energy_mj,
                "idle_mj": share.idle_mj,
                "covered_us": part.covered_us.get(key, 0),
                "quality": share.quality,
            }
            for resolution_s, start in starts.items()
            for key, share in shares.items()
        ]
        add(connection, zone_energy, rows, ("energy_mj", "idle_mj", "covered_us"))
        if shares:
            grow = (
                update(zones).where(zones.c.id == bindparam("of")).values(total_mj=zones.c.total_mj + bindparam("by"))
            )
            connection.execute(grow, [{"of": ids[key], "by": share.energy_mj} for key, share in shares.items()])

    def _zone_ids(self, connection: Connection, keys: Iterable[ZoneKey], at: datetime) -> dict[ZoneKey, int]:
        query = select(zones.c.id, zones.c.zone, zones.c.zone_index, zones.c.source).where(zones.c.node == self.node)
        known = {(row.zone, row.zone_index, row.source): row.id for row in connection.execute(query)}
        for key in keys:
            if key not in known:
                zone, index, source = key
                values = {"node": self.node, "zone": zone, "zone_index": index, "source": source}
                made = insert(zones).values(**values, total_mj=0, since_at=at).returning(zones.c.id)
                known[key] = connection.execute(made).scalar_one()
        return known

    def _write_rows(self, connection: Connection, part: Part, starts: Mapping[int, datetime]) -> None:
        ids = self._workload_ids(connection, part.rows, starts[MINUTE_S])
        classes = {zone: part.of_class(zone) for zone in {key[0] for key in part.zones}}
        rows = [
            {
                "workload_id": workload_id,
                "resolution_s": resolution_s,
                "start_at": start,
                "zone": zone,
                "energy_mj": energy_mj,
                "cpu_us": row.cpu_us,
                "covered_us": classes[zone][0],
                "quality": classes[zone][1],
            }
            for resolution_s, start in starts.items()
            for workload_id, row in zip(ids, part.rows, strict=True)
            for zone, energy_mj in row.energy_mj.items()
            if energy_mj
        ]
        add(connection, workload_energy, rows, ("energy_mj", "cpu_us", "covered_us"))

    def _workload_ids(self, connection: Connection, rows: Sequence[RowShare], at: datetime) -> list[int]:
        """In the order of `rows`; those that are new are made."""
        hashes = [labels_sha256(row.labels) for row in rows]
        # A quarter-hour ahead, so that it is written once in one.
        until = instant(quarter_hour_of(microseconds(at))) + QUARTER_HOUR
        known = self._known(connection, hashes)
        fresh = {}
        seen = []
        for row, sha256 in zip(rows, hashes, strict=True):
            place = known.get((row.level, sha256))
            if place is None:
                fresh[row.level, sha256] = self._workload(row, sha256, at, until)
            elif place.last_at < until or place.first_at > at:
                seen.append({"of": place.id, "first": min(at, place.first_at), "last": max(until, place.last_at)})
        if fresh:
            connection.execute(insert(workloads), list(fresh.values()))
            known |= self._known(connection, [sha256 for _, sha256 in fresh])
        if seen:
            change = update(workloads).where(workloads.c.id == bindparam("of"))
            connection.execute(change.values(first_at=bindparam("first"), last_at=bindparam("last")), seen)
        return [known[row.level, sha256].id for row, sha256 in zip(rows, hashes, strict=True)]

    def _known(self, connection: Connection, hashes: Sequence[str]) -> dict[tuple[str, str], Any]:
        """They stay until the transaction ends: another daemon's retention may be about to remove one of them."""
        columns = (workloads.c.id, workloads.c.level, workloads.c.labels_sha256)
        query = select(*columns, workloads.c.first_at, workloads.c.last_at).where(workloads.c.node == self.node)
        known = {}
        for place in range(0, len(hashes), _KEYS_MAX):
            some = query.where(workloads.c.labels_sha256.in_(hashes[place : place + _KEYS_MAX]))
            some = some.with_for_update(read=True, key_share=True)
            known.update({(row.level, row.labels_sha256): row for row in connection.execute(some)})
        return known

    def _workload(self, row: RowShare, sha256: str, at: datetime, until: datetime) -> dict[str, Any]:
        return {
            "node": self.node,
            "level": row.level,
            "labels_sha256": sha256,
            "name": name_of(row),
            "reason": row.reason,
            "labels": dict(row.labels),
            "first_at": at,
            "last_at": until,
        }


def periods(minute_us: int, calendar: Calendar) -> dict[int, datetime]:
    """Where each of the resolutions has this minute."""
    return {
        MINUTE_S: instant(minute_us),
        QUARTER_HOUR_S: instant(quarter_hour_of(minute_us)),
        DAY_S: instant(calendar.day_of(minute_us)),
    }


def add(connection: Connection, table: Table, rows: list[dict[str, Any]], sums: Sequence[str]) -> None:
    """Onto what is there; of two qualities the worse one stays."""
    if not rows:
        return
    statement = upsert(connection, table)
    new = statement.excluded
    changes: dict[str, Any] = {name: table.c[name] + new[name] for name in sums}
    changes["quality"] = case(
        *((or_(table.c.quality == word, new.quality == word), word) for word in ("suspect", "estimated")), else_="good"
    )
    keys = [column.name for column in table.primary_key]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes), rows)


def labels_sha256(labels: Mapping[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(dict(labels), order="sorted")).hexdigest()


def name_of(row: RowShare) -> str:
    if row.reason is not None:
        return row.reason
    if row.level == "process":
        return row.labels.get("comm", "")[:_NAME_MAX]
    return next((row.labels[label] for label in _NAMES if row.labels.get(label)), "")[:_NAME_MAX]
