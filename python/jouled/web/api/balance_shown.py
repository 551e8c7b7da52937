"""The balancer as the API shows it: from memory what is of now, from the store what was; and a balancer that is off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import dropwhile, islice
from typing import TYPE_CHECKING, TypeAlias

from litestar.di import NamedDependency

from jouled.bookkeeping import balance as books
from jouled.bookkeeping.pages import cursor_of, place_of
from jouled.bookkeeping.recorder import node_name
from jouled.books.calendar import outside
from jouled.config import Config
from jouled.errors import ConflictError, InvalidError, StoreError
from jouled.web.api.no_store import NoStore
from jouled.wire.balance import BalanceEvent, BalancePoint, BalanceSettings, BalanceStatus
from jouled.wire.problems import Page

if TYPE_CHECKING:  # a daemon that balances nothing imports none of it
    from jouled.control.site.balancer import Balancer
    from jouled.store import Store

SWITCHED_OFF = "the balancer is switched off; set balance.enabled = true in jouled.toml and restart the daemon"
# A day of minutes.
SERIES_MAX = 1440
DAY = timedelta(days=1)
# As many as there are in memory.
RECENT_MAX = 1000
PROPOSED = ("proposed",)


class BalanceShown:
    """What the routes need: the balancer, where this daemon has one, and the settings where it has none."""

    def __init__(self, balancer: Balancer | None = None, config: Config | None = None) -> None:
        config = config or Config()
        self._balancer = balancer
        self._settings = config.balance
        self._site = (config.node.site or node_name(config)) if balancer is None else balancer.site

    def __repr__(self) -> str:
        return f"<BalanceShown {self._balancer!r}>"

    @property
    def acting(self) -> Balancer:
        """Raises ConflictError where there is none."""
        if self._balancer is None:
            raise ConflictError(SWITCHED_OFF)
        return self._balancer

    @property
    def deciding(self) -> Balancer:
        """Raises ConflictError where another daemon leads: its decisions are in its memory."""
        status = self.acting.status()
        if not status.is_leader:
            raise ConflictError(f"{status.leader or 'another daemon'} leads this site, and decides; ask that one")
        return self.acting

    def status(self) -> BalanceStatus:
        return _status_of_none(self._settings.reserve_pct) if self._balancer is None else self._balancer.status()

    def settings(self) -> BalanceSettings:
        """The file's, where nothing is balanced."""
        if self._balancer is not None:
            return self._balancer.settings()
        file = self._settings
        return BalanceSettings(
            safety_margin_percent=file.reserve_pct,
            mode=file.mode,
            limit_watts=None,
            contract_watts=file.limit_w,
            strategy=file.strategy,
            cycle_seconds=file.cycle_s,
            on_exit=file.on_exit,
            changed=(),
            is_enabled=False,
        )

    async def events(self, store: Store, load: str | None, limit: int, cursor: str | None) -> Page[BalanceEvent]:
        """The store's. Where it is away what is in memory is better than nothing. Raises InvalidError, StoreError."""
        recent = () if self._balancer is None else self._balancer.events(load, RECENT_MAX)
        if isinstance(store, NoStore):
            return _page(recent, limit, cursor)
        try:
            return await store.fetch(
                lambda connection: books.events(connection, load=load, limit=limit, cursor=cursor, site=self._site)
            )
        except StoreError:
            if not recent or cursor is not None:
                raise
            shown = recent[:limit]
            return Page(len(shown), shown, None)

    async def proposed(self, store: Store) -> Page[BalanceEvent]:
        """Of whoever leads: this daemon's own, or by the store another's. Raises StoreError."""
        if self._balancer is None or self._balancer.status().is_leader or isinstance(store, NoStore):
            found = () if self._balancer is None else self._balancer.proposed()
            return Page(len(found), found, None)
        return await store.fetch(
            lambda connection: books.events(connection, limit=RECENT_MAX, statuses=PROPOSED, site=self._site)
        )

    async def series(
        self, store: Store, start: datetime | None, end: datetime, limit: int, cursor: str | None
    ) -> Page[BalancePoint]:
        """Raises InvalidError, StoreError."""
        since = _since(start, end)
        after = None if cursor is None else place_of(cursor, datetime)
        if after is not None and after.tzinfo is None:
            raise InvalidError("this cursor is none; leave it out to begin anew")
        points = () if self._balancer is None else tuple(self._balancer.points.values())
        left = [point for point in points if since <= point.at < end and (after is None or point.at > after)]
        if isinstance(store, NoStore):
            return _minutes(left, limit)
        try:
            page = await store.fetch(
                lambda connection: books.series(
                    connection, self._site, start=since, end=end, limit=limit, cursor=cursor
                )
            )
        except StoreError:
            if not left:
                raise
            return _minutes(left, limit)
        # The store has a minute once it is over.
        newer = [point for point in left if not page.items or point.at > page.items[-1].at]
        return page if page.next_cursor is not None else _minutes([*page.items, *newer], limit)


TheBalance: TypeAlias = NamedDependency[BalanceShown]


def _since(start: datetime | None, end: datetime) -> datetime:
    """Raises InvalidError."""
    for at in (start, end):
        problem = None if at is None else outside(at)
        if problem is not None:
            raise InvalidError(problem)
    since = end - DAY if start is None else start
    if since >= end:
        raise InvalidError(f"from {since.isoformat()} is not before to {end.isoformat()}")
    return since


def _minutes(points: Sequence[BalancePoint], limit: int) -> Page[BalancePoint]:
    shown = tuple(points[:limit])
    return Page(len(shown), shown, cursor_of(shown[-1].at.isoformat()) if len(points) > limit else None)


def _page(recent: Sequence[BalanceEvent], limit: int, cursor: str | None) -> Page[BalanceEvent]:
    """Newest first, after the one that the last page ended with."""
    left = list(recent)
    if cursor is not None:
        last = place_of(cursor, str)
        # One that is forgotten by now was older than all of these.
        left = list(islice(dropwhile(lambda event: event.id != last, left), 1, None))
    shown = tuple(left[:limit])
    return Page(len(shown), shown, cursor_of(shown[-1].id) if len(left) > limit else None)


def _status_of_none(reserve_pct: float) -> BalanceStatus:
    """Nothing is known where nothing is balanced."""
    return BalanceStatus(
        plant_generation_kw=None,
        plant_container_kw=None,
        available_power_kw=None,
        safety_margin_percent=reserve_pct,
        target_power_kw=None,
        target_power_w=None,
        current_consumption_w=None,
        managed_consumption_w=None,
        unmanaged_consumption_w=None,
        expected_consumption_w=None,
        expected_delta_w=None,
        managed_miners_count=0,
        status="NO_DATA",
        last_reading_at=None,
        at=None,
        mode="observe",
        band="no-data",
        budget_watts=None,
        limited_by="",
        load_watts=None,
        limit_watts=None,
        supply_watts=None,
        stage=None,
        supply_problem=None,
        is_saturated=False,
        explanation=SWITCHED_OFF,
        is_leader=False,
        leader=None,
        paused=None,
        pending=(),
        loads={},
        proposed=0,
        problems=(SWITCHED_OFF,),
        is_enabled=False,
    )
