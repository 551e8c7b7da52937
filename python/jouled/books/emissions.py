"""What a reading emitted: a factor by source of energy, or the grid's carbon intensity at its time.

- Energy is counted once, at its source: what a battery takes in was counted where it was made, so what
  a battery's meter counts emits nothing, in either direction.
- What is fed into the grid is somebody else's to count.
- A reading of quality bad is kept and not counted: neither its energy nor its emission.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from jouled.books import intensity

MJ_PER_KWH = 3_600_000_000
UG_PER_G = 1_000_000
UG_PER_KG = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A coal plant of a century ago is at 2 kg/kWh: more is a mistake of units.
FACTOR_MAX_UG = 5 * UG_PER_KG

SOURCES = ("grid", "solar", "wind", "natural_gas", "coal", "nuclear", "hydro", "battery")

_DEFAULT_G = {"coal": 950, "natural_gas": 450, "grid": 420, "nuclear": 12, "solar": 41, "wind": 11, "hydro": 24}


class Factors(NamedTuple):
    """A version of the factors: it is never changed, so that an emission can name it."""

    version: str
    valid_from: datetime
    ug_per_kwh: Mapping[str, int]


DEFAULT = Factors(
    "default-1",
    EPOCH,
    {source: _DEFAULT_G.get(source, 0) * UG_PER_G for source in SOURCES},
)


class Slot(NamedTuple):
    """The grid's intensity from `start` until `end`, in microseconds since 1970."""

    start_us: int
    end_us: int
    ug_per_kwh: int
    method: str


class Intensity(NamedTuple):
    """`method` says where it is from."""

    ug_per_kwh: int
    method: str


NOT_TRUSTED = Intensity(0, "bad:not-counted")
BATTERY = Intensity(0, "battery:at-source")
EXPORT = Intensity(0, "export:not-counted")


class FactorBook:
    """All versions, by the time from which they hold."""

    def __init__(self, versions: Sequence[Factors]) -> None:
        self._versions = sorted(versions, key=lambda factors: factors.valid_from)
        self._from_us = [int(factors.valid_from.timestamp() * 1_000_000) for factors in self._versions]
        self._intensities = [
            {source: Intensity(ug, f"factors:{factors.version}") for source, ug in factors.ug_per_kwh.items()}
            for factors in self._versions
        ]

    def at(self, at_us: int, source: str) -> Intensity:
        """Raises KeyError for an unknown source."""
        place = bisect_right(self._from_us, at_us) - 1
        return self._intensities[max(0, place)][source]


class Series:
    """Slots of one grid zone and kind, none of which overlap: average and marginal are never in one series."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = sorted(slots)
        self._starts_us = [slot.start_us for slot in self._slots]

    @classmethod
    def of(cls, slots: Iterable[intensity.Slot]) -> Self:
        """Of slots that may overlap, by the rule that all of the books have for which of them counts."""
        known = list(slots)
        if not known:
            return cls(())
        found = intensity.pieces(known, min(slot.start for slot in known), max(slot.end for slot in known))
        return cls(
            [Slot(_us(piece.start), _us(piece.end), piece.slot.ug_per_kwh, _method(piece.slot)) for piece in found]
        )

    def at(self, at_us: int) -> Slot | None:
        place = bisect_right(self._starts_us, at_us) - 1
        if place < 0 or self._slots[place].end_us <= at_us:
            return None
        return self._slots[place]


def _us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def _method(slot: intensity.Slot) -> str:
    method = f"series:{slot.zone}:{slot.kind}:{slot.provider}"
    if slot.is_forecast:
        method += ":forecast"
    return f"{method}:estimated" if slot.quality == "estimated" else method


class Rules:
    """By which the readings of one site and source are calculated."""

    def __init__(self, factors: FactorBook, source: str, direction: str, series: Series | None) -> None:
        """`series` is the site's, None where it is calculated by factors only. Raises KeyError for an unknown source."""
        factors.at(0, source)
        self._factors = factors
        self._source = source
        self._series = series if source == "grid" else None
        self._always: Intensity | None = None
        if source == "battery":
            self._always = BATTERY
        elif source == "grid" and direction == "produce":
            self._always = EXPORT

    def at(self, at_us: int, quality: str) -> Intensity:
        if quality == "bad":
            return NOT_TRUSTED
        if self._always is not None:
            return self._always
        by_factors = self._factors.at(at_us, self._source)
        if self._series is None:
            return by_factors
        slot = self._series.at(at_us)
        if slot is None:
            return Intensity(by_factors.ug_per_kwh, f"{by_factors.method}:no-series")
        return Intensity(slot.ug_per_kwh, slot.method)


def emitted_ug(energy_mj: int, ug_per_kwh: int) -> int:
    """To the nearest microgram, in integers."""
    return (energy_mj * ug_per_kwh + MJ_PER_KWH // 2) // MJ_PER_KWH


def is_counted(source: str, direction: str, quality: str) -> bool:
    """Whether its energy is part of what the site's intensity is an average of."""
    return quality != "bad" and source != "battery" and not (source == "grid" and direction == "produce")


def average_ug_per_kwh(emission_ug: int, energy_mj: int) -> float | None:
    """None where nothing was counted: that is not clean energy."""
    return emission_ug * MJ_PER_KWH / energy_mj if energy_mj else None
