"""Quantities as people write them: `"5s"`, `"65W"`, `"16KiB"`, or a bare number of the base unit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, NamedTuple, TypeAlias

from msgspec import Meta

NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-zµ]*)", re.ASCII | re.DOTALL)
# More digits than any quantity has; float() of a longer text would be infinity.
TEXT_LENGTH_MAX = 40
# Above it floats have no digits behind the point.
EXACT_MAX = 1e15


class Unit(NamedTuple):
    """What a quantity may be written in; `scale` holds each unit's size in the first one."""

    noun: str
    plural: str
    scale: Mapping[str, float]
    examples: str
    is_whole: bool = False

    @property
    def base(self) -> str:
        return next(iter(self.scale))

    @property
    def pattern(self) -> str:
        return rf"^\s*\d+(\.\d+)?\s*({'|'.join(self.scale)})?\s*$"

    def parse(self, value: object) -> float:
        """The value in the base unit. Raises ValueError, whose text says how to write it."""
        number = self._number(value)
        if number is None or (self.is_whole and number != int(number)):
            raise ValueError(f"{shown(value)} is not {self.noun}; write {self.examples} or a number of {self.plural}")
        return int(number) if self.is_whole else float(number)

    def text(self, value: float) -> str:
        """As one would write it, and `parse` reads it back: the shortest way with a number of 1 or more."""
        if value >= EXACT_MAX:
            return f"{value:g}{self.base}"
        ways = [f"{_decimal(value)}{self.base}"]
        for unit, size in self.scale.items():
            way = f"{_decimal(value / size)}{unit}"
            if value / size >= 1 and self.parse(way) == value:
                ways.append(way)
        return min(ways[1:] or ways, key=len)

    def _number(self, value: object) -> float | None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value if 0 <= value <= 1e300 else None
        if not isinstance(value, str) or len(value) > TEXT_LENGTH_MAX:
            return None
        match = NUMBER.fullmatch(value.strip())
        size = self.scale.get(match[2] or self.base) if match is not None else None
        return None if match is None or size is None else float(match[1]) * size


def _decimal(number: float) -> str:
    """All of its digits, none of them behind an exponent."""
    text = f"{Decimal(repr(float(number))):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def shown(value: object) -> str:
    """The value as an error quotes it, cut to a length that a line can hold."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."


SECONDS = Unit(
    "a duration",
    "seconds",
    {"s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0, "d": 86400.0},
    '"500ms", "5s", "2m"',
)
WATTS = Unit("a power", "watts", {"W": 1.0, "mW": 0.001, "kW": 1000.0}, '"65W", "120kW"')
JOULES = Unit("an energy", "joules", {"J": 1.0, "uJ": 1e-6, "µJ": 1e-6, "mJ": 0.001, "kJ": 1000.0}, '"1mJ", "1J"')
WATT_HOURS = Unit("an energy", "watt-hours", {"Wh": 1.0, "kWh": 1000.0, "MWh": 1e6}, '"500Wh", "2kWh"')
HERTZ = Unit("a rate", "hertz", {"Hz": 1.0, "mHz": 0.001, "kHz": 1000.0}, '"10Hz"')
BYTES = Unit("a size", "bytes", {"B": 1, "KiB": 1024, "MiB": 1024**2}, '"16KiB", "1MiB"', is_whole=True)


def _meta(unit: Unit) -> Meta:
    # What the keys read the unit from, and what the schema says of the text form.
    return Meta(extra={"unit": unit}, extra_json_schema={"pattern": unit.pattern})


Seconds: TypeAlias = Annotated[float, _meta(SECONDS)]
Watts: TypeAlias = Annotated[float, _meta(WATTS)]
Joules: TypeAlias = Annotated[float, _meta(JOULES)]
WattHours: TypeAlias = Annotated[float, _meta(WATT_HOURS)]
Hertz: TypeAlias = Annotated[float, _meta(HERTZ)]
Bytes: TypeAlias = Annotated[int, _meta(BYTES)]
