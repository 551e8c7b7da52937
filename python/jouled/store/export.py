"""Records for other programs: in chunks, so that years of them need no more memory than a day."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Literal, Protocol, TypeAlias

from sqlalchemy import Connection, Select, select

from jouled.errors import UnsupportedError
from jouled.store.schema.measured import workload_energy, workloads, zone_energy, zones

ROWS = 10_000
RESOLUTIONS = {"minute": 60, "quarter-hour": 900, "day": 86_400}

Format: TypeAlias = Literal["csv", "jsonl", "parquet"]

_SHARED = ("start", "resolution_seconds", "node")
_END = ("joules", "covered_seconds", "quality")
# Column, in this order, and its kind.
ZONE_COLUMNS = (*_SHARED, "zone", "index", "source", "idle_joules", *_END)
WORKLOAD_COLUMNS = (*_SHARED, "level", "name", "labels", "zone", "cpu_seconds", *_END)


def columns(level: str) -> Sequence[str]:
    return ZONE_COLUMNS if level == "zone" else WORKLOAD_COLUMNS


def rows(
    connection: Connection, level: str, resolution_s: int, begin: datetime | None, end: datetime | None
) -> Iterator[dict[str, Any]]:
    """Of zones, or of the workloads of a level. Half-open, by time within each zone or workload."""
    query = _of_zones() if level == "zone" else _of_workloads(level)
    records = zone_energy if level == "zone" else workload_energy
    query = query.where(records.c.resolution_s == resolution_s)
    if begin is not None:
        query = query.where(records.c.start_at >= begin)
    if end is not None:
        query = query.where(records.c.start_at < end)
    make = _zone_row if level == "zone" else _workload_row
    found = connection.execution_options(stream_results=True, yield_per=ROWS).execute(query)
    for row in found:
        yield make(row._mapping)  # noqa: SLF001  (its public name)


def _of_zones() -> Select[Any]:
    key = (zone_energy.c.zone_id, zone_energy.c.resolution_s, zone_energy.c.start_at)
    return (
        select(zone_energy, zones.c.node, zones.c.zone, zones.c.zone_index, zones.c.source).join(zones).order_by(*key)
    )


def _of_workloads(level: str) -> Select[Any]:
    records = workload_energy.c
    key = (records.workload_id, records.resolution_s, records.start_at, records.zone)
    query = select(workload_energy, workloads.c.node, workloads.c.level, workloads.c.name, workloads.c.labels)
    return query.join(workloads).where(workloads.c.level == level).order_by(*key)


def _shared(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {"start": row["start_at"], "resolution_seconds": row["resolution_s"], "node": row["node"]}


def _end(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "joules": row["energy_mj"] / 1000,
        "covered_seconds": row["covered_us"] / 1e6,
        "quality": row["quality"],
    }


def _zone_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    names = {"zone": row["zone"], "index": row["zone_index"], "source": row["source"]}
    return {**_shared(row), **names, "idle_joules": row["idle_mj"] / 1000, **_end(row)}


def _workload_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    labels = json.dumps(row["labels"], ensure_ascii=False, sort_keys=True)
    names = {"level": row["level"], "name": row["name"], "labels": labels, "zone": row["zone"]}
    return {**_shared(row), **names, "cpu_seconds": row["cpu_us"] / 1e6, **_end(row)}


class Sink(Protocol):
    """Where rows go, in the form that was asked for."""

    def put(self, chunk: Sequence[dict[str, Any]]) -> None: ...

    def close(self) -> None: ...


def sink(kind: Format, file: BinaryIO, names: Sequence[str]) -> Sink:
    """Raises UnsupportedError where what it needs is not installed."""
    if kind == "csv":
        return _Csv(file, names)
    return _JsonLines(file) if kind == "jsonl" else _Parquet(file, names)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "start": row["start"].strftime("%Y-%m-%dT%H:%M:%SZ")}


class _Csv:
    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        import io

        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        self._writer = csv.DictWriter(self._text, names, lineterminator="\n")
        self._writer.writeheader()

    def put(self, chunk: Sequence[dict[str, Any]]) -> None:
        self._writer.writerows(_plain(row) for row in chunk)

    def close(self) -> None:
        self._text.flush()
        self._text.detach()


class _JsonLines:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def put(self, chunk: Sequence[dict[str, Any]]) -> None:
        import msgspec

        encode = msgspec.json.Encoder().encode
        self._file.write(b"".join(encode(_plain(row)) + b"\n" for row in chunk))

    def close(self) -> None:
        self._file.flush()


class _Parquet:
    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            raise UnsupportedError("Parquet needs pyarrow: pip install 'jouled[parquet]', or ask for csv") from error

        kinds = {"start": pa.timestamp("us", tz="UTC"), "resolution_seconds": pa.int32()}

        def kind(name: str) -> Any:
            return pa.float64() if name.endswith(("joules", "_seconds")) else pa.string()

        self._pa = pa
        self._schema = pa.schema([(name, kinds[name] if name in kinds else kind(name)) for name in names])
        self._writer = parquet.ParquetWriter(file, self._schema)

    def put(self, chunk: Sequence[dict[str, Any]]) -> None:
        self._writer.write_table(self._pa.Table.from_pylist(list(chunk), schema=self._schema))

    def close(self) -> None:
        self._writer.close()
