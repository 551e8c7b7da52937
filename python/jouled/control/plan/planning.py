"""The plan of the node's power as the daemon knows it: the signals at hand, by the rules of the settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Protocol

import trio

from jouled.balance import planner
from jouled.balance.planner import Row, Rules, Signals
from jouled.balance.schedule import Budget, Schedule
from jouled.balance.strategies import Range
from jouled.books.intensity import Slot as CarbonSlot
from jouled.books.prices import Series, day_bounds, day_of
from jouled.errors import InvalidError, StoreError
from jouled.wire.plan import PlanOfPower, PlanSlot

ONE_DAY = timedelta(days=1)
# Of one answer: a month of quarter-hours.
RANGE_MAX = timedelta(days=31)
# A store that is away is no reason to know nothing: what was read before still holds for its time.
CARBON_S = 5.0
PLACES = 6
NO_RANGE = "the highest budget is not known: the hardware tells none; set plan.max"


class Fresh(Protocol):
    """A series that counts today or tomorrow."""

    @property
    def series(self) -> Series: ...


class Market(Protocol):
    """What the plan needs of the market."""

    def known(self, now: datetime, since: datetime | None = None) -> Iterable[Fresh]: ...
    async def series(self, day: date) -> Iterable[Series]: ...


# The carbon intensity of this host's zone, of a range.
Carbon = Callable[[datetime, datetime], Awaitable[list[CarbonSlot]]]


class Planning:
    """`power` tells what budgets lie in: None where the highest is not known; `least_w` is the lowest then too."""

    def __init__(
        self,
        rules: Rules,
        power: Callable[[], Range | None],
        least_w: Callable[[], float],
        *,
        market: Market | None = None,
        carbon: Carbon | None = None,
        is_in_force: bool = False,
    ) -> None:
        self.rules = rules
        self.is_in_force = is_in_force
        self._power = power
        self._least_w = least_w
        self._market = market
        self._carbon = carbon
        self._grams: list[CarbonSlot] = []
        self._limiter = trio.CapacityLimiter(1)
        self._made: tuple[tuple[Signals, datetime, Range], Schedule] | None = None

    def __repr__(self) -> str:
        return f"<Planning {' '.join(self.rules.strategies) or 'nothing'}>"

    @property
    def timezone(self) -> str:
        return self.rules.tariff.timezone

    @property
    def follows_carbon(self) -> bool:
        return self._carbon is not None and "carbon-rank" in self.rules.strategies

    @property
    def range(self) -> Range | None:
        """What budgets lie in, as it is known now."""
        return self._power()

    @property
    def lowest(self) -> Range:
        """What is left of the range where the highest budget is not known."""
        return Range(self._least_w(), self._least_w())

    def budget(self, now: datetime) -> Budget:
        """What is allowed now, of the schedule of today and tomorrow."""
        power = self.range
        found = self.schedule(now, power or self.lowest).at(now)
        assert found is not None  # noqa: S101  (a schedule has no gaps, and today holds now)
        if power is None and self.rules.missing == "none":
            return found._replace(power_w=None, reason=NO_RANGE)
        return found if power is not None else found._replace(reason=NO_RANGE)

    def schedule(self, now: datetime, power: Range) -> Schedule:
        today = day_of(now, self.timezone)
        start, _ = day_bounds(today, self.timezone)
        _, end = day_bounds(today + ONE_DAY, self.timezone)
        signals = Signals(self._series(now, today), tuple(self._grams))
        # Made anew only where something of it is another: this is asked every few minutes.
        made_of = (signals, start, power)
        if self._made is None or self._made[0] != made_of:
            self._made = made_of, planner.schedule(self.rules, signals, start, end, power)
        return self._made[1]

    async def look_at_carbon(self, now: datetime) -> None:
        """Reads what is known of today and tomorrow; where the store is away, what was read before still holds."""
        if not self.follows_carbon:
            return
        today = day_of(now, self.timezone)
        start, end = day_bounds(today, self.timezone)[0], day_bounds(today + ONE_DAY, self.timezone)[1]
        found = await self._carbon_of(start, end)
        if found is not None:
            self._grams = found

    async def shown(self, start: datetime, end: datetime) -> PlanOfPower:
        """The plan of any range, with what it is made of. Raises InvalidError."""
        if not start < end <= start + RANGE_MAX:
            raise InvalidError(f"`to` must be after `from`, by {RANGE_MAX.days} days at most")
        power = self.range
        rows, currency = await self._rows(start, end, power or self.lowest)
        return PlanOfPower(
            timezone=self.timezone,
            currency=currency,
            strategies=self.rules.strategies,
            is_in_force=self.is_in_force,
            min_watts=None if power is None else power.min_w,
            max_watts=None if power is None else power.max_w,
            slots=tuple(_slot(row if power is not None else self._without_range(row)) for row in rows),
            problem=None if power is not None or not self.rules.strategies else NO_RANGE,
        )

    async def _rows(self, start: datetime, end: datetime, power: Range) -> tuple[list[Row], str | None]:
        found: list[Series] = []
        # Delivery days are the auction's, which may begin on another day than the site's.
        day, last = day_of(start, self.timezone) - ONE_DAY, day_of(end, self.timezone) + ONE_DAY
        while self._market is not None and day <= last:
            found += await self._market.series(day)
            day += ONE_DAY
        grams = await self._carbon_of(start - ONE_DAY, end + ONE_DAY) if self._carbon is not None else []
        signals = Signals(self._chosen(found), tuple(self._grams if grams is None else grams))
        # A month of quarter-hours is seconds of thought, in which the daemon has other things to do.
        rows = await trio.to_thread.run_sync(
            planner.rows, self.rules, signals, start, end, power, limiter=self._limiter, abandon_on_cancel=True
        )
        return rows, next((row.currency for row in rows if row.currency is not None), None)

    async def _carbon_of(self, start: datetime, end: datetime) -> list[CarbonSlot] | None:
        """None where the store is away, or does not answer."""
        assert self._carbon is not None  # noqa: S101  (whoever calls has looked)
        with trio.move_on_after(CARBON_S):
            try:
                return await self._carbon(start, end)
            except StoreError:
                return None
        return None

    def _without_range(self, row: Row) -> Row:
        """As `budget` has it."""
        if not self.rules.strategies:
            return row
        return row._replace(power_w=row.power_w if self.rules.missing == "min" else None, reason=NO_RANGE)

    def _series(self, now: datetime, today: date) -> tuple[Series, ...]:
        """Of what is not over, and of yesterday: energy needed before a deadline may have been taken there, and a
        time that is billed may begin there.
        """
        if self._market is None:
            return ()
        since, _ = day_bounds(today - ONE_DAY, self.timezone)
        held = [fresh.series for fresh in self._market.known(now, since)]
        current = self._chosen(one for one in held if one.bounds[1] > now)
        return self._chosen((one for one in held if one.bounds[1] <= now), current)

    def _chosen(self, series: Iterable[Series], before: Iterable[Series] = ()) -> tuple[Series, ...]:
        """One of each time, and those of `before`: of several products of a day the first that tells what the
        strategies need.
        """
        needs_volume = "volume-proportional" in self.rules.strategies
        chosen = list(before)
        for one in sorted(series, key=lambda one: _lacks(one, needs_volume=needs_volume)):
            if all(one.bounds[1] <= other.bounds[0] or other.bounds[1] <= one.bounds[0] for other in chosen):
                chosen.append(one)
        return tuple(sorted(chosen, key=lambda one: one.bounds))


def _lacks(series: Series, *, needs_volume: bool) -> tuple[bool, bool]:
    has_volume = any(slot.volume_mwh is not None for slot in series.slots)
    return needs_volume and not has_volume, not any(slot.price is not None for slot in series.slots)


def _slot(row: Row) -> PlanSlot:
    return PlanSlot(
        row.start,
        row.end,
        _rounded(row.market_per_mwh),
        _rounded(row.total_per_mwh),
        row.volume_mwh,
        _rounded(row.g_per_kwh),
        row.power_w,
        row.reason,
    )


def _rounded(value: Decimal | None) -> Decimal | None:
    """A mean may have digits without end."""
    return value if value is None or value == value.to_integral_value() else round(value, PLACES)
