"""What a reload can apply to a daemon that runs, and what needs a restart."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from jouled.config.settings import Config, Listener
from jouled.config.shapes import config_keys, fields_of


class Changes(NamedTuple):
    """The keys that differ, dotted; of listeners as `listen[ADDRESS].KEY`."""

    applied: tuple[str, ...]
    restart: tuple[str, ...]


def changes(old: Config, new: Config) -> Changes:
    """What differs: what a reload applies, and what holds only after a restart."""
    applied: list[str] = []
    restart: list[str] = []
    for key in config_keys():
        if key.path != ("listen",) and key.value_in(old) != key.value_in(new):
            (applied if key.is_live else restart).append(key.dotted)
    before, after = _by_address(old), _by_address(new)
    if before.keys() != after.keys():
        restart.append("listen")
    for place in before.keys() & after.keys():
        for name, key in fields_of(Listener).items():
            if key.value_in(before[place]) != key.value_in(after[place]):
                applied.append(f"listen[{place[0]}].{name}")
    return Changes(tuple(sorted(applied)), tuple(sorted(restart)))


def merged(old: Config, new: Config) -> Config:
    """What is in force after a reload: the new values where they can be applied, the old ones elsewhere.

    Listeners keep their order and number.
    """
    tables: dict[str, dict[str, Any]] = {}
    for key in config_keys():
        if key.is_live:
            *table, attribute = key.attributes
            tables.setdefault(".".join(table), {})[attribute] = key.value_in(new)
    top = tables.pop("", {})
    for name, values in tables.items():
        top[name] = msgspec.structs.replace(getattr(old, name), **values)
    after = _by_address(new)
    places = zip(old.listen, _by_address(old).items(), strict=True)
    top["listen"] = tuple(
        entry if after.get(place, listener) == listener else after[place] for entry, (place, listener) in places
    )
    return msgspec.structs.replace(old, **top)


def _by_address(config: Config) -> dict[tuple[str, int], Listener]:
    """Listeners by address; several may ask for port 0, so the number of the same one counts too."""
    found: dict[tuple[str, int], Listener] = {}
    for listener in config.listeners:
        number = sum(1 for address, _ in found if address == listener.address)
        found[listener.address, number] = listener
    return found
