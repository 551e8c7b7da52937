"""Small simulated sites, and the long day that promises are made about."""

from __future__ import annotations

from msgspec.structs import replace

from jouled.simulation.names import Strategy
from jouled.simulation.outcome import Outcome, Run
from jouled.simulation.scenario import Group, Plant, Scenario
from jouled.simulation.scenario_file import load
from jouled.simulation.world import simulated, site_of

# Seeds that no rule was tuned on; 1 to 3 were.
HELD_OUT = tuple(range(101, 111))


def ran(scenario: Scenario, name: str = "ours", reserve: float = 0.10) -> Run:
    return simulated(site_of(scenario), Strategy(name, reserve))


def outcome(scenario: Scenario, name: str = "ours", reserve: float = 0.10) -> Outcome:
    return ran(scenario, name, reserve).outcome


def hydro_day(seed: int, step_s: float = 1.0) -> Scenario:
    """A sine with noise and two trips, 60 units, 60 s restart and 60 s ramp."""
    return replace(load("hydro"), seed=seed, step_s=step_s)


def calm(hours: float = 1.0, *, mean_w: float = 30_000.0, count: int = 10, **more: object) -> Scenario:
    """A plant that never changes, and a few S19."""
    plant = Plant(mean_w=mean_w, swing_w=0.0, noise_w=0.0, rated_w=60_000.0)
    return replace(Scenario(hours=hours, plant=plant, fleet=(Group(count, "s19"),)), **more)
