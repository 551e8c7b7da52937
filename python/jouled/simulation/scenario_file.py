"""Scenarios as TOML: those that come with jouled by name, others by file. A mistake is named with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from jouled.config import shapes
from jouled.config.checking import nearest
from jouled.config.positions import lines_of
from jouled.config.refused import KeyPath, RefusedError, dotted
from jouled.errors import JouledError
from jouled.simulation.scenario import Scenario

BYTES_MAX = 1024 * 1024
PLACE = re.compile(r"\.([^.`\[\]]+)|\[(\d+)\]")


class ScenarioError(JouledError):
    """A scenario that cannot be simulated."""


def builtin_names() -> list[str]:
    folder = resources.files("jouled.simulation") / "scenarios"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def load(wanted: str) -> Scenario:
    """By the name of one that is built in, or of a file. Files that it names lie beside it. Raises ScenarioError."""
    names = builtin_names()
    if wanted in names:
        text = (resources.files("jouled.simulation") / "scenarios" / f"{wanted}.toml").read_text(encoding="utf-8")
        return parse(text, wanted)
    if not wanted.endswith(".toml") and "/" not in wanted and not Path(wanted).exists():
        near = nearest(wanted, names)
        hint = f"did you mean {near}?" if near else f"there is {', '.join(names)}, or name a file"
        raise ScenarioError(f"no scenario {wanted!r}; {hint}")
    return _beside(parse(_text_of(wanted), wanted), Path(wanted).parent)


def parse(text: str, name: str) -> Scenario:
    """Raises ScenarioError, which says `FILE:LINE: KEY: WHAT`."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of an integer, or a nesting, without end
        raise ScenarioError(f"{name}: not valid TOML: {error}") from error
    try:
        return checked(table)
    except RefusedError as refused:
        lines = lines_of(text, table)
        places = [refused.key[:length] for length in range(len(refused.key), 0, -1)]
        line = next((f":{lines[place]}" for place in places if place in lines), "")
        key = f" {dotted(refused.key)}:" if refused.key else ""
        raise ScenarioError(f"{name}{line}:{key} {refused.what}") from refused


def checked(table: Mapping[str, Any]) -> Scenario:
    """Raises RefusedError for the first value that cannot be."""
    settled = _settled(table, Scenario, ())
    try:
        return msgspec.convert(settled, Scenario)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at ")
        path: KeyPath = tuple(int(index) if index else key for key, index in PLACE.findall(where))
        if isinstance(error.__cause__, RefusedError):
            raise error.__cause__.below(path) from error
        if missing := re.fullmatch(r"Object missing required field `(\w+)`", message):
            raise RefusedError(path, f"{missing[1]} is missing; add it") from error
        raise RefusedError(path, f"{message[:1].lower()}{message[1:]}") from error


def _settled(table: Mapping[str, Any], struct: type[Struct], path: KeyPath) -> dict[str, Any]:
    """The table with quantities as numbers. Refuses keys that are unknown, and numbers out of range."""
    known = shapes.fields_of(struct)
    settled: dict[str, Any] = {}
    for name, value in table.items():
        place = (*path, name)
        key = known.get(name)
        if key is None:
            near = nearest(name, list(known))
            hint = f"did you mean {near}?" if near else f"known keys: {', '.join(known)}"
            raise RefusedError(place, f"unknown key; {hint}")
        entry = shapes.entry_struct(key.hint)
        if key.struct is not None and isinstance(value, Mapping):
            settled[name] = _settled(value, key.struct, place)
        elif entry is not None and isinstance(value, list):
            settled[name] = [
                _settled(each, entry, (*place, index)) if isinstance(each, Mapping) else each
                for index, each in enumerate(value)
            ]
        else:
            settled[name] = _number(key, value, place)
    return settled


def _number(key: shapes.Key, value: object, path: KeyPath) -> object:
    """A quantity in its base unit, and any number only where it is in range."""
    unit = key.unit
    if unit is not None:
        try:
            value = unit.parse(value)
        except ValueError as error:
            raise RefusedError(path, str(error)) from None
    least, most = key.extra.get("least"), key.extra.get("most")
    if isinstance(value, int | float) and not isinstance(value, bool) and least is not None and most is not None:
        is_in_range = least <= value <= most
        if not is_in_range:
            raise RefusedError(path, f"{value!r} is out of range; allowed: {shapes.allowed(key)}")
    return value


def _text_of(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
        raise ScenarioError(
            f"{path}: {reason}; name a scenario file, or one of {', '.join(builtin_names())}"
        ) from error
    if len(content) > BYTES_MAX:
        raise ScenarioError(f"{path}: larger than {BYTES_MAX} bytes; name a scenario file")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: not valid TOML: {error}") from error


def _beside(scenario: Scenario, folder: Path) -> Scenario:
    """Files are named as seen from the scenario's own folder."""

    def at(name: str | None) -> str | None:
        return None if name is None else str(folder / name)

    replaced = msgspec.structs.replace
    return replaced(
        scenario,
        plant=replaced(scenario.plant, trace=at(scenario.plant.trace)),
        market=replaced(scenario.market, prices=at(scenario.market.prices), carbon=at(scenario.market.carbon)),
    )
