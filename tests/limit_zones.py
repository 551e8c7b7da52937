"""Zones of power limits for the tests: as values, and as a written `/sys`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from jouled.balance.limits import Constraint, Interface, LimitZone
from jouled.balance.writes import Write

# By name: the limit and what the chip is made for, in watts.
Limits = Mapping[str, tuple[float | None, float | None]]
XEON: Limits = {"long_term": (125.0, 125.0), "short_term": (150.0, 0.0)}


def zone(
    name: str,
    limits: Limits = XEON,
    *,
    id: str = "intel-rapl:0",  # noqa: A002 -- the word of LimitZone
    enabled: bool | None = True,
    parent: str | None = None,
    least_w: float | None = None,
    problems: Sequence[str] = (),
) -> LimitZone:
    interface: Interface = "mmio" if "mmio" in id else "msr"
    package, _, die = name.removeprefix("package-").partition("-die-")
    is_package = name.startswith("package-")
    return LimitZone(
        id,
        f"/sys/class/powercap/{id}",
        name,
        interface,
        int(package) if is_package else None,
        int(die) if is_package and die else None,
        parent,
        enabled,
        tuple(_constraint(number, name, limits[name], least_w) for number, name in enumerate(limits)),
        tuple(problems),
    )


def _constraint(number: int, name: str, watts: tuple[float | None, float | None], least_w: float | None) -> Constraint:
    power_uw, most_uw, least_uw = (None if value is None else round(value * 1e6) for value in (*watts, least_w))
    problem = None if power_uw is not None else f"read constraint_{number}_power_limit_uw: no data; unlock it"
    return Constraint(number, name, power_uw, 27_983_872, most_uw, least_uw, problem=problem)


def after(zones: Sequence[LimitZone], writes: Sequence[Write]) -> tuple[LimitZone, ...]:
    """The zones when all of it was written, by hardware that rounds nothing."""
    values = {write.path: int(write.value) for write in writes}

    def written(zone: LimitZone) -> LimitZone:
        limits = tuple(
            limit._replace(
                power_uw=values.get(f"{zone.directory}/constraint_{limit.number}_power_limit_uw", limit.power_uw)
            )
            for limit in zone.constraints
        )
        enabled = values.get(f"{zone.directory}/enabled")
        return zone._replace(constraints=limits, enabled=zone.enabled if enabled is None else enabled == 1)

    return tuple(written(zone) for zone in zones)


def write_tree(sysfs: Path, zones: Sequence[LimitZone]) -> None:
    """The files of these zones below `sysfs`."""
    for zone in zones:
        directory = sysfs / "class/powercap" / zone.id
        directory.mkdir(parents=True)
        (directory / "name").write_text(f"{zone.name}\n")
        (directory / "energy_uj").write_text("1\n")
        if zone.enabled is not None:
            (directory / "enabled").write_text(f"{zone.enabled:d}\n")
        for limit in zone.constraints:
            values = {
                "power_limit_uw": limit.power_uw,
                "time_window_us": limit.window_us,
                "max_power_uw": limit.max_power_uw,
            }
            for attribute, value in {"name": limit.name, **values}.items():
                if value is not None:
                    (directory / f"constraint_{limit.number}_{attribute}").write_text(f"{value}\n")
