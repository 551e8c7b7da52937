"""A reading in a JSON document: each thing is where a JSON pointer says."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import msgspec
from jsonpointer import JsonPointer, JsonPointerException

from jouled.balance.site.supply import Reading
from jouled.config.plant import Pointers
from jouled.signals.answers import decoded, excerpt, instant_of_text, instant_of_unix
from jouled.signals.plant.asked import refuse
from jouled.signals.plant.protocol import NAME_CHARS_MAX, WATTS

# Since 1970: more is in milliseconds, of any time of this century.
SECONDS_MAX = 1e11
_NOTHING = object()


def parse(body: bytes, where: str, pointers: Pointers, unit: str, arrived_at: datetime | None = None) -> Reading:
    """In watts. `arrived_at` is its time where the document holds none. Raises AnswerError."""
    document = decoded(body, object, where)
    return reading_of(document, where, pointers, unit, arrived_at)


def reading_of(
    document: object, where: str, pointers: Pointers, unit: str, arrived_at: datetime | None = None
) -> Reading:
    """As `parse`, of what is decoded already."""
    scale = WATTS[unit]
    if isinstance(document, dict) and pointers.generation is None:
        pointers = _by_name(document, pointers)
    found = _Found(document, where)
    generation = found.number("generation", pointers.generation or "")
    if generation is None:
        refuse(where, "plant.pointers.generation: there is nothing")
    consumption = found.number("consumption", pointers.consumption)
    exported = found.number("exported", pointers.exported)
    return Reading(
        generation_w=generation * scale,
        sourced_at=found.instant(pointers.timestamp, arrived_at),
        consumption_w=None if consumption is None else consumption * scale,
        exported_w=None if exported is None else exported * scale,
        confidence=found.number("confidence", pointers.confidence),
        id=found.name(pointers.id),
        is_on_battery=found.is_on_battery(pointers.battery),
    )


def _by_name(document: dict[Any, Any], pointers: Pointers) -> Pointers:
    """Where nothing points to the generation, things are where they are called as in the settings."""
    named = {name: f"/{name}" for name in pointers.__struct_fields__ if document.get(name) is not None}
    told = {name: at for name in pointers.__struct_fields__ if (at := getattr(pointers, name)) is not None}
    return Pointers(**{"generation": "/generation", **named, **told})


class _Found:
    """What a document holds. A null, and what is not there, is not known; what was asked for and is of another
    kind is an error.
    """

    def __init__(self, document: object, where: str) -> None:
        self._document = document
        self._where = where

    def at(self, pointer: str | None) -> Any:
        """_NOTHING where there is nothing."""
        if pointer is None:
            return _NOTHING
        try:
            value = JsonPointer(pointer).resolve(self._document, _NOTHING)
        except (JsonPointerException, TypeError):  # into a number, into the end of a list
            return _NOTHING
        return _NOTHING if value is None else value

    def number(self, name: str, pointer: str | None) -> float | None:
        value = self.at(pointer)
        if value is _NOTHING:
            return None
        number = _number(value)
        if number is None:
            refuse(self._where, f"plant.pointers.{name}: {excerpt(value)!r} is no number")
        return number

    def instant(self, pointer: str | None, arrived_at: datetime | None) -> datetime:
        value = self.at(pointer)
        if pointer is None and arrived_at is not None:
            return arrived_at
        if value is _NOTHING:
            refuse(self._where, "plant.pointers.timestamp: there is nothing; nobody knows from when it is")
        if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
            return instant_of_text(value, self._where)
        try:
            seconds = float(value)
        except (TypeError, ValueError, OverflowError):
            refuse(self._where, f"plant.pointers.timestamp: {excerpt(value)!r} is no time")
        if isinstance(value, bool) or not math.isfinite(seconds):
            refuse(self._where, f"plant.pointers.timestamp: {excerpt(value)!r} is no time")
        seconds = seconds / 1000.0 if abs(seconds) > SECONDS_MAX else seconds
        whole = math.floor(seconds)
        return instant_of_unix(whole, self._where).replace(microsecond=int((seconds - whole) * 1_000_000))

    def name(self, pointer: str | None) -> str | None:
        value = self.at(pointer)
        if value is _NOTHING:
            return None
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        return text[:NAME_CHARS_MAX]

    def is_on_battery(self, pointer: str | None) -> bool:
        """What the settings say that the feed tells has to be there."""
        if pointer is None:
            return False
        value = self.at(pointer)
        if value is _NOTHING:
            refuse(self._where, "plant.pointers.battery: there is nothing; it has to be true or false")
        words = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
        word = str(value).strip().lower()
        if word not in words:
            refuse(self._where, f"plant.pointers.battery: {excerpt(value)!r} is neither true nor false")
        return words[word]


def _number(value: object) -> float | None:
    """Home Assistant and others write numbers as text. None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf
