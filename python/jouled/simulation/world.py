"""One day of a site under one strategy, step by step: nothing in here waits, and nothing asks a clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from jouled.balance.site.cycle import Rules
from jouled.balance.site.supply import SupplyRules
from jouled.balance.site.words import Limit
from jouled.simulation.chance import chance
from jouled.simulation.device import Device
from jouled.simulation.fleet import Fleet, events_of, fleet_of, happen
from jouled.simulation.names import OURS
from jouled.simulation.names import Strategy as Named
from jouled.simulation.original import original
from jouled.simulation.outcome import Change, Run
from jouled.simulation.plant import Feed, supply_of_plant
from jouled.simulation.scenario import Limits, Scenario
from jouled.simulation.strategies import Ours, Seen, Strategy, Wish
from jouled.simulation.tally import Tally
from jouled.simulation.traces import Trace

# Devices drift slowly.
DRIFT_STEP_S = 60.0
DAY_S = 86_400.0
# The sum of many small changes is taken anew so often, so that floats do not wander.
RESUM_STEPS = 3600


class Site(NamedTuple):
    """What is the same for each strategy: the plant's day, and what energy costs."""

    scenario: Scenario
    supply_w: list[float]
    prices: Trace | None
    carbon: Trace | None


def site_of(
    scenario: Scenario, supply: Trace | None = None, prices: Trace | None = None, carbon: Trace | None = None
) -> Site:
    steps = math.ceil(scenario.hours * 3600 / scenario.step_s)
    if supply is not None:
        supply = supply.since(scenario.start)
    random = chance(scenario.seed, "plant")
    supply_w = supply_of_plant(scenario.plant, steps, scenario.step_s, random, supply)
    return Site(
        scenario,
        supply_w,
        prices.since(scenario.start) if prices is not None else None,
        carbon.since(scenario.start) if carbon is not None else None,
    )


def simulated(site: Site, named: Named, rules: Rules | None = None) -> Run:
    """The same for the same site, strategy and rules. `rules` are those of the daemon where none are given."""
    scenario = site.scenario
    limits = limits_of(scenario.limits, scenario.start)
    bounds = [site.supply_w[0], *(limit.power_w for limit in limits(0.0))]
    fleet = fleet_of(scenario, min(bounds) - scenario.limits.unmanaged_w)
    strategy = _strategy(named, fleet, scenario, rules or Rules())
    return _World(site, fleet, strategy, Tally(named, scenario.step_s, len(fleet.devices))).run()


class _World:
    def __init__(self, site: Site, fleet: Fleet, strategy: Strategy, tally: Tally) -> None:
        self._site = site
        self._devices = fleet.devices
        self._by_id = {device.id: device for device in fleet.devices}
        self._strategy = strategy
        self._tally = tally
        scenario = site.scenario
        self._feed = Feed(scenario.plant, site.supply_w, scenario.step_s, scenario.start)
        self._limits = limits_of(scenario.limits, scenario.start)
        self._changing: dict[str, Device] = {}
        self._load_w = self._work = 0.0

    def run(self) -> Run:
        scenario = self._site.scenario
        step_s, unmanaged_w = scenario.step_s, scenario.limits.unmanaged_w
        events = events_of(scenario, len(self._devices))
        poll_s = cycle_s = drift_s = 0.0
        tally, strategy = self._tally, self._strategy
        limits: tuple[Limit, ...] = ()
        limit_w = math.inf
        for step, supply_w in enumerate(self._site.supply_w):
            now_s = step * step_s
            while events and events[0].at_s <= now_s:
                happen(events.pop(0), self._devices, now_s)
                self._look_at_all()
            if now_s >= drift_s and scenario.devices.drift:
                drift_s += DRIFT_STEP_S
                self._drift(now_s)
            self._advance(now_s)
            if now_s >= poll_s:
                poll_s += strategy.poll_s
                strategy.hear(self._feed.poll(now_s), now_s)
            if now_s >= cycle_s:
                cycle_s += strategy.cycle_s
                limits = self._limits(now_s)
                limit_w = min((limit.power_w for limit in limits), default=math.inf)
                self._cycle(now_s, limits)
            if step % RESUM_STEPS == 0:
                self._resum()
            aim = strategy.aim
            tally.step(
                min(supply_w, limit_w) - unmanaged_w,
                self._load_w,
                self._work,
                aim.target_w,
                is_saturated=aim.is_saturated,
            )
            self._cost(now_s)
        currency = scenario.market.currency if self._has_prices else None
        return tally.run(sum(device.restarts for device in self._devices), currency, has_carbon=self._has_carbon)

    def _cycle(self, now_s: float, limits: tuple[Limit, ...]) -> None:
        seen = Seen(
            now_s,
            {device.id: device.observed(now_s) for device in self._devices},
            limits,
            self._site.scenario.limits.unmanaged_w,
        )
        delta_w = 0.0
        for wish in self._strategy.decide(seen):
            delta_w += self._order(wish, now_s)
        self._tally.decided(delta_w)

    def _order(self, wish: Wish, now_s: float) -> float:
        device = self._by_id[wish.load]
        before, after = device.asked, device.points[wish.point]
        problem = device.order(wish.point, now_s)
        self._strategy.told(wish, now_s, problem)
        self._tally.change(
            Change(now_s, device.id, before.name, after.name, before.power_w, after.power_w, wish.reason, problem)
        )
        self._changing[device.id] = device
        return after.power_w - before.power_w if problem is None else 0.0

    def _advance(self, now_s: float) -> None:
        if not self._changing:
            return
        for device in tuple(self._changing.values()):
            power_w, work = device.power_w, device.work
            device.advance(now_s)
            self._load_w += device.power_w - power_w
            self._work += device.work - work
            if not device.is_changing:
                del self._changing[device.id]

    def _drift(self, now_s: float) -> None:
        """Hot in the afternoon: fans and leakage draw more."""
        part = self._site.scenario.devices.drift * math.sin(math.tau * (now_s / DAY_S - 0.375))
        for device in self._devices:
            device.drift(1.0 + device.bias + part)
        self._resum()

    def _look_at_all(self) -> None:
        self._changing = {device.id: device for device in self._devices if device.is_changing}
        self._resum()

    def _resum(self) -> None:
        self._load_w = math.fsum(device.power_w for device in self._devices)
        self._work = math.fsum(device.work for device in self._devices)

    @property
    def _has_prices(self) -> bool:
        return self._site.prices is not None or self._site.scenario.market.price_per_kwh is not None

    @property
    def _has_carbon(self) -> bool:
        return self._site.carbon is not None or self._site.scenario.market.carbon_g_per_kwh is not None

    def _cost(self, now_s: float) -> None:
        market = self._site.scenario.market
        prices, carbon = self._site.prices, self._site.carbon
        price = market.price_per_kwh if prices is None else prices.at(now_s)
        grams = market.carbon_g_per_kwh if carbon is None else carbon.at(now_s)
        if price is not None or grams is not None:
            self._tally.cost(self._load_w, price, grams)


def limits_of(limits: Limits, start: datetime) -> Callable[[float], tuple[Limit, ...]]:
    """What bounds the site beside its plant, at each moment."""
    start = start.astimezone(UTC)  # windows are written in UTC
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    always = () if limits.contract_w is None else (Limit("contract", limits.contract_w),)

    def now(now_s: float) -> tuple[Limit, ...]:
        if not limits.window:
            return always
        of_day_s = ((start + timedelta(seconds=now_s)) - midnight).total_seconds() % DAY_S
        return always + tuple(
            Limit("schedule", window.limit_w)
            for window in limits.window
            if (window.start_s <= of_day_s < window.end_s)
            or (window.start_s > window.end_s and not window.end_s <= of_day_s < window.start_s)
        )

    return now


def _strategy(named: Named, fleet: Fleet, scenario: Scenario, rules: Rules) -> Strategy:
    if named.name.startswith("original"):
        return original(named.name, fleet.devices, named.reserve)
    plant = scenario.plant
    return Ours(
        fleet.devices,
        rules._replace(
            reserve=named.reserve,
            cycle_s=scenario.cycle_s,
            strategy="average-efficiency" if named.name == "average-efficiency" else "marginal",
        ),
        SupplyRules(poll_s=plant.poll_s, rated_w=plant.rated_w, fallback_w=scenario.limits.fallback_w),
        scenario.start,
        has_off=named.name != f"{OURS}-without-off",
        priorities=fleet.priorities,
        fixed=fleet.fixed,
    )


def compared(
    site: Site, strategies: Sequence[Named], rules: Rules | None = None, begun: Callable[[Named], None] = lambda _: None
) -> list[Run]:
    """One after the other; `begun` is told each before it is simulated."""
    runs = []
    for named in strategies:
        begun(named)
        runs.append(simulated(site, named, rules))
    return runs
