"""`/api/v1/loads`, `/miners` and `/models`: what is balanced, and what the operator says of miners."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, TypeAlias, TypeVar

from litestar import Controller, delete, get, patch
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from jouled.bookkeeping import fleet as books
from jouled.bookkeeping.fleet import MinerRow, ModelRow
from jouled.bookkeeping.pages import ROWS, cursor_of, place_of
from jouled.errors import ConflictError, InvalidError, NotFoundError
from jouled.web.api.fleet_shown import FleetShown, preset_names, status_shown
from jouled.web.api.no_store import NoStoreError
from jouled.web.api.parameters import Cursor, IdInPath, Limit, TheClock, TheStore
from jouled.wire.fleet import (
    Forgotten,
    LoadShown,
    MinerPatch,
    MinerShown,
    MinerStatus,
    ModelPatch,
    ModelShown,
)
from jouled.wire.problems import Page

T = TypeVar("T")

TheFleet: TypeAlias = NamedDependency[FleetShown]
StatusLimit = Annotated[int, QueryParameter(ge=1, le=1000, description="Statuses at most.")]

NO_FIELDS = "no fields to update"
STILL_THERE = "it still answers; switch it off, or take it out of miners.subnets, before it is forgotten"


class Loads(Controller):
    """All loads of the balancer: hosts, nodes, miners, programs."""

    path = "/loads"
    tags = ("loads",)

    @get()
    async def list_loads(self, fleet: TheFleet, cursor: Cursor = None, limit: Limit = ROWS) -> Page[LoadShown]:
        """By id: what each does, what it may be set to, and why it is not steered. None where nothing is balanced."""
        return _page(fleet.loads(), "id", cursor, limit)

    @get("/{load_id:str}")
    async def get_load(self, load_id: IdInPath, fleet: TheFleet) -> LoadShown:
        """One load."""
        found = next((load for load in fleet.loads() if load.id == load_id), None)
        if found is None:
            raise NotFoundError(f"there is no load {load_id[:64]!r} here; GET /api/v1/loads lists them")
        return found


class Miners(Controller):
    """Miners by their MACs, found in the subnets that the settings name."""

    path = "/miners"
    tags = ("loads",)
    opt = {"scope": "control"}  # noqa: RUF012  (Litestar copies it)

    @get()
    async def list_miners(
        self, store: TheStore, clock: TheClock, fleet: TheFleet, cursor: Cursor = None, limit: Limit = ROWS
    ) -> Page[MinerShown]:
        """By MAC, those that are away too."""
        models, miners = await _rows(fleet, store)
        by_name = {model.name: model for model in models}
        page = _page(miners, "id", cursor, limit)
        shown = tuple(fleet.miner(row, by_name.get(row.model or ""), clock()) for row in page.items)
        return Page(page.count, shown, page.next_cursor)

    @get("/{mac:str}")
    async def get_miner(self, mac: IdInPath, store: TheStore, clock: TheClock, fleet: TheFleet) -> MinerShown:
        """One miner."""
        return await _one(fleet, store, _mac(mac), clock)

    @patch("/{mac:str}")
    async def change_miner(
        self, mac: IdInPath, data: JSONBody[MinerPatch], store: TheStore, clock: TheClock, fleet: TheFleet
    ) -> MinerShown:
        """Let it be steered or not, and between which presets. Nothing is made up for a MAC that was never seen."""
        mac = _mac(mac)
        models, miners = await _rows(fleet, store)
        row = next((row for row in miners if row.id == mac), None)
        if row is None:
            raise books.unknown_miner(mac)
        changes = _changes_of_miner(data, row)
        if data.unlock_pass is not UNSET:
            await _take_password(fleet, mac, data.unlock_pass)
        if changes:
            model = [known for known in models if known.name == row.model]
            changed = await store.commit(partial(_change_miner, row, model, changes, clock()))
            if fleet.roster is not None:
                fleet.roster.take_miner(changed)
        return await _one(fleet, store, mac, clock)

    @delete("/{mac:str}", status_code=200)
    async def forget_miner(self, mac: IdInPath, store: TheStore, fleet: TheFleet) -> Forgotten:
        """One that is gone for good: until it is forgotten, it counts with the most that it may draw."""
        mac = _mac(mac)
        _, miners = await _rows(fleet, store)
        if all(row.id != mac for row in miners):
            raise books.unknown_miner(mac)
        watched = fleet.watched(mac)
        if watched is not None and watched.seen is not None and not watched.is_away:
            raise ConflictError(f"miner {mac}: {STILL_THERE}")
        await store.commit(lambda connection: books.forget(connection, mac))
        if fleet.roster is not None:
            fleet.roster.forget(mac)
        return Forgotten(mac)

    @get("/{mac:str}/statuses")
    async def list_miner_statuses(
        self, mac: IdInPath, store: TheStore, fleet: TheFleet, limit: StatusLimit = 10
    ) -> Page[MinerStatus]:
        """What it said, newest first: once a minute, and whenever it did something else."""
        mac = _mac(mac)
        _, miners = await _rows(fleet, store)
        if all(row.id != mac for row in miners):
            raise books.unknown_miner(mac)
        rows = await store.fetch(lambda connection: books.statuses(connection, mac, limit))
        return Page(len(rows), tuple(status_shown(row) for row in rows))


class Models(Controller):
    """Models of miners: their presets, and which of them their miners may have."""

    path = "/models"
    tags = ("loads",)
    opt = {"scope": "control"}  # noqa: RUF012  (as above)

    @get()
    async def list_models(
        self, store: TheStore, fleet: TheFleet, cursor: Cursor = None, limit: Limit = ROWS
    ) -> Page[ModelShown]:
        """By alias: those of the miners that were found."""
        models, _ = await _rows(fleet, store)
        page = _page(models, "alias", cursor, limit)
        return Page(page.count, tuple(fleet.model(row) for row in page.items), page.next_cursor)

    @get("/{alias:str}")
    async def get_model(self, alias: IdInPath, store: TheStore, fleet: TheFleet) -> ModelShown:
        """One model."""
        return fleet.model(await _model(fleet, store, alias))

    @patch("/{alias:str}")
    async def change_model(
        self, alias: IdInPath, data: JSONBody[ModelPatch], store: TheStore, clock: TheClock, fleet: TheFleet
    ) -> ModelShown:
        """The most and the least preset of its miners. Without a most they are not steered."""
        row = await _model(fleet, store, alias)
        changes: dict[str, Any] = {}
        names = [preset[0] for preset in row.presets]
        _take_preset(changes, "max_preset", data.max_preset, names)
        _take_preset(changes, "min_preset", data.min_preset, names)
        if not changes:
            raise ClientException(NO_FIELDS)
        watts = {preset[0]: preset[1] for preset in row.presets}
        _check_order(watts, row._replace(**changes))
        changed = await store.commit(partial(_change_model, row, changes, clock()))
        if fleet.roster is not None:
            fleet.roster.take_model(changed)
        return fleet.model(changed)


def _change_miner(
    row: MinerRow, model: list[ModelRow], changes: dict[str, Any], now: Any, connection: Connection
) -> MinerRow:
    """What was found a moment ago may not be there yet."""
    books.put(connection, [row if model else row._replace(model=None)], model)
    return books.change_miner(connection, row.id, changes, now)


def _change_model(row: ModelRow, changes: dict[str, Any], now: Any, connection: Connection) -> ModelRow:
    books.put(connection, [], [row])
    return books.change_model(connection, row.name, changes, now)


def _changes_of_miner(data: MinerPatch, row: MinerRow) -> dict[str, Any]:
    """By column. Raises InvalidError and ClientException."""
    changes: dict[str, Any] = {}
    if data.managed is not UNSET and data.enabled is not UNSET and data.managed != data.enabled:
        raise ClientException("managed and enabled are the same; give one of them")
    is_enabled = data.managed if data.enabled is UNSET else data.enabled
    given = {
        "is_enabled": is_enabled,
        "is_locked": data.locked,
        "priority": data.priority,
        "circuit": data.circuit if data.circuit is UNSET else data.circuit or None,
    }
    changes |= {column: value for column, value in given.items() if value is not UNSET}
    names = preset_names(row)
    _take_preset(changes, "max_preset", data.max_preset, names)
    _take_preset(changes, "min_preset", data.min_preset, names)
    if not changes and data.unlock_pass is UNSET:
        raise ClientException(NO_FIELDS)
    if data.unlock_pass is not UNSET and not data.unlock_pass:
        raise ClientException("unlock_pass cannot be empty")
    watts = {str(preset["name"]): float(preset["power_w"]) for preset in (row.description or {}).get("presets", ())}
    _check_order(watts, row._replace(**changes))
    return changes


def _take_preset(changes: dict[str, Any], word: str, name: str | UnsetType | None, available: list[str]) -> None:
    if name is UNSET:
        return
    if name:
        try:
            books.check_preset(word, str(name), available)
        except InvalidError as error:
            raise ClientException(str(error)) from None
    changes[word] = name or None


def _check_order(watts: dict[str, float], row: MinerRow | ModelRow) -> None:
    least, most = watts.get(row.min_preset or ""), watts.get(row.max_preset or "")
    if least is not None and most is not None and least > most:
        raise ClientException(f"min_preset {row.min_preset} is above max_preset {row.max_preset}; swap them")


async def _take_password(fleet: FleetShown, mac: str, password: str | UnsetType) -> None:
    if fleet.roster is None:
        raise InvalidError("unlock_pass: this daemon has no miners; ask the one that balances them")
    await fleet.roster.give_password(mac, str(password))


async def _rows(fleet: FleetShown, store: TheStore) -> tuple[list[ModelRow], list[MinerRow]]:
    """Nobody is known where nothing is kept and nothing is balanced."""
    try:
        return await fleet.rows(store)
    except NoStoreError:
        return [], []


async def _one(fleet: FleetShown, store: TheStore, mac: str, clock: TheClock) -> MinerShown:
    models, miners = await _rows(fleet, store)
    row = next((row for row in miners if row.id == mac), None)
    if row is None:
        raise books.unknown_miner(mac)
    return fleet.miner(row, next((model for model in models if model.name == row.model), None), clock())


async def _model(fleet: FleetShown, store: TheStore, alias: str) -> ModelRow:
    models, _ = await _rows(fleet, store)
    row = next((row for row in models if row.alias == alias), None)
    if row is None:
        raise books.unknown_model(alias)
    return row


def _mac(text: str) -> str:
    return text.lower().replace("-", ":")


def _page(rows: list[T], key: str, cursor: str | None, limit: int) -> Page[T]:
    after = None if cursor is None else place_of(cursor, str)
    rows = sorted(rows, key=lambda row: str(getattr(row, key)))
    left = [row for row in rows if after is None or getattr(row, key) > after]
    shown = tuple(left[:limit])
    return Page(len(shown), shown, cursor_of(getattr(shown[-1], key)) if len(left) > limit else None)
