"""`joulectl simulate --yesterday`: the plant and fleet of the daemon, as a scenario."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from jouled.balance.fleet.words import OFF
from jouled.cli.pages import pages
from jouled.client import Client, DaemonError
from jouled.errors import JouledError
from jouled.simulation.scenario import UNITS_MAX, Group, Limits, Plant, Scenario
from jouled.simulation.traces import Trace
from jouled.wire.balance import BalanceStatus
from jouled.wire.fleet import LoadShown
from jouled.wire.plant import PlantReading
from jouled.wire.problems import Page

DAY = timedelta(hours=24)
RESERVE_PCT = 10.0


def yesterday(url: str | None) -> tuple[Scenario, Trace]:
    """The last 24 hours of the plant, and the loads as they may be set now. Raises JouledError."""
    client = Client(url)
    supply = _supply(client, datetime.now(UTC))
    fleet, unmanaged_w, left_out = _fleet(client)
    if left_out:
        from jouled.cli.look import warn

        warn(f"not simulated, and taken as they draw now: {left_out}")
    status = _status(client)
    reserve_pct = RESERVE_PCT if status is None else status.safety_margin_percent
    contract_w = None if status is None else status.limit_watts
    scenario = Scenario(
        about="This site, with the plant of the last 24 hours and the loads of now.",
        reserve_pct=(reserve_pct,),
        strategies=("ours", "original-code+off"),
        plant=Plant(),
        fleet=fleet,
        limits=Limits(contract_w=contract_w, unmanaged_w=unmanaged_w),
    )
    return scenario, supply


def _supply(client: Client, now: datetime) -> Trace:
    """What was believed, by the time of its source."""
    found: dict[datetime, float] = {}
    for reading in pages(client, "/api/v1/plant/history", Page[PlantReading]):
        if reading.recorded_at < now - DAY:
            break
        if reading.accepted and reading.total_generation is not None:
            found[min(reading.sourced_at, now)] = reading.total_generation * 1000
    if len(found) < 2:
        raise JouledError(
            "the daemon has heard nothing of its plant in the last 24 hours; set [plant] in its settings, or give --trace"
        )
    times = sorted(found)
    return Trace(times[0], tuple((at - times[0]).total_seconds() for at in times), tuple(found[at] for at in times))


class _Kind(NamedTuple):
    """Loads that can be simulated as one group."""

    name: str
    presets: tuple[tuple[float, float], ...]
    priority: int
    can_be_off: bool


def _fleet(client: Client) -> tuple[tuple[Group, ...], float, str]:
    """Those that are steered and have presets; the watts of the others, and who they are."""
    kinds: Counter[_Kind] = Counter()
    left: list[LoadShown] = []
    for load in pages(client, "/api/v1/loads", Page[LoadShown]):
        presets = {
            point.power_watts: point.work for point in load.points if point.name != OFF and point.power_watts > 0
        }
        if not load.is_managed or not presets:
            left.append(load)
            continue
        can_be_off = any(point.name == OFF for point in load.points)
        kinds[_Kind(load.model or load.kind, tuple(sorted(presets.items())), load.priority, can_be_off)] += 1
    count = sum(kinds.values())
    if not 0 < count <= UNITS_MAX:
        raise JouledError(
            f"the daemon steers {count} loads with presets, of 1 to {UNITS_MAX} that can be simulated; hosts under "
            "power limits are not, and joulectl miners shows why a miner is not steered"
        )
    groups = tuple(
        Group(number, name=kind.name, presets=kind.presets, priority=kind.priority, can_be_off=kind.can_be_off)
        for kind, number in kinds.items()
    )
    drawn_w = sum(load.power_watts or load.worst_watts or 0.0 for load in left)
    return groups, drawn_w, _named(left)


def _named(loads: list[LoadShown]) -> str:
    names = ", ".join(load.name for load in loads[:5])
    return names if len(loads) <= 5 else f"{names} and {len(loads) - 5} more"


def _status(client: Client) -> BalanceStatus | None:
    """None where the daemon balances nothing."""
    try:
        return client.ask("/api/v1/balance/status", BalanceStatus)
    except DaemonError as error:
        if error.status is None:
            raise
        return None
