"""The devices of a scenario, the same for each strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jouled.balance.fleet.words import OFF, Point
from jouled.simulation.chance import chance
from jouled.simulation.device import Device
from jouled.simulation.families import TABLES, Model
from jouled.simulation.scenario import Fault, Group, Scenario

# The part of the supply that a day begins with.
BEGUN_PART = 0.85
# More than any device errs.
BIAS_MAX = 0.3


class Fleet(NamedTuple):
    """Devices as they are at the beginning. `fixed` may not be switched off."""

    devices: tuple[Device, ...]
    priorities: dict[str, int]
    fixed: frozenset[str]


class Event(NamedTuple):
    """At `at_s` a fault of these devices begins, or ends."""

    at_s: float
    fault: Fault
    devices: tuple[int, ...]
    is_end: bool


def fleet_of(scenario: Scenario, supply_w: float) -> Fleet:
    """All at the same part of their presets, so that they draw some 85 % of `supply_w`: nobody begins in trouble."""
    random = chance(scenario.seed, "fleet")
    habits = scenario.devices
    groups = [(group, _model(group)) for group in scenario.fleet]
    devices, priorities, fixed = [], {}, set()
    for number, ((group, model), point) in enumerate(zip(groups, _begun(groups, supply_w), strict=True), 1):
        for each in range(1, group.count + 1):
            name = f"{model.name}-{number}-{each:03}"
            bias = max(-BIAS_MAX, min(BIAS_MAX, random.gauss(0.0, habits.bias)))
            device = Device(name, model, point, chance(scenario.seed, name), bias=bias)
            device.refuses, device.forgets = habits.rejects, habits.forgets
            devices.append(device)
            priorities[name] = group.priority
            if not group.can_be_off:
                fixed.add(name)
    return Fleet(tuple(devices), priorities, frozenset(fixed))


def events_of(scenario: Scenario, count: int) -> list[Event]:
    """What happens to whom, in the order of time."""
    random = chance(scenario.seed, "faults")
    events = []
    for fault in scenario.fault:
        chosen = tuple(sorted(random.sample(range(count), min(count, fault.devices))))
        events.append(Event(fault.at_s, fault, chosen, is_end=False))
        events.append(Event(fault.at_s + fault.for_s, fault, chosen, is_end=True))
    return sorted(events, key=lambda event: (event.at_s, event.is_end))


def happen(event: Event, devices: tuple[Device, ...], now_s: float) -> None:
    for index in event.devices:
        device = devices[index]
        match event.fault.kind, event.is_end:
            case "away", is_end:
                device.is_away = not is_end
            case "dead", False:
                device.fail()
            case "dead", True:
                device.mend(now_s)
            case "thermal", False:
                device.is_held = True
                if device.point.name != OFF:
                    device.switch(min(device.model.points, key=lambda point: point.power_w), now_s)
            case _:
                device.is_held = False
                device.switch(device.asked, now_s)


def _model(group: Group) -> Model:
    if group.presets is not None:
        points = tuple(Point(f"{power_w:g}", float(power_w), float(work)) for power_w, work in sorted(group.presets))
        return _model_of(group, group.name or "own", points)
    family = group.family or ""
    return _model_of(group, group.name or family, TABLES[family])


def _model_of(group: Group, name: str, points: tuple[Point, ...]) -> Model:
    return Model(name, points, group.dead_s, group.pause_s, group.restart_s, group.ramp_s, group.standby_w)


def _begun(groups: Sequence[tuple[Group, Model]], supply_w: float) -> list[Point]:
    """One point for each group."""
    for tenths in range(9, 0, -1):
        points = [model.points[round(tenths / 10 * (len(model.points) - 1))] for _, model in groups]
        drawn_w = sum(group.count * point.power_w for (group, _), point in zip(groups, points, strict=True))
        if drawn_w <= BEGUN_PART * supply_w:
            return points
    return [model.points[0] for _, model in groups]
