"""A table as the parser gives it, against the structs: the configuration, or which value is refused and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from jouled.config import shapes
from jouled.config.refused import KeyPath, RefusedError, dotted
from jouled.config.settings import Config
from jouled.config.shapes import Key
from jouled.config.units import shown

PLACE = re.compile(r"\.([^.`\[\]]+)|\[(\d+)\]")
TYPE_NAMES = {bool: "a boolean", int: "a whole number", float: "a number", str: "a string", list: "a list"}
SECRET_KEYS = {"users", "tokens"}
# What is longer than any key resembles none, and comparing takes the square of the length.
NAME_LENGTH_MAX = 100


def checked(table: Mapping[str, Any]) -> Config:
    """Raises RefusedError for the first value that cannot be."""
    settled = _settled(table, Config, ())
    try:
        return msgspec.convert(settled, Config)
    except msgspec.ValidationError as error:
        raise _refusal(error, table) from error


def _settled(table: Mapping[str, Any], struct: type[Struct], path: KeyPath) -> dict[str, Any]:
    """The table with quantities as numbers. Refuses keys that are unknown, and numbers out of range."""
    known = shapes.fields_of(struct)
    settled: dict[str, Any] = {}
    for name, value in table.items():
        place = (*path, name)
        if name not in known:
            raise RefusedError(place, f"unknown key; {_hint(name, place, list(known))}")
        key = known[name]
        inner = key.struct
        entry = shapes.entry_struct(key.hint)
        if inner is not None and isinstance(value, Mapping):
            settled[name] = _settled(value, inner, place)
        elif entry is not None and isinstance(value, list):
            entries = [
                _settled(item, entry, (*place, index)) if isinstance(item, Mapping) else item
                for index, item in enumerate(value)
            ]
            settled[name] = entries
        else:
            settled[name] = _number(key, value, place)
    return settled


def _number(key: Key, value: Any, path: KeyPath) -> Any:
    """A quantity in its base unit, and any number only where it is in range."""
    unit = key.unit
    if unit is not None:
        try:
            value = unit.parse(value)
        except ValueError as error:
            bounds = shapes.allowed(key).replace(unit.noun, ",", 1).removesuffix(",")
            raise RefusedError(path, f"{error}{bounds}") from None
    least, most = key.extra.get("least"), key.extra.get("most")
    if isinstance(value, int | float) and not isinstance(value, bool) and least is not None and most is not None:
        is_in_range = least <= value <= most
        if not is_in_range:
            shown_value = unit.text(value) if unit is not None else shown(value)
            raise RefusedError(path, f"{shown_value} is out of range; allowed: {shapes.allowed(key)}")
    return value


def _refusal(error: msgspec.ValidationError, table: Mapping[str, Any]) -> RefusedError:
    """What msgspec, or a struct's own check, says; in the words of whoever wrote the value."""
    message, _, where = str(error).partition(" - at ")
    steps = PLACE.findall(where)
    path: KeyPath = tuple(int(index) if index else name for name, index in steps)
    if isinstance(error.__cause__, RefusedError):
        return error.__cause__.below(path)
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", message):
        return RefusedError(path, f"{missing[1]} is missing; add it")
    key = shapes.find(path)
    if key is None:
        return RefusedError(path, message)
    is_entry = bool(path) and isinstance(path[-1], int)
    allowed = shapes.allowed(key, is_entry=is_entry)
    value = _value_at(table, path)
    if isinstance(value, str) and message.startswith("Invalid enum value"):
        near = nearest(value, allowed.split(", "))
        return RefusedError(
            path, f"{shown(value)} is not known; {f'did you mean {near}? ' if near else ''}allowed: {allowed}"
        )
    is_secret = not SECRET_KEYS.isdisjoint(path)
    said = "" if is_secret or isinstance(value, list | dict) else f"{shown(value)} is "
    name = TYPE_NAMES.get(type(value), "a table" if isinstance(value, dict) else "a date or time")
    return RefusedError(path, f"{said or 'it is '}{name}; allowed: {allowed}")


def _hint(name: str, place: KeyPath, siblings: list[str]) -> str:
    """The nearest keys that exist: a key with a typing error must not be a setting ignored."""
    near = nearest(name, siblings)
    found = [dotted((*place[:-1], near))] if near else []
    elsewhere = {form: key.dotted for key in shapes.config_keys() for form in (key.name, "_".join(key.path))}
    if name in elsewhere:
        found.append(elsewhere[name])
    elif not found and (near := nearest(name, list(elsewhere))):
        found.append(elsewhere[near])
    return f"did you mean {' or '.join(found)}?" if found else f"known keys: {', '.join(sorted(siblings))}"


def nearest(word: str, known: list[str]) -> str | None:
    import difflib  # only where something is wrong

    found = difflib.get_close_matches(word, known, n=1) if len(word) <= NAME_LENGTH_MAX else []
    return found[0] if found else None


def _value_at(value: Any, path: KeyPath) -> Any:
    for step in path:
        value = value[step]
    return value
