"""The lines of `joulectl top`: a view and a snapshot in, styled text out. Pure."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from typing import NamedTuple

from jouled.cli import look
from jouled.cli.look import Line, Look
from jouled.cli.top_tree import Node, Trend, class_watts, zone_classes
from jouled.cli.top_view import ZONES_SHOWN_MAX, Row, View, chosen_at, rows_of, settled
from jouled.wire import Snapshot, Zone

# From here on there is room for who and which file; below it names have at least 37 columns.
WIDE = 120
WIDER = 160
NAME_MAX = 56
EXE_MIN = 40
HELP = (
    ("up down, k j", "choose a row; page up, page down, home (g), end (G)"),
    ("enter, space", "open or close it; right opens, left closes or goes out"),
    ("1 2 3 4 5 6, l", "level: process, unit, container, pod, vm, user; the next"),
    ("t", "tree, or list of one level"),
    ("s", "sort by watts, joules, cpu, name"),
    ("z", "the next zone class"),
    ("/", "show only what matches; enter keeps it, escape ends it"),
    ("p", "pause, and go on"),
    ("q", "quit"),
)
HELP_WORDS = (
    "WATTS   mean active power of the last interval. A node is the sum of what",
    "        is below it; all rows and (idle) are the zone.",
    "SHARE   of the zone's power, in percent.",
    "JOULES  since the row began, at the daemon's start at most: a row that",
    "        ends takes its joules along, so this column need not add up.",
    "(exited) ended processes   (kernel) its threads   (ungrouped) in none",
    "(unattributed) interrupts, steal   (idle) spent in any case",
)


class Scene(NamedTuple):
    """All that is drawn beside the view: the snapshot, where it is from, what else is to be said."""

    snapshot: Snapshot
    via: str
    warning: str = ""
    trend: Trend = Trend(1)
    peaks_w: dict[str, float] = {}  # noqa: RUF012  (given anew with each scene; the default is only read)
    trouble: str = ""
    has_trend: bool = True


def peaks(before: dict[str, float], snapshot: Snapshot) -> dict[str, float]:
    """The most that any zone of each class has drawn: what its bars are measured against."""
    found = dict(before)
    for zone in snapshot.zones:
        found[zone.zone] = max(found.get(zone.zone, 0.0), zone.watts or 0.0)
    return found


def screen(view: View, scene: Scene, style: Look) -> tuple[View, list[Line]]:
    """A whole screen, `style.height` lines of it; the view comes back with its scrolling settled."""
    if view.mode == "help":
        lines = [*_title(scene, style), [], *_help(scene, style), [], [("any key goes back", "dim")]]
        return view, _filled(lines, style.height)
    above = [*_title(scene, style), *_zones(scene, style), _heads(view, scene, style)]
    height = rows_height(scene, style)
    rows = rows_of(view, scene.snapshot)
    view = settled(view, rows, height)
    shown = rows[view.first : view.first + height]
    at = chosen_at(view, rows) if rows else 0
    body = [_row(row, view, scene, style, is_chosen=view.first + index == at) for index, row in enumerate(shown)]
    if not rows:
        body = [[(_nothing(view, scene.snapshot), "dim")]]
    return view, [*_filled([*above, *body], style.height - 1), _foot(view, rows, height)]


def rows_height(scene: Scene, style: Look) -> int:
    return max(1, style.height - len(_title(scene, style)) - len(_zones(scene, style)) - 2)


def page(view: View, scene: Scene, style: Look) -> list[Line]:
    """Everything, once, without what only a terminal needs."""
    rows = rows_of(view, scene.snapshot)
    body = [_row(row, view, scene, style, is_chosen=False) for row in rows]
    if not rows:
        body = [[(_nothing(view, scene.snapshot), "dim")]]
    zones = _zones(scene, style, len(scene.snapshot.zones))
    return [*_title(scene, style), *zones, _heads(view, scene, style), *body]


def _filled(lines: Sequence[Line], height: int) -> list[Line]:
    blank: list[Line] = [[]] * max(0, height - len(lines))
    return [*lines[:height], *blank]


def _nothing(view: View, snapshot: Snapshot) -> str:
    if view.level not in snapshot.levels:
        return f"{view.level} is not computed here: see levels in the daemon's settings"
    return f"nothing matches {view.filter!r}" if view.filter else f"no {view.level} has drawn power yet"


def _title(scene: Scene, style: Look) -> list[Line]:
    snapshot = scene.snapshot
    clock = time.strftime("%H:%M:%SZ", time.gmtime(snapshot.time_seconds))
    host = look.clean(snapshot.hostname)
    left: Line = [(host, "head"), (f"  via {look.clean(scene.via)}", "dim")]
    gap = style.width - look.width_of(left) - len(clock)
    if gap < 1:
        left, gap = [(host, "head")], max(1, style.width - len(host) - len(clock))
    busy = "-" if snapshot.cpu_busy_ratio is None else f"{100 * snapshot.cpu_busy_ratio:.1f} %"
    span = "no interval yet" if snapshot.interval_seconds is None else look.seconds_text(snapshot.interval_seconds)
    is_model = snapshot.source == "estimate"
    second: Line = [
        ("source ", "dim"),
        (f"{snapshot.source} (a model)" if is_model else snapshot.source, "warn" if is_model else "bold"),
        (f"  interval {span}  CPUs busy {busy}  {snapshot.processes} processes", ""),
    ]
    lines: list[Line] = [[*left, (" " * gap, ""), (clock, "")], second]
    for text, kind in ((scene.warning, "warn"), (scene.trouble, "bad")):
        if text:
            lines.append([(look.clean(text), kind)])
    return lines


def _zones(scene: Scene, style: Look, room: int | None = None) -> list[Line]:
    """A bar for each zone; for as many as leave the rows their room, if nothing else is said."""
    zones = in_order(scene.snapshot)
    room = max(1, min(ZONES_SHOWN_MAX, style.height // 3)) if room is None else room
    shown = zones if len(zones) <= room else zones[: room - 1]
    names = [look.clean(f"{zone.zone} {zone.index}".strip()) for zone in shown]
    width = min(20, max((len(name) for name in names), default=0))
    lines = [_zone(zone, name, width, scene, style) for zone, name in zip(shown, names, strict=True)]
    if len(zones) > len(shown):
        lines.append([(f"{len(zones) - len(shown)} more zones: joulectl zones", "dim")])
    return lines


def in_order(snapshot: Snapshot) -> list[Zone]:
    """The class that covers most first, each class by its sockets."""
    classes = zone_classes(snapshot)
    return sorted(snapshot.zones, key=lambda zone: (classes.index(zone.zone), len(zone.index), zone.index))


def _zone(zone: Zone, name: str, width: int, scene: Scene, style: Look) -> Line:
    glyphs = style.glyphs()
    numbers = f"{look.watts_text(zone.watts):>8} W"
    detail = f"  active {look.watts_text(zone.active_watts):>7}  idle {look.watts_text(zone.idle_watts):>7}"
    room = max(8, min(60, style.width - width - len(numbers) - len(detail) - 5))
    peak_w = scene.peaks_w.get(zone.zone) or zone.watts or 0.0
    active, idle = bar_of(zone, peak_w, room)
    return [
        (f"{look.fitted(name, width, glyphs.cut)} ", "bold"),
        ("[", "dim"),
        (glyphs.active * active, "active"),
        (glyphs.idle * idle, "idle"),
        (" " * (room - active - idle), ""),
        ("]", "dim"),
        (numbers, "bold"),
        (detail, ""),
    ]


def bar_of(zone: Zone, peak_w: float, room: int) -> tuple[int, int]:
    """How many cells are active and idle, of `room` that stand for the largest power seen."""
    if not zone.watts or peak_w <= 0:
        return 0, 0
    total = min(room, round(room * zone.watts / peak_w))
    active = min(total, round(room * (zone.active_watts or 0.0) / peak_w))
    return active, total - active


def _trend_width(scene: Scene, style: Look) -> int:
    """Nothing where there is one snapshot only: that is no trend."""
    if not scene.has_trend:
        return 0
    return 8 if style.width < WIDE else 20


def _trend(text: str, scene: Scene, style: Look) -> str:
    width = _trend_width(scene, style)
    return f"  {look.fitted(text, width)}  " if width else "  "


def _heads(view: View, scene: Scene, style: Look) -> Line:
    def head(name: str, sort: str, width: int) -> str:
        return f"{name + ('*' if view.sort == sort else ''):>{width}}"

    text = f"{head('WATTS', 'watts', 9)} {'SHARE':>6} {head('JOULES', 'joules', 9)}"
    if style.width >= WIDE:
        text += f" {head('CPU S', 'cpu', 9)}"
    zone = view.zone_of(scene.snapshot)
    name = f"{view.level.upper()}{'*' if view.sort == 'name' else ''} ({zone})"
    text += _trend("TREND", scene, style)
    if style.width >= WIDE:
        text += look.fitted(name, _name_width(scene, style)) + f" {'USER':<12}"
        name = "  EXE" if style.width >= WIDER else ""
    return [(text, "head"), (name, "head")]


def _name_width(scene: Scene, style: Look) -> int:
    fixed = 9 + 1 + 6 + 1 + 9 + 1 + 9 + len(_trend("", scene, style)) + 1 + 12
    room = style.width - fixed
    return room if style.width < WIDER else min(NAME_MAX, room - 2 - EXE_MIN)


def _row(row: Row, view: View, scene: Scene, style: Look, *, is_chosen: bool) -> Line:
    node = row.node
    zone = view.zone_of(scene.snapshot)
    whole_w = class_watts(scene.snapshot, zone)
    glyphs = style.glyphs()
    share = look.share_text(node.watts, whole_w)
    numbers = f"{look.watts_text(node.watts):>9} {share:>6} {look.joules_text(node.joules):>9}"
    if style.width >= WIDE:
        numbers += f" {'-' if node.cpu_s is None else f'{node.cpu_s:.1f}':>9}"
    trend = look.spark(scene.trend.of(node, zone), _trend_width(scene, style), glyphs.levels)
    sign = (glyphs.opened if row.is_open else glyphs.closed) if node.children else " "
    has_signs = view.is_tree and view.level != "process"
    name = f"{'  ' * row.depth}{sign + ' ' if has_signs else ''}{look.clean(node.name)}"
    name += "" if node.is_live else " (ended)"
    line: Line = [(numbers, ""), (_trend(trend, scene, style), "good"), (name, _style(node))]
    if style.width >= WIDE:
        line = [
            *line[:2],
            (look.fitted(name, _name_width(scene, style), glyphs.cut), _style(node)),
            *_who(node, scene, style),
        ]
    if not is_chosen:
        return line
    text = "".join(text for text, _ in line)
    return [(look.fitted(text, style.width, glyphs.cut), "chosen")]


def _style(node: Node) -> str:
    if node.kind == "residual" or not node.is_live:
        return "dim"
    return "slice" if node.kind == "slice" else ""


def _who(node: Node, scene: Scene, style: Look) -> Line:
    uid = node.labels.get("uid")
    user = "" if uid is None else _user_names(scene.snapshot).get(uid, uid)
    line: Line = [(f" {look.fitted(look.clean(user), 12, style.glyphs().cut)}", "")]
    if style.width >= WIDER:
        line.append((f"  {look.clean(node.labels.get('exe', ''))}", "dim"))
    return line


def _user_names(snapshot: Snapshot) -> dict[str, str]:
    level = snapshot.levels.get("user")
    rows = level.workloads if level else ()
    return {row.labels["uid"]: row.labels.get("user", row.labels["uid"]) for row in rows if "uid" in row.labels}


def _foot(view: View, rows: Sequence[Row], height: int) -> Line:
    if view.mode == "filter":
        return [("show only: ", "bold"), (f"{look.clean(view.filter)}_", "")]
    words = [
        "q quit",
        "? help",
        f"s sort:{view.sort}",
        f"l level:{view.level}",
        f"t {'tree' if view.is_tree else 'list'}",
        "z zone",
        f"/ {look.clean(view.filter)}" if view.filter else "/ filter",
        "p go on" if view.is_paused else "p pause",
    ]
    line: Line = [("PAUSED  ", "warn")] if view.is_paused else []
    line.append(("  ".join(words), "dim"))
    if len(rows) > height:
        line.append((f"  {min(view.first + height, len(rows))}/{len(rows)}", ""))
    return line


def _help(scene: Scene, style: Look) -> list[Line]:
    keys: list[Line] = [[(f"  {key:<16}", "bold"), (text, "")] for key, text in HELP]
    words: list[Line] = [[(f"  {text}", "")] for text in HELP_WORDS]
    # The warning's line may be cut above; here all of it can be read.
    notes: list[Line] = [[(text, "warn")] for text in textwrap.wrap(look.clean(scene.warning), style.width)]
    return [*keys, [], *words, *notes]
