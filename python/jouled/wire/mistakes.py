"""What is wrong with a body, in words that also say what would be right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

# How the decoder names the place of a name that is not to be there.
KEY = "`key` in "
STEP = re.compile(r"\.([^.\[\]]+)|\[[^\]]*\]")


def explained(error: msgspec.MsgspecError | UnicodeDecodeError | RecursionError, kind: Any) -> str:
    """The decoder's words on what should have become a `kind`, with the names or values that there are."""
    text = str(error)
    said, _, place = text.partition(" - at ")
    if said.startswith("Invalid enum value"):
        allowed = [str(value) for part in _found(kind, place) for value in getattr(part, "values", ())]
    elif said.startswith("Object contains unknown field"):
        allowed = [field.encode_name for part in _found(kind, place) for field in getattr(part, "fields", ())]
    else:
        return text
    return f"{text}; there is {', '.join(allowed)}" if allowed else text


def _found(kind: Any, place: str) -> Iterator[inspect.Type]:
    """The types that may stand at `$.readings[...].quality`, or be a name in there."""
    found = list(_plain(_type_of(kind)))
    for step in STEP.finditer(place.strip("`")):
        found = [inner for outer in found for inner in _inside(outer, step[1])]
    if place.startswith(KEY):
        found = [inner for outer in found if isinstance(outer, inspect.DictType) for inner in _plain(outer.key_type)]
    yield from found


@cache
def _type_of(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _inside(outer: inspect.Type, name: str | None) -> Iterator[inspect.Type]:
    if name is not None:
        for field in getattr(outer, "fields", ()):
            if field.encode_name == name:
                yield from _plain(field.type)
    elif isinstance(outer, inspect.DictType):
        yield from _plain(outer.value_type)
    elif isinstance(outer, inspect.CollectionType):
        yield from _plain(outer.item_type)


def _plain(kind: inspect.Type) -> Iterator[inspect.Type]:
    """Without what only describes it; each of several."""
    if isinstance(kind, inspect.Metadata):
        yield from _plain(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for part in kind.types:
            yield from _plain(part)
    else:
        yield kind
