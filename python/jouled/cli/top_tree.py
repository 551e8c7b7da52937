"""A snapshot as rows: a list of workloads, or a tree in which every node's watts are its children's sum.

Pure: a snapshot and what to show in, nodes out.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from jouled.wire import Level, Snapshot, Workload

# What energy is shown of where nothing else is asked for: what covers most of the host, as the core ranks it.
ZONE_ORDER = ("package", "psys")
# How many snapshots a trend remembers.
TREND_MAX = 60
# Below this a remainder is rounding: rows have six decimals, and there may be thousands of them.
EPSILON_W = 1e-4

LONG_ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")

RowKey: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A line of the view. `rows` are the workloads whose watts it sums, for its trend."""

    key: str
    name: str
    kind: str
    watts: float | None
    joules: float | None
    cpu_s: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    is_live: bool = True
    rows: tuple[RowKey, ...] = ()
    children: tuple[Node, ...] = ()


def zone_classes(snapshot: Snapshot) -> list[str]:
    """The classes of this host's zones, the one that covers most first."""
    found = dict.fromkeys(zone.zone for zone in snapshot.zones)
    return sorted(found, key=lambda name: (ZONE_ORDER.index(name) if name in ZONE_ORDER else 9, name))


def class_watts(snapshot: Snapshot, zone: str, part: str = "watts") -> float | None:
    """The watts of a class, summed over its zones; None where no zone of it is known."""
    known = [value for each in snapshot.zones if each.zone == zone if (value := getattr(each, part)) is not None]
    return math.fsum(known) if known else None


def row_key(level: str, workload: Workload) -> RowKey:
    return (level, *(text for pair in sorted(workload.labels.items()) for text in pair))


def nodes(snapshot: Snapshot, level: str, zone: str, *, is_tree: bool) -> tuple[Node, ...]:
    """The rows of a level: its workloads, what none of them owns, and idle; together the whole zone."""
    found = snapshot.levels.get(level)
    if found is None:
        return ()
    rows = [_leaf(level, workload, zone) for workload in found.workloads]
    residuals = [_leaf(level, workload, zone) for workload in found.residuals]
    if is_tree and level != "process" and "process" in snapshot.levels:
        rows, residuals = _with_processes(level, rows, residuals, snapshot, zone)
    if is_tree and level == "unit":
        rows = list(_in_slices(rows))
    return (*rows, *residuals, *_left(found, zone, snapshot, [*rows, *residuals]), *_idle(snapshot, zone))


def _leaf(level: str, workload: Workload, zone: str) -> Node:
    key = row_key(level, workload)
    reason = workload.labels.get("reason")
    return Node(
        key="\0".join(key),
        name=_name(level, workload.labels) if reason is None else f"({reason})",
        kind=level if reason is None else "residual",
        watts=workload.watts.get(zone),
        joules=workload.joules_total.get(zone),
        cpu_s=workload.cpu_seconds_total,
        labels=workload.labels,
        is_live=workload.state == "running",
        rows=(key,),
    )


def _name(level: str, labels: Mapping[str, str]) -> str:
    if level == "process":
        return f"{labels.get('pid', '')} {labels.get('comm', '')}".strip()
    if level == "container":
        name = labels.get("container_name") or labels.get("container_id", "")[:12]
        return f"{name} ({labels['runtime']})" if labels.get("runtime") else name
    name_of = {"unit": "unit", "pod": "pod_id", "vm": "vm_name", "user": "user"}[level]
    # Of a container's id in a unit's name, as much as its runtime shows.
    return LONG_ID.sub(r"\1", labels.get(name_of) or next(iter(labels.values()), ""))


def _with_processes(
    level: str, rows: list[Node], residuals: list[Node], snapshot: Snapshot, zone: str
) -> tuple[list[Node], list[Node]]:
    """Each row with its processes below it, and a remainder, so that the children are the row's sum."""
    processes = snapshot.levels["process"]
    find = _owners(level, rows, snapshot)
    reasons = {node.labels["reason"]: node.key for node in residuals}
    nobody = reasons.get("ungrouped", "")
    below: dict[str, list[Node]] = defaultdict(list)
    for workload in processes.workloads:
        owner = find(workload.labels)
        # A row outside the daemon's `top` is in `other`, and its processes with it.
        key = nobody if owner is None else owner or reasons.get("other", nobody)
        below[key].append(_leaf("process", workload, zone))
    word = "others" if processes.omitted or _has_other(processes) else "exited"
    return (
        [_parent(row, below.get(row.key, []), word) for row in rows],
        [_parent(row, below.get(row.key, []), word) for row in residuals],
    )


def _has_other(level: Level) -> bool:
    return any(row.labels.get("reason") == "other" and any(row.watts.values()) for row in level.residuals)


def _owners(level: str, rows: Sequence[Node], snapshot: Snapshot) -> Callable[[Mapping[str, str]], str | None]:
    """Who owns a process: the key of its row, "" for a row that is not there, None for nobody."""
    label = {"unit": "unit", "container": "container_id", "pod": "pod_id", "vm": "vm_id", "user": "uid"}[level]
    named: dict[str, list[Node]] = defaultdict(list)
    for row in rows:
        named[row.labels.get(label, "")].append(row)
    containers = snapshot.levels.get("container")
    pods = {
        row.labels.get("container_id"): row.labels.get("pod_id") for row in (containers.workloads if containers else ())
    }

    def find(labels: Mapping[str, str]) -> str | None:
        # A process says its container, and only the container its pod.
        value = pods.get(labels.get("container_id")) if level == "pod" else labels.get(label)
        return _nearest(named.get(value, []), labels.get("uid", "")) if value else None

    return find


def _nearest(candidates: Sequence[Node], uid: str) -> str:
    """Units of several users may have one name: a process is most likely in its own user's."""
    if len(candidates) < 2:
        return candidates[0].key if candidates else ""
    own = [node for node in candidates if node.labels.get("slice", "").split("/")[0] == f"user-{uid}.slice"]
    system = [node for node in candidates if not node.labels.get("slice", "").startswith("user-")]
    return (own or system or candidates)[0].key


def _parent(row: Node, children: Sequence[Node], word: str) -> Node:
    known = [child.watts for child in children if child.watts is not None]
    left_w = None if row.watts is None else row.watts - math.fsum(known)
    if not children or left_w is None or left_w <= EPSILON_W:
        return replace(row, children=tuple(children))
    left_j = None if row.joules is None else row.joules - math.fsum(child.joules or 0.0 for child in children)
    # Joules count since each row began, so only watts need add up; less than nothing is not a number.
    rest = Node(f"{row.key}\0{word}", f"({word})", "residual", left_w, left_j if left_j and left_j > 0 else None)
    return replace(row, children=(*children, rest))


def slices_of(label: str) -> list[str]:
    """The slices from the outside in: systemd's names say where each one lies (`a-b.slice` in `a.slice`)."""
    path: list[str] = []
    for part in label.split("/"):
        stem = part.removesuffix(".slice")
        words = [stem] if part == "-.slice" or not part.endswith(".slice") else stem.split("-")
        path += [f"{'-'.join(words[:count])}.slice" for count in range(1, len(words) + 1)]
    return path if label != "-.slice" else ["-.slice"]


def _in_slices(units: Iterable[Node]) -> tuple[Node, ...]:
    """The units below their slices; a slice that holds nothing but one other slice is not shown."""
    return _level_of_slices([(slices_of(unit.labels.get("slice") or "-.slice"), unit) for unit in units], "")


def _level_of_slices(units: Sequence[tuple[list[str], Node]], prefix: str) -> tuple[Node, ...]:
    inner: dict[str, list[tuple[list[str], Node]]] = defaultdict(list)
    found = [unit for path, unit in units if not path]
    for path, unit in units:
        if path:
            inner[path[0]].append((path[1:], unit))
    for name, members in inner.items():
        key = f"{prefix}/{name}"
        children = _level_of_slices(members, key)
        is_chain = len(children) == 1 and children[0].kind == "slice"
        found.append(_joined(name, children[0]) if is_chain else summed(key, name, "slice", children))
    return tuple(found)


def _joined(outer: str, inner: Node) -> Node:
    """The inner slice in place of both: its name says where it lies, unless a user's manager begins between."""
    is_said = inner.name.startswith(f"{outer.removesuffix('.slice')}-")
    return inner if is_said else replace(inner, name=f"{outer}/{inner.name}")


def summed(key: str, name: str, kind: str, children: Sequence[Node]) -> Node:
    def total(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return math.fsum(known) if known else None

    return Node(
        key=key,
        name=name,
        kind=kind,
        watts=total(child.watts for child in children),
        joules=total(child.joules for child in children),
        cpu_s=total(child.cpu_s for child in children),
        is_live=any(child.is_live for child in children),
        rows=tuple(row for child in children for row in child.rows),
        children=tuple(children),
    )


def _left(level: Level, zone: str, snapshot: Snapshot, rows: Sequence[Node]) -> tuple[Node, ...]:
    """What workloads spend that were left out of the answer."""
    active_w = class_watts(snapshot, zone, "active_watts")
    if not level.omitted or active_w is None:
        return ()
    left_w = active_w - math.fsum(row.watts or 0.0 for row in rows)
    return (Node("omitted", f"({level.omitted} more)", "residual", max(0.0, left_w), None),)


def _idle(snapshot: Snapshot, zone: str) -> tuple[Node, ...]:
    zones = [each for each in snapshot.zones if each.zone == zone]
    watts = class_watts(snapshot, zone, "idle_watts")
    if not zones:
        return ()
    joules = math.fsum(each.idle_joules_total for each in zones)
    return (Node("idle", "(idle)", "residual", watts, joules, rows=(("idle", zone),)),)


def arranged(rows: Iterable[Node], sort: str) -> tuple[Node, ...]:
    """Sorted at every depth, the largest first; by name, residuals last."""

    def rank(node: Node) -> tuple[object, ...]:
        value = {"watts": node.watts, "joules": node.joules, "cpu": node.cpu_s}.get(sort)
        number = 0.0 if sort == "name" else -(value if value is not None else -1.0)
        return (number, node.kind == "residual", node.name)

    ordered = sorted(rows, key=rank)
    if sort == "name":
        ordered.sort(key=lambda node: node.kind == "residual")
    return tuple(replace(node, children=arranged(node.children, sort)) if node.children else node for node in ordered)


def matching(rows: Iterable[Node], text: str) -> tuple[Node, ...]:
    """The rows that say this text, and what is around them; sums stay what they are."""
    wanted = text.casefold()

    def kept(node: Node) -> Node | None:
        if wanted in node.name.casefold() or any(wanted in value.casefold() for value in node.labels.values()):
            return node
        children = tuple(found for child in node.children if (found := kept(child)) is not None)
        return replace(node, children=children) if children else None

    return tuple(found for node in rows if (found := kept(node)) is not None)


class Trend:
    """The watts of the last snapshots, by row and zone class. Rows that drew nothing take no room."""

    def __init__(self, size: int = TREND_MAX) -> None:
        self._samples: deque[dict[RowKey, Mapping[str, float]]] = deque(maxlen=size)

    def add(self, snapshot: Snapshot) -> None:
        sample: dict[RowKey, Mapping[str, float]] = {}
        for name, level in snapshot.levels.items():
            for row in (*level.workloads, *level.residuals):
                if any(row.watts.values()):
                    sample[row_key(name, row)] = row.watts
        for zone in zone_classes(snapshot):
            idle_w = class_watts(snapshot, zone, "idle_watts")
            if idle_w is not None:
                sample["idle", zone] = {zone: idle_w}
        self._samples.append(sample)

    def of(self, node: Node, zone: str) -> list[float | None]:
        """One value for each snapshot; nothing for a remainder, whose rows are unknown."""
        if not node.rows:
            return []
        return [math.fsum(sample.get(row, {}).get(zone, 0.0) for row in node.rows) for sample in self._samples]
