"""Miners and models in the store: what they said of themselves, and what the operator says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, insert, select, update

from jouled.bookkeeping.upserts import upsert
from jouled.errors import InvalidError, NotFoundError
from jouled.store.schema.fleet import miner_models, miner_statuses, miners

TEXT_MAX = 512
# As many as a fleet has loads.
ROWS_MAX = 10_000
# Rows of one statement.
TOGETHER = 1000


class ModelRow(NamedTuple):
    """A model; `presets` are (name, watts, work). Bounds that are None are as the settings say."""

    name: str
    alias: str
    created_at: datetime
    updated_at: datetime
    min_preset: str | None = None
    max_preset: str | None = None
    presets: tuple[tuple[str, float, float], ...] = ()


class MinerRow(NamedTuple):
    """A miner. What is None of the operator's is as its model or the settings say."""

    id: str
    family: str
    created_at: datetime
    updated_at: datetime
    address: str | None = None
    model: str | None = None
    is_enabled: bool = True
    is_locked: bool = False
    priority: int | None = None
    circuit: str | None = None
    min_preset: str | None = None
    max_preset: str | None = None
    description: dict[str, Any] | None = None
    worst_w: float | None = None
    point: str | None = None


class StatusRow(NamedTuple):
    """What a miner said at one time."""

    miner: str
    at: datetime
    state: str
    preset: str | None = None
    power_w: float | None = None
    work_ths: float | None = None
    note: str | None = None
    seq: int | None = None


def models(connection: Connection) -> list[ModelRow]:
    """By name."""
    rows = connection.execute(select(miner_models).order_by(miner_models.c.name).limit(ROWS_MAX))
    return [_model(row) for row in rows]


def all_miners(connection: Connection) -> list[MinerRow]:
    """By MAC."""
    rows = connection.execute(select(miners).order_by(miners.c.id).limit(ROWS_MAX))
    return [MinerRow(**row._mapping) for row in rows]  # noqa: SLF001  (its public name in SQLAlchemy)


def put(connection: Connection, found: Sequence[MinerRow], known: Iterable[ModelRow]) -> None:
    """What they are; what the operator said of them stays as it is. The same again changes nothing."""
    for model in known:
        statement = upsert(connection, miner_models).values(**_columns(model))
        changed = {"presets": _columns(model)["presets"]}
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=changed))
    for miner in found:
        values = miner._asdict()
        own = ("family", "address", "model", "description", "worst_w", "point")
        changed = {name: values[name] for name in own}
        statement = upsert(connection, miners).values(**values)
        connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))


def change_miner(connection: Connection, mac: str, changes: Mapping[str, Any], now: datetime) -> MinerRow:
    """Raises NotFoundError: who was never seen is not made up."""
    if changes:
        connection.execute(update(miners).where(miners.c.id == mac).values(**changes, updated_at=now))
    row = connection.execute(select(miners).where(miners.c.id == mac)).one_or_none()
    if row is None:
        raise unknown_miner(mac)
    return MinerRow(**row._mapping)  # noqa: SLF001  (as above)


def change_model(connection: Connection, name: str, changes: Mapping[str, Any], now: datetime) -> ModelRow:
    """Raises NotFoundError."""
    if changes:
        statement = update(miner_models).where(miner_models.c.name == name)
        connection.execute(statement.values(**changes, updated_at=now))
    row = connection.execute(select(miner_models).where(miner_models.c.name == name)).one_or_none()
    if row is None:
        raise unknown_model(name)
    return _model(row)


def forget(connection: Connection, mac: str) -> bool:
    """Its statuses stay for as long as others do."""
    return connection.execute(delete(miners).where(miners.c.id == mac)).rowcount > 0


def add_statuses(connection: Connection, rows: Sequence[StatusRow]) -> None:
    values = [{name: value for name, value in row._asdict().items() if name != "seq"} for row in rows]
    for one in values:
        one["note"] = None if one["note"] is None else one["note"][:TEXT_MAX]
    for first in range(0, len(values), TOGETHER):
        connection.execute(insert(miner_statuses), values[first : first + TOGETHER])


def statuses(connection: Connection, mac: str, limit: int) -> list[StatusRow]:
    """Newest first."""
    query = select(miner_statuses).where(miner_statuses.c.miner == mac)
    rows = connection.execute(query.order_by(miner_statuses.c.at.desc(), miner_statuses.c.seq.desc()).limit(limit))
    return [StatusRow(**row._mapping) for row in rows]  # noqa: SLF001  (as above)


def unknown_miner(mac: str) -> NotFoundError:
    return NotFoundError(f"there is no miner {mac[:64]!r}; joulectl miners lists those that were found")


def unknown_model(alias: str) -> NotFoundError:
    return NotFoundError(f"there is no model {alias[:64]!r}; joulectl miners models lists those that were found")


def check_preset(word: str, name: str, available: Iterable[str]) -> None:
    """Raises InvalidError for one that nobody has."""
    known = list(dict.fromkeys(available))
    if name not in known:
        raise InvalidError(f"{word} must match an available preset: {', '.join(known) or 'none is known yet'}")


def _columns(model: ModelRow) -> dict[str, Any]:
    return model._asdict() | {"presets": [list(preset) for preset in model.presets]}


def _model(row: Row[Any]) -> ModelRow:
    presets = tuple((str(name), float(power_w), float(work)) for name, power_w, work in row.presets)
    return ModelRow(**(dict(row._mapping) | {"presets": presets}))  # noqa: SLF001  (as above)
