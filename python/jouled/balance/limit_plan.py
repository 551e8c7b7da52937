"""A budget for the node as writes of power limits: which, in which order, and what is expected of them.

The rules, and why they are so:
- Packages share the budget (dies, where zones are per die): two sockets do not get twice of it. psys
  lies over the packages and dram beside them; neither is counted nor written.
- A share is the long-term limit (PL1) of its package. The short-term limit (PL2) is brought down to the
  share too: kept at its old multiple of PL1 a busy node would draw beyond its budget for as long as the
  windows let it, tens of seconds, and again after every pause. Below PL1 it would throttle at once, so it
  is equal. peak_power (PL4) guards the supply, and windows are the machine's own: both stay untouched.
- What stood there before jouled wrote is the ceiling of every limit. A cap lowers limits and never raises one,
  and what is planned never depends on what an earlier plan has written: the ceiling cannot ratchet down.
- MSR and MMIO limit one package together and the lower one acts, so both are written. One of the two
  that is switched off while the other acts is left alone: it limits nothing, and is often locked.
- A zone whose limits are switched off gets its limits first, and is switched on as the last.
- Divided by load, shares stay as they are while they would move by little: a load that wavers writes nothing.
- Powers are rounded down to 1/8 W, the processors' own unit, so that shares never add up to more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from jouled.balance.division import Part, divide
from jouled.balance.limits import Constraint, LimitZone
from jouled.balance.writes import Write
from jouled.errors import InvalidError, UnsupportedError

Division: TypeAlias = Literal["equal", "load"]
# A socket, or a die of it.
Place: TypeAlias = tuple[int, int | None]
# What was last asked of a file, and what was then read back from it.
Held: TypeAlias = tuple[int, int]

# Powers are kept in eighths of a watt (the power unit of MSR_RAPL_POWER_UNIT, 1/8 W wherever it was seen).
UNIT_UW = 125_000
# What a package is always left where the kernel does not tell its least: 0 would stop it.
FLOOR_UW = 1_000_000
# Processors with another unit have one of up to a watt. What is further away than that was not rounded: it failed.
ROUNDING_UW = 1_000_000
# By load, shares within this part of the equal one are near enough.
NEAR = 1 / 20
NOTHING: Mapping[str, int] = MappingProxyType({})


class Bounds(NamedTuple):
    """What the node may be capped to."""

    min_w: float
    # What the limits added up to before jouled wrote any; None where one of them is not known.
    max_w: float | None


class LimitPlan(NamedTuple):
    """What to write, in order. Nothing is written here."""

    writes: tuple[Write, ...]
    # What each planned file is to hold, also where it holds that already: path to value (microwatts, or 1).
    asked: Mapping[str, int]
    # What the packages may draw then, together; None where a package cannot be limited.
    expected_w: float | None
    problems: tuple[str, ...] = ()


class _Package(NamedTuple):
    """One that shares: its zones of both interfaces that are to be written."""

    place: Place
    zones: tuple[LimitZone, ...]
    part: Part


def power_path(zone: LimitZone, constraint: Constraint) -> str:
    return f"{zone.directory}/constraint_{constraint.number}_power_limit_uw"


def enabled_path(zone: LimitZone) -> str:
    return f"{zone.directory}/enabled"


def named(zone: LimitZone, name: str) -> Constraint | None:
    """Limits are found by name: their numbers differ between zones."""
    return next((constraint for constraint in zone.constraints if constraint.name == name), None)


def by_place(zones: Iterable[LimitZone]) -> dict[Place, tuple[LimitZone, ...]]:
    """The packages' own zones by socket and die, both interfaces together. Subzones and psys are not among them."""
    tops = [zone for zone in zones if zone.package is not None and zone.parent is None]
    with_dies = {zone.package for zone in tops if zone.die is not None}
    found: dict[Place, tuple[LimitZone, ...]] = {}
    for zone in tops:
        # A zone over all dies of a socket would count them a second time.
        if zone.package is not None and (zone.die is not None or zone.package not in with_dies):
            place = (zone.package, zone.die)
            found[place] = (*found.get(place, ()), zone)
    return dict(sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or 0)))


def effective_uw(zones: Iterable[LimitZone]) -> int | None:
    """What one package may draw by its zones: the lower of the long-term limits that act. None: not known."""
    acting = (named(zone, "long_term") for zone in zones if zone.enabled)
    powers = [limit.power_uw for limit in acting if limit is not None and limit.power_uw is not None]
    return min(powers, default=None)


def effective(zones: Iterable[LimitZone]) -> float | None:
    """What all packages may draw together; None where there is none, or one of them has no known limit."""
    powers = [effective_uw(together) for together in by_place(zones).values()]
    known = [power for power in powers if power is not None]
    return sum(known) / 1e6 if known and len(known) == len(powers) else None


def bounds(zones: Sequence[LimitZone], originals: Mapping[str, int] = NOTHING) -> Bounds:
    """What the node may be capped to. `originals` as in `plan`. Raises UnsupportedError as `plan` does."""
    packages, _ = _packages(zones, "equal", None, originals)
    return _bounds(packages)


def plan(
    zones: Sequence[LimitZone],
    node_w: float | None,
    *,
    division: Division = "equal",
    loads_w: Mapping[int, float] | None = None,
    originals: Mapping[str, int] = NOTHING,
    held: Mapping[str, Held] = MappingProxyType({}),
    is_in_force: bool = False,
) -> LimitPlan:
    """What to write so that the node draws at most `node_w`; None plans nothing (giving back is the journal's).

    `zones` are as just read. `loads_w` is what each socket draws now, for division by load. `originals`
    is what the files held before jouled first wrote them, by path; a file that is missing in it was never
    written, and what it holds now is its original. `held` is what was asked of files and then read back: a
    limit that the hardware rounds its own way is not asked for again and again, and one that was refused is.

    Raises InvalidError with the allowed range, and UnsupportedError where nothing can be limited. A cap that is in force
    already is never refused: sockets come and go under it, and what is nearest to it is planned and said.
    """
    if node_w is None:
        return LimitPlan((), NOTHING, None)
    packages, problems = _packages(zones, division, loads_w, originals)
    allowed = _bounds(packages)
    if not _is_within(node_w, allowed):
        line = _refusal(node_w, allowed)
        if not is_in_force or not math.isfinite(node_w):
            raise InvalidError(line)
        problems = (*problems, f"{line}; the nearest is kept")
    shares = divide(max(math.floor(node_w * 1e6), 0), [package.part for package in packages])
    if division == "load":
        shares = _steadied(packages, shares)
    asked: dict[str, int] = {}
    lowering: list[Write] = []
    raising: list[Write] = []
    for package, share in zip(packages, shares, strict=True):
        for zone in package.zones:
            targets = _targets(zone, share, originals)
            asked.update(targets)
            writes, is_raising = _writes(zone, targets, held)
            # What is given to one socket is taken from another before.
            (raising if is_raising else lowering).extend(writes)
    return LimitPlan((*lowering, *raising), MappingProxyType(asked), _expected(packages, asked), problems)


def _packages(
    zones: Sequence[LimitZone],
    division: Division,
    loads_w: Mapping[int, float] | None,
    originals: Mapping[str, int],
) -> tuple[list[_Package], tuple[str, ...]]:
    places = by_place(zones)
    problems: list[str] = []
    packages = []
    for place, together in places.items():
        usable = _usable(together, originals)
        problems.extend(_unread(usable) if usable else _why_not(together))
        load_w = (loads_w or {}).get(place[0]) if division == "load" else None
        need = None
        if load_w is not None and math.isfinite(load_w):
            dies = sum(other[0] == place[0] for other in places)
            need = max(math.ceil(load_w * 1e6 / dies), 0)
        packages.append(_Package(place, usable, _part(usable, need, originals)))
    if not any(package.zones for package in packages):
        raise UnsupportedError(_nothing(zones, problems))
    return packages, tuple(problems)


def _steadied(packages: Sequence[_Package], shares: tuple[int, ...]) -> tuple[int, ...]:
    """The shares that are in force, where they use up the same budget and are near to these."""
    now = [effective_uw(package.zones) for package in packages]
    known = [power for power in now if power is not None]
    spare = sum(shares) - sum(known)
    near = sum(shares) / len(shares) * NEAR
    if len(known) < len(now) or not 0 <= spare < len(now) * UNIT_UW:
        return shares
    is_near = all(abs(share - power) <= near for share, power in zip(shares, known, strict=True))
    return tuple(known) if is_near else shares


def _usable(together: Sequence[LimitZone], originals: Mapping[str, int]) -> tuple[LimitZone, ...]:
    """Those with a limit that reads; of two interfaces those that acted, where any did."""
    limited = [zone for zone in together if (limit := named(zone, "long_term")) and limit.power_uw is not None]
    acting = [zone for zone in limited if _was_enabled(zone, originals)]
    return tuple(acting or limited)


def _why_not(together: Sequence[LimitZone]) -> list[str]:
    said = [problem for zone in together for problem in zone.problems]
    limits = [limit for zone in together if (limit := named(zone, "long_term")) is not None]
    said += [limit.problem for limit in limits if limit.problem is not None]
    first = together[0]
    return said or [f"read {first.directory}: {first.name} has no limit long_term; it is not limited"]


def _unread(together: Sequence[LimitZone]) -> list[str]:
    """A package is held on the average even where its short-term limit is not known."""
    limits = [limit for zone in together if (limit := named(zone, "short_term")) is not None]
    return [limit.problem for limit in limits if limit.power_uw is None and limit.problem is not None]


def _nothing(zones: Sequence[LimitZone], problems: Sequence[str]) -> str:
    if problems:
        return f"no package can be limited: {problems[0]}"
    if any(zone.name.startswith("psys") for zone in zones):
        return (
            "no package can be limited: there is only psys, the platform's limit, which few machines honour; "
            "load the module intel_rapl_msr"
        )
    return (
        "no package can be limited: there is none below class/powercap; a virtual machine has none, a host needs the "
        "module intel_rapl_msr"
    )


def _part(zones: Sequence[LimitZone], need: int | None, originals: Mapping[str, int]) -> Part:
    ceilings = [ceiling for zone in zones if (ceiling := _ceiling(zone, "long_term", originals)) is not None]
    limits = [limit for zone in zones if (limit := named(zone, "long_term")) is not None]
    least = max([limit.min_power_uw or 0 for limit in limits], default=0) or FLOOR_UW
    # In whole units, so that a share at the floor is not rounded to below it.
    floor = -(-least // UNIT_UW) * UNIT_UW
    ceiling = min(ceilings, default=None)
    return Part(floor if ceiling is None else min(floor, ceiling), ceiling, need)


def _ceiling(zone: LimitZone, name: str, originals: Mapping[str, int]) -> int | None:
    """What the limit was before jouled wrote it. One that did not act says nothing: what the chip is made for, then."""
    limit = named(zone, name)
    if limit is None or limit.power_uw is None:
        return None
    original = originals.get(power_path(zone, limit), limit.power_uw)
    # A short-term limit of 0 that acts is the machine's own way to have none; a long-term one is not set.
    if _was_enabled(zone, originals) and (original or name == "short_term"):
        return original
    return limit.max_power_uw or None


def _was_enabled(zone: LimitZone, originals: Mapping[str, int]) -> bool:
    """Before jouled wrote. Where that cannot be read it is held to be so, and nothing is switched on."""
    if (original := originals.get(enabled_path(zone))) is not None:
        return original != 0
    # Had it been off when its limits were first written, it would have been switched on, and journalled.
    if any(power_path(zone, limit) in originals for limit in zone.constraints):
        return True
    return zone.enabled is not False


def _targets(zone: LimitZone, share: int, originals: Mapping[str, int]) -> dict[str, int]:
    """Path to value of one zone: its limits, then `enabled` where that was 0."""
    targets = {}
    for name in ("long_term", "short_term"):
        limit = named(zone, name)
        if limit is None or limit.power_uw is None:
            continue
        ceiling = _ceiling(zone, name, originals)
        # The ceiling as it is: what need not be lowered is not written for the sake of rounding.
        rounded = share // UNIT_UW * UNIT_UW
        targets[power_path(zone, limit)] = rounded if ceiling is None or share < ceiling else ceiling
    if zone.enabled is False or not _was_enabled(zone, originals):
        targets[enabled_path(zone)] = 1
    return targets


def _writes(zone: LimitZone, targets: Mapping[str, int], held: Mapping[str, Held]) -> tuple[list[Write], bool]:
    """What does not hold its target yet, in order, and whether any of it allows more than before."""
    identity = (f"{zone.directory}/name", zone.name)
    writes = []
    # What is switched off limits nothing yet: no order matters, and nothing is raised.
    is_raising = False
    for limit in _in_order(zone, targets):
        path = power_path(zone, limit)
        now, target = limit.power_uw, targets[path]
        if now is None or now == target:
            continue
        if held.get(path) == (target, now) and abs(target - now) < ROUNDING_UW:
            continue
        is_raising = is_raising or (target > now and zone.enabled is not False)
        writes.append(Write(path, f"{zone.name} {limit.name} ({zone.id})", str(target), identity))
    path = enabled_path(zone)
    if zone.enabled is False and path in targets:
        writes.append(Write(path, f"{zone.name} enabled ({zone.id})", "1", identity))
    return writes, is_raising


def _in_order(zone: LimitZone, targets: Mapping[str, int]) -> list[Constraint]:
    """The short-term limit is never the lower one in between, which would throttle at once."""
    limits = [limit for name in ("long_term", "short_term") if (limit := named(zone, name)) is not None]
    limits = [limit for limit in limits if power_path(zone, limit) in targets]
    first = limits[0] if limits else None
    is_lowering = (
        first is not None
        and first.name == "long_term"
        and first.power_uw is not None
        and targets[power_path(zone, first)] < first.power_uw
    )
    return limits if is_lowering else limits[::-1]


def _expected(packages: Sequence[_Package], asked: Mapping[str, int]) -> float | None:
    total = 0
    for package in packages:
        limits = [(zone, limit) for zone in package.zones if (limit := named(zone, "long_term")) is not None]
        if not limits:
            return None
        total += min(asked[power_path(zone, limit)] for zone, limit in limits)
    return total / 1e6


def _bounds(packages: Sequence[_Package]) -> Bounds:
    ceilings = [package.part.ceiling for package in packages]
    known = [ceiling for ceiling in ceilings if ceiling is not None]
    most = sum(known) / 1e6 if len(known) == len(ceilings) else None
    return Bounds(sum(package.part.floor for package in packages) / 1e6, most)


def _is_within(node_w: float, allowed: Bounds) -> bool:
    return math.isfinite(node_w) and node_w >= allowed.min_w and (allowed.max_w is None or node_w <= allowed.max_w)


def _refusal(node_w: float, allowed: Bounds) -> str:
    most = "" if allowed.max_w is None else f" and at most {allowed.max_w:g} W, the limits as they were before"
    return f"a cap of {node_w:g} W cannot be: use at least {allowed.min_w:g} W{most}"
