"""What `joulectl simulate` was asked for, as a scenario; and its runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple, Self

import click
import msgspec

from jouled.config.refused import RefusedError
from jouled.errors import JouledError
from jouled.simulation.names import Strategy, expanded
from jouled.simulation.outcome import Run
from jouled.simulation.scenario import HOURS_MAX, Group, Scenario
from jouled.simulation.scenario_file import load
from jouled.simulation.traces import Trace, TraceError, read_trace
from jouled.simulation.world import compared, site_of

POWER_COLUMNS = ("watts", "power_w", "generation_w", "supply_watts", "total_generation", "kw", "mw")
POWER_SCALES = {"kw": 1000.0, "total_generation": 1000.0, "mw": 1e6}
# Each takes some seconds.
STRATEGIES_MAX = 24


class Wanted(NamedTuple):
    """The flags. None is that one was not given."""

    scenario: str
    trace: str | None
    reserves_pct: tuple[float, ...] | None
    strategies: str | None
    seed: int | None
    hours: float | None
    units: int | None


class Progress:
    """Which strategy is simulated, where somebody looks: each takes some seconds."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._number = 0
        self._is_shown = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def __repr__(self) -> str:
        return f"<Progress {self._number} of {self._count}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._show("")

    def begun(self, strategy: Strategy) -> None:
        self._number += 1
        self._show(f"simulating {self._number} of {self._count}: {strategy.title}")

    def _show(self, text: str) -> None:
        if self._is_shown:
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)


def prepared(wanted: Wanted, url: str | None, *, is_yesterday: bool) -> tuple[Scenario, list[Run]]:
    """Raises JouledError for what cannot be simulated."""
    supply: Trace | None = None
    if is_yesterday:
        from jouled.cli.simulate_site import yesterday

        scenario, supply = yesterday(url)
    else:
        scenario = load(wanted.scenario)
    scenario = _with(scenario, wanted)
    trace = wanted.trace or scenario.plant.trace
    if trace is not None and supply is None:
        supply = read_trace(trace, POWER_COLUMNS, POWER_SCALES)
        if wanted.trace is not None:
            scenario = _of_trace(scenario, wanted.trace)
    if supply is not None:
        scenario = _as_long_as(scenario, supply, wanted.hours)
    market = scenario.market
    prices = None if market.prices is None else read_trace(market.prices, ("price", "price_per_kwh"))
    carbon = None if market.carbon is None else read_trace(market.carbon, ("g_per_kwh", "carbon", "carbon_g_per_kwh"))
    site = site_of(scenario, supply, prices, carbon)
    strategies = _strategies(scenario)
    with Progress(len(strategies)) as progress:
        return scenario, compared(site, strategies, begun=progress.begun)


def _with(scenario: Scenario, wanted: Wanted) -> Scenario:
    said: dict[str, Any] = {"reserve_pct": wanted.reserves_pct, "seed": wanted.seed, "hours": wanted.hours}
    if wanted.strategies is not None:
        said["strategies"] = tuple(name.strip() for name in wanted.strategies.split(",") if name.strip())
    try:
        scenario = msgspec.structs.replace(scenario, **{key: value for key, value in said.items() if value is not None})
        _strategies(scenario)
    except RefusedError as refused:
        # What the file holds was checked before: it is the flags.
        raise JouledError(f"--strategy: {refused.what}") from refused
    return scenario if wanted.units is None else _scaled(scenario, wanted.units)


def _strategies(scenario: Scenario) -> tuple[Strategy, ...]:
    found = expanded(scenario.strategies, scenario.reserve_pct)
    if not 0 < len(found) <= STRATEGIES_MAX:
        raise RefusedError((), f"makes {len(found)} runs; compare 1 to {STRATEGIES_MAX} at once")
    return found


def _scaled(scenario: Scenario, units: int) -> Scenario:
    """As many loads in the same mixture, and as much less or more of everything that has watts."""
    replaced = msgspec.structs.replace
    total = sum(group.count for group in scenario.fleet)
    part = units / total
    fleet: list[Group] = []
    left = units
    for index, group in enumerate(scenario.fleet):
        is_last = index == len(scenario.fleet) - 1
        count = left if is_last else min(left, round(group.count * part))
        left -= count
        if count:
            fleet.append(replaced(group, count=count))
    plant, limits = scenario.plant, scenario.limits
    plant = replaced(
        plant,
        mean_w=plant.mean_w * part,
        swing_w=plant.swing_w * part,
        noise_w=plant.noise_w * part,
        rated_w=None if plant.rated_w is None else plant.rated_w * part,
        trip=tuple(replaced(trip, drop_w=trip.drop_w * part) for trip in plant.trip),
        ramp=tuple(replaced(ramp, to_w=ramp.to_w * part) for ramp in plant.ramp),
    )
    limits = replaced(
        limits,
        contract_w=None if limits.contract_w is None else limits.contract_w * part,
        unmanaged_w=limits.unmanaged_w * part,
        fallback_w=limits.fallback_w * part,
        window=tuple(replaced(window, limit_w=window.limit_w * part) for window in limits.window),
    )
    return replaced(scenario, fleet=tuple(fleet), plant=plant, limits=limits)


def _of_trace(scenario: Scenario, trace: str) -> Scenario:
    """With another plant than the scenario's: its trips are in the trace, and what it is rated at nobody says."""
    plant = msgspec.structs.replace(scenario.plant, rated_w=None, trip=(), ramp=())
    return msgspec.structs.replace(scenario, about=f"The plant of {Path(trace).name}.", plant=plant)


def _as_long_as(scenario: Scenario, supply: Trace, hours: float | None) -> Scenario:
    """It begins with the trace and ends with it, or after the hours that were asked for."""
    length_h = supply.length_s / 3600
    if length_h < 0.01:
        raise TraceError("the trace is shorter than a minute; there is nothing to simulate")
    return msgspec.structs.replace(scenario, start=supply.start, hours=min(hours or HOURS_MAX, length_h, HOURS_MAX))
