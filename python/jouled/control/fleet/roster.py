"""The miners of a site: found, known again under another address, and kept with what the operator says of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import trio
from sqlalchemy import Connection

from jouled.bookkeeping import fleet as books
from jouled.bookkeeping.fleet import MinerRow, ModelRow, StatusRow
from jouled.config.balance import BalancedLoad
from jouled.config.miners import Miners as Settings
from jouled.control.fleet import described
from jouled.control.fleet.discovery import Discovery, Found, Sighting
from jouled.control.fleet.fleet import Fleet
from jouled.control.fleet.passwords import Passwords
from jouled.control.fleet.standing import MINERS, Standing
from jouled.control.fleet.watched import Kept, Watched
from jouled.errors import JouledError, StoreError, one_line
from jouled.loads.actuator import Actuator, Description
from jouled.log import log
from jouled.restarts import keep_running
from jouled.store import Store
from jouled.store.buffer import Backlog

# What the operator says at another daemon of the store is known here after that.
SYNC_S = 15.0
# A status of each miner, and one more whenever it does something else.
STATUS_S = 60.0
# Changes of many miners at once are one record.
TOGETHER_S = 1.0
# A miner that is away may have another address: it is looked for sooner, and not at once for each of them.
AWAY_S = 60.0
WAIT_S = 5.0
# At the start the store is not waited for longer.
STORE_S = 5.0
# Records that wait for a store that is away: an hour or two of a fleet.
BACKLOG_MAX = 120
# What a miner counts with while it is away is written anew where it is another one by so much.
WORST_STEP = 0.02
SAID_MAX = 4096


class Making(Protocol):
    """As loads.fleet.Miners."""

    def make(self, family: str, mac: str, address: str) -> Actuator: ...
    async def aclose(self) -> None: ...


@runtime_checkable
class Movable(Protocol):
    """An actuator that can be told where its device answers now."""

    @property
    def address(self) -> str: ...
    def move(self, address: str) -> None: ...


class _Written(NamedTuple):
    """What the store has of a miner, and its latest status."""

    row: MinerRow
    status_s: float
    state: tuple[str, str | None]


class Roster:
    """`leads` says whether this daemon keeps the records; all of them know the miners. Belongs to Trio's thread."""

    def __init__(
        self,
        fleet: Fleet,
        *,
        settings: Settings,
        making: Making,
        discovery: Discovery,
        store: Store | None,
        passwords: Passwords | None = None,
        leads: Callable[[], bool] = lambda: True,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.fleet = fleet
        self.models = fleet.models
        self.discovery = discovery
        self.passwords = passwords or Passwords(None)
        self.moves = 0
        self._settings = settings
        self._making = making
        self._store = store
        self._leads = leads
        self._jitter = jitter
        self._rows: dict[str, MinerRow] = {}
        self._stored: set[str] = set()
        self._written: dict[str, _Written] = {}
        self._written_models: dict[str, ModelRow] = {}
        self._backlog = None if store is None else Backlog(store, limit=BACKLOG_MAX)
        # What each said of itself last, and how that is kept: a thousand of them are looked at each second.
        self._described: dict[str, tuple[Description, dict[str, Any], str | None]] = {}
        self._said: set[str] = set()
        # How often somebody told this daemon something: what the store said before is old then.
        self._told = 0

    def __repr__(self) -> str:
        return f"<Roster of {len(self._rows)} miners {self.discovery!r}>"

    @property
    def rows(self) -> tuple[MinerRow, ...]:
        """By MAC."""
        return tuple(self._rows[mac] for mac in sorted(self._rows))

    def row(self, mac: str) -> MinerRow | None:
        return self._rows.get(mac)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Started once the miners that the store knows are there."""
        with trio.move_on_after(STORE_S):
            await self._sync()
        async with trio.open_nursery() as nursery:
            task_status.started()
            if self.discovery.is_wanted:
                nursery.start_soon(keep_running, "discovery", self._discover)
            nursery.start_soon(self._keep)
            if self._backlog is not None:
                nursery.start_soon(self._backlog.run)
                nursery.start_soon(self._stay_in_sync)

    async def aclose(self) -> None:
        await self._making.aclose()

    def forget(self, mac: str) -> None:
        """By its operator's word: it counts with nothing from now on. It is found again where it answers."""
        self._told += 1
        self._rows.pop(mac, None)
        self._written.pop(mac, None)
        self._described.pop(mac, None)
        self._stored.discard(mac)
        self.fleet.forget(mac)

    def take_miner(self, row: MinerRow) -> None:
        """As the store has it now."""
        self._told += 1
        self._take_miner(row)

    def _take_miner(self, row: MinerRow) -> None:
        known = self._rows.get(row.id)
        # What it is is known here better.
        if known is not None:
            row = row._replace(address=known.address, description=known.description, model=known.model)
        self._rows[row.id] = row
        watched = self.fleet.of(row.id)
        if watched is not None:
            self.fleet.rule(watched, _standing(row))

    def take_model(self, row: ModelRow) -> None:
        """As above."""
        self._told += 1
        self._take_model(row)

    def _take_model(self, row: ModelRow) -> None:
        known = self.models.row(row.name)
        self.models.put(row if known is None else row._replace(presets=known.presets))
        self.fleet.rule_all()

    async def give_password(self, mac: str, password: str) -> None:
        """It is unlocked with that from now on. Raises JouledError."""
        await trio.to_thread.run_sync(self.passwords.keep, mac, password)
        watched, row = self.fleet.of(mac), self._rows.get(mac)
        if watched is not None and row is not None and row.address is not None:
            await self._replace(watched, row.family, row.address)

    async def adopt(self, sighting: Sighting) -> None:
        """What discovery has found: a new one, or one under another address."""
        found, mac = sighting.found, sighting.found.mac
        if mac is None:
            return
        watched = self.fleet.of(mac)
        if watched is None:
            self._add(found, mac, sighting.named)
            return
        row = self._rows.get(mac)
        is_same_kind = watched.actuator.kind == found.family
        address = _address(watched.actuator)
        if is_same_kind and address == found.address:
            watched.wake()
            return
        if watched.failures == 0 and watched.answered is not None and address is not None:
            self._say(
                f"miner {mac} answers at {address} and at {found.address}: one of them is a copy; give it its own"
            )
            return
        self.moves += 1
        log.info(f"miner {mac} answers at {found.address} now", before=address)
        if is_same_kind and isinstance(watched.actuator, Movable):
            watched.actuator.move(found.address)
            watched.described_s = None
            watched.wake()
        else:
            await self._replace(watched, found.family, found.address)
        if row is not None:
            self._rows[mac] = row._replace(address=found.address, family=found.family)

    def _add(self, found: Found, mac: str, named: BalancedLoad | None) -> None:
        now = self.fleet.clock()
        row = self._rows.get(mac) or MinerRow(mac, found.family, now, now)
        row = row._replace(address=found.address, family=found.family, model=row.model or found.model)
        if self._open(row, named):
            self._rows[mac] = row
            log.info(f"miner {mac} found", address=found.address, family=found.family, model=found.model)

    def _open(self, row: MinerRow, named: BalancedLoad | None = None) -> bool:
        if row.address is None:
            return False
        description = described.read(row.description, row.id, row.family, row.address)
        try:
            actuator = self._making.make(row.family, row.id, row.address)
            kept = Kept(description, row.worst_w, row.point)
            self.fleet.add(actuator, _standing(row), kept, named or self._named(row.address))
        except JouledError as error:
            self._say(one_line(str(error)))
            return False
        return True

    def _named(self, address: str) -> BalancedLoad | None:
        return next((load for load in self.fleet.config.balance.load if load.address == address), None)

    async def _replace(self, watched: Watched, family: str, address: str) -> None:
        before = watched.actuator
        self.fleet.add(self._making.make(family, watched.id, address))
        await before.aclose()

    def _say(self, words: str) -> None:
        if words not in self._said and len(self._said) < SAID_MAX:
            self._said.add(words)
            log.warning(words)

    async def _discover(self) -> None:
        while True:
            scan = await self.discovery.scan(self._well())
            for sighting in scan.sightings:
                await self.adopt(sighting)
            began_s = trio.current_time()
            next_s = began_s + self._settings.discover_s * (0.95 + 0.1 * self._jitter())
            while (now_s := trio.current_time()) < next_s:
                await trio.sleep_until(min(now_s + WAIT_S, next_s))
                if now_s >= began_s + AWAY_S and any(watched.is_away for watched in self._miners()):
                    break

    def _well(self) -> set[str]:
        """Where a miner answers well enough: it checks its MAC itself, and is left in peace."""
        found = set()
        for watched in self._miners():
            address = _address(watched.actuator)
            if address is not None and watched.answered is not None and watched.failures == 0:
                found.add(address)
        return found

    def _miners(self) -> list[Watched]:
        return [watched for watched in self.fleet.watched if watched.actuator.kind in MINERS]

    async def _stay_in_sync(self) -> None:
        while True:
            await trio.sleep(SYNC_S)
            await self._sync()

    async def _sync(self) -> None:
        """What the store says of models and miners: by the operator, and by other daemons of this store."""
        if self._store is None:
            return
        try:
            models, miners = await self._read(self._store)
        except StoreError:  # which the store says itself
            return
        for model in models:
            self._take_model(model)
        for mac in self._stored - {miner.id for miner in miners}:
            watched = self.fleet.of(mac)
            if watched is None or watched.answered is None or watched.is_away:
                self.forget(mac)
            else:  # nobody may forget what answers: the store has lost it, and is told anew
                self._written.pop(mac, None)
        self._stored = {miner.id for miner in miners}
        for miner in miners:
            if self.fleet.of(miner.id) is None and not self._open(miner):
                continue
            self._take_miner(miner)

    async def _read(self, store: Store) -> tuple[list[ModelRow], list[MinerRow]]:
        """None of it is older than what somebody has told this daemon. Raises StoreError."""

        def read(connection: Connection) -> tuple[list[ModelRow], list[MinerRow]]:
            return books.models(connection), books.all_miners(connection)

        while True:
            told = self._told
            found = await store.fetch(read)
            if told == self._told:
                return found

    async def _keep(self) -> None:
        """What miners are and do, for the books."""
        while True:
            changed = self.fleet.changed.published
            self._note()
            with trio.move_on_after(STATUS_S / 4):
                while self.fleet.changed.published == changed:
                    await self.fleet.changed.changed()
            await trio.sleep(TOGETHER_S)

    def _note(self) -> None:
        now, now_s = self.fleet.clock(), trio.current_time()
        found: list[MinerRow] = []
        said: list[StatusRow] = []
        for watched in self._miners():
            row = self._as_it_is(watched, now_s)
            if row is None:
                continue
            self._rows[row.id] = row
            seen, written = watched.seen, self._written.get(row.id)
            state = ("unknown", None) if seen is None else (seen.state, seen.point)
            is_due = written is None or written.state != state or now_s - written.status_s >= STATUS_S
            is_news = written is None or _is_other(written.row, row)
            if self._backlog is None or not self._leads():
                continue
            if is_news:
                found.append(row)
            if seen is not None and is_due:
                said.append(StatusRow(row.id, now, seen.state, seen.point, seen.power_w, seen.work, seen.note))
            if is_news or is_due or written is None:
                self._written[row.id] = _Written(
                    row if written is None or is_news else written.row,
                    now_s if written is None or is_due else written.status_s,
                    state,
                )
        models = [model for model in self.models.rows if self._written_models.get(model.name) != model]
        if self._backlog is not None and self._leads() and (found or said or models):
            self._written_models |= {model.name: model for model in models}
            self._backlog.put(partial(_write, found, models, said))

    def _as_it_is(self, watched: Watched, now_s: float) -> MinerRow | None:
        row = self._rows.get(watched.id)
        if row is None:
            return None
        description = watched.description
        if description is None:
            # Its model is not in the store before a miner has described itself.
            return row._replace(model=row.model if self.models.row(row.model) else None)
        before = self._described.get(watched.id)
        if before is None or before[0] is not description:
            model = self.models.see(description, self.fleet.clock())
            before = description, described.kept(description), None if model is None else model.name
            self._described[watched.id] = before
        last = watched.answered
        return row._replace(
            family=watched.actuator.kind,
            address=_address(watched.actuator) or row.address,
            model=before[2],
            description=before[1],
            worst_w=watched.worst_w(now_s),
            point=row.point if last is None else last.point,
        )


def _write(found: list[MinerRow], models: list[ModelRow], said: list[StatusRow], connection: Connection) -> None:
    books.put(connection, found, models)
    books.add_statuses(connection, said)


def _standing(row: MinerRow) -> Standing:
    return Standing(row.is_enabled, row.is_locked, row.priority, row.circuit, row.min_preset, row.max_preset)


def _address(actuator: Actuator) -> str | None:
    return actuator.address if isinstance(actuator, Movable) else None


def _is_other(before: MinerRow, now: MinerRow) -> bool:
    """Whether the store should know: of its worst power only what is another one."""
    known_w, worst_w = before.worst_w, now.worst_w
    if known_w is not None and worst_w is not None and abs(worst_w - known_w) <= WORST_STEP * known_w:
        now = now._replace(worst_w=known_w)
    own: dict[str, Any] = dict.fromkeys(("priority", "circuit", "min_preset", "max_preset"))
    own |= {"is_enabled": True, "is_locked": False, "updated_at": now.created_at}
    return before._replace(**own) != now._replace(**own)
