"""What `joulectl top` shows, as a value: a key gives the next value. Pure, so that every key is tested
without a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from jouled.cli.top_tree import Node, arranged, matching, nodes, zone_classes
from jouled.wire import LEVELS, SORTS, Snapshot

# Longer than any name that is looked for.
FILTER_CHARS_MAX = 60
# The lines above the rows are told apart by how many zones are drawn: at most this many.
ZONES_SHOWN_MAX = 8


class Row(NamedTuple):
    """A node where it stands on the screen."""

    node: Node
    depth: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class View:
    """Everything that keys change. `zone` None is the class that covers most; `turned` holds the nodes
    that are not as they are at first: slices open, all else closed.
    """

    level: str = "unit"
    is_tree: bool = True
    sort: str = "watts"
    zone: str | None = None
    filter: str = ""
    chosen: str | None = None
    first: int = 0
    turned: frozenset[str] = frozenset()
    mode: Literal["rows", "filter", "help"] = "rows"
    is_paused: bool = False
    has_quit: bool = False

    def zone_of(self, snapshot: Snapshot) -> str:
        classes = zone_classes(snapshot)
        return self.zone if self.zone in classes or not classes else classes[0]  # type: ignore[return-value]  # in classes, so no None


def rows_of(view: View, snapshot: Snapshot) -> list[Row]:
    """The lines that are open, in order."""
    found = nodes(snapshot, view.level, view.zone_of(snapshot), is_tree=view.is_tree)
    if view.filter:
        found = matching(found, view.filter)
    shown: list[Row] = []

    def walk(level: Sequence[Node], depth: int) -> None:
        for node in level:
            is_open = bool(node.children) and is_opened(view, node)
            shown.append(Row(node, depth, is_open))
            if is_open:
                walk(node.children, depth + 1)

    walk(arranged(found, view.sort), 0)
    return shown


def is_opened(view: View, node: Node) -> bool:
    # What is searched for is shown at once, wherever it lies.
    return (node.kind == "slice" or bool(view.filter)) != (node.key in view.turned)


def settled(view: View, rows: Sequence[Row], height: int) -> View:
    """The view with a row chosen that is there, scrolled so that it is on the screen."""
    if not rows or height <= 0:
        return replace(view, first=0)
    at = chosen_at(view, rows)
    first = min(max(view.first, at - height + 1), at)
    first = max(0, min(first, len(rows) - height))
    # Who has not moved stays at the top, whatever comes to stand there.
    return replace(view, chosen=None if view.chosen is None else rows[at].node.key, first=first)


def chosen_at(view: View, rows: Sequence[Row]) -> int:
    for at, row in enumerate(rows):
        if row.node.key == view.chosen:
            return at
    # What was chosen has gone: the row that took its place on the screen, the first at the start.
    return min(view.first, len(rows) - 1) if view.chosen is not None else 0


def press(view: View, key: str, snapshot: Snapshot, height: int) -> View:
    """The view after a key; keys that mean nothing change nothing. `height` is how many rows are shown."""
    if view.mode == "help":
        return replace(view, mode="rows")
    if view.mode == "filter":
        return _type(view, key)
    if key in MOVES:
        return _move(view, key, rows_of(view, snapshot), height)
    if key in {"enter", " ", "right", "left"}:
        return _turn(view, key, rows_of(view, snapshot))
    if key == "z":
        return _next_zone(view, snapshot)
    return _switch(view, key)


def _switch(view: View, key: str) -> View:
    if key in LEVEL_KEYS:
        return replace(view, level=LEVEL_KEYS[key], chosen=None, first=0)
    changes: dict[str, dict[str, Any]] = {
        "l": {"level": _after(LEVELS, view.level), "chosen": None, "first": 0},
        "s": {"sort": _after(SORTS, view.sort), "chosen": None, "first": 0},
        "t": {"is_tree": not view.is_tree, "chosen": None, "first": 0},
        "p": {"is_paused": not view.is_paused},
        "/": {"mode": "filter"},
        "?": {"mode": "help"},
        "h": {"mode": "help"},
        "escape": {"filter": "", "first": 0},
        "q": {"has_quit": True},
    }
    return replace(view, **changes.get(key, {}))


def _after(words: Sequence[str], word: str) -> str:
    return words[(words.index(word) + 1) % len(words)]


def _next_zone(view: View, snapshot: Snapshot) -> View:
    classes = zone_classes(snapshot)
    return replace(view, zone=_after(classes, view.zone_of(snapshot))) if classes else view


def _type(view: View, key: str) -> View:
    """Keys while the filter is written; it acts with every letter."""
    if key == "enter":
        return replace(view, mode="rows")
    if key == "escape":
        return replace(view, mode="rows", filter="", first=0)
    if key == "backspace":
        return replace(view, filter=view.filter[:-1], first=0)
    if len(key) == 1 and key.isprintable() and len(view.filter) < FILTER_CHARS_MAX:
        return replace(view, filter=view.filter + key, first=0)
    return view


# How far each key goes: rows, or pages.
MOVES = {
    "up": (-1, 0),
    "k": (-1, 0),
    "down": (1, 0),
    "j": (1, 0),
    "page up": (0, -1),
    "page down": (0, 1),
    "home": (-(10**9), 0),
    "g": (-(10**9), 0),
    "end": (10**9, 0),
    "G": (10**9, 0),
}
LEVEL_KEYS = {str(number): level for number, level in enumerate(LEVELS, start=1)}


def _move(view: View, key: str, rows: Sequence[Row], height: int) -> View:
    if not rows:
        return view
    count, pages = MOVES[key]
    at = chosen_at(view, rows) + count + pages * max(1, height - 1)
    return replace(view, chosen=rows[max(0, min(at, len(rows) - 1))].node.key)


def _turn(view: View, key: str, rows: Sequence[Row]) -> View:
    """Opens or closes the chosen node; left on what is closed goes to what it lies in."""
    if not rows:
        return view
    at = chosen_at(view, rows)
    node, depth, is_open = rows[at]
    if key == "left" and not is_open:
        outer = next((row for row in reversed(rows[:at]) if row.depth < depth), rows[at])
        return replace(view, chosen=outer.node.key)
    if not node.children or (key == "right" and is_open):
        return replace(view, chosen=node.key)
    return replace(view, chosen=node.key, turned=view.turned ^ {node.key})
