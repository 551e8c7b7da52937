"""What became of a day, by what is true in the farm, and not by what the daemon says of itself."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from statistics import median
from typing import NamedTuple, TypeAlias

from daemons import Held, eventually
from days import Day
from jouled.balance.fleet.words import OFF
from miners.vnish_fake import VnishFake
from witnesses import Change, target, target_w

# From the wall's time of a decision until its miner has done it: it may wait for others, and for its turn.
DOING_S = 45.0
# A poll, a cycle and the start of an exchange that were under way while the feed began to lie, or the plant to trip.
UNDER_WAY_S = 2.0
# So many connections more or less are open at one moment: a leak of one for each poll would be thousands.
# What a process may hold more in the second half of its life than in the first one.
MEMORY_GROWTH, MEMORY_KB, DESCRIPTORS = 1.05, 6_000, 32
# A life that was looked at less often is all beginning.
LIFE_LOOKS = 120
BOOKS_BYTES = 64 * 1024 * 1024
# Words that no log of a day may have.
BAD_WORDS = ("traceback", "unhandled", "defect", "exceptiongroup", "its driver failed", "never awaited")


class Decision(NamedTuple):
    """As the books have it. Times by the wall's clock."""

    load: str
    point: str | None
    at_s: float
    ended_at_s: float | None
    kind: str
    status: str
    error: str | None


class Promise(NamedTuple):
    """`found` is what was seen, in words; `problems` are what breaks it."""

    name: str
    found: str
    problems: tuple[str, ...] = ()

    @property
    def is_kept(self) -> bool:
        return not self.problems


Explained: TypeAlias = list[tuple[Change, Decision | None]]


def promises(day: Day, *, over_s: float | None = None) -> list[Promise]:
    """Of a day that is over, and whose daemon has ended. `over_s` is how long it may be above the supply at one time,
    in seconds of the wall, while a daemon looks after it.
    """
    decisions = decided(day)
    explained = _explanations(day, decisions)
    return [
        _above(day, over_s),
        _no_raise_on_lies(day, explained),
        _no_raise_above_the_truth(day, explained),
        _explained(day, explained),
        _users(day),
        _done(day, decisions),
        _defined(day),
        _quiet(day),
        _flat(day.controller.held),
        _books(day),
    ]


def decided(day: Day) -> list[Decision]:
    with closing(sqlite3.connect(day.books)) as books:
        rows = books.execute(
            "SELECT load, new_point, at, ended_at, kind, status, error FROM balance_decisions ORDER BY seq"
        ).fetchall()
    return [
        Decision(load, point, at / 1e6, None if ended is None else ended / 1e6, *rest)
        for load, point, at, ended, *rest in rows
    ]


def eventually_agrees(day: Day) -> None:
    """What the daemon says of each miner is so; it may look some times first."""

    def differences() -> list[str]:
        loads = day.controller.get("/api/v1/loads?limit=1000")["items"]
        said = {one["id"]: (one["state"] == "running", one["point"]) for one in loads}
        return [f"{mac}: {said.get(mac)}, truly {true}" for mac, true in _true(day).items() if said.get(mac) != true]

    eventually(lambda: not differences(), f"what the daemon says is true: {differences()[:3]}")


def _true(day: Day) -> dict[str, tuple[bool, str]]:
    """By MAC: whether it runs, and its point; of those that answer and do nothing else."""
    found: dict[str, tuple[bool, str]] = {}
    with day.farm.lock:
        for device in day.farm.devices:
            device.advance()
            if device.faults.is_gone or device.faults.hangs or device.mode not in {"running", "stopped"}:
                continue
            is_running = device.mode == "running"
            found[device.mac] = is_running, device.preset if is_running else OFF
    return found


def _above(day: Day, most_s: float | None) -> Promise:
    watched_s, alone_s = day.witness.over_s(is_watched=True), day.witness.over_s(is_watched=False)
    longest_s = day.witness.longest_over_s()
    found = (
        f"{watched_s * day.scale / 60:.1f} min of the day ({watched_s:.1f} s of the wall, {longest_s:.1f} s at one"
        f" time), and {alone_s * day.scale / 60:.1f} min while no daemon ran"
    )
    is_long = most_s is not None and longest_s > most_s
    return Promise("above the supply", found, (f"more than {most_s:g} s at one time",) if is_long else ())


def _explanations(day: Day, decisions: Sequence[Decision]) -> list[tuple[Change, Decision | None]]:
    """To each change the latest decision that wanted it, which explains no other one."""
    left: dict[tuple[str, str | None], list[Decision]] = {}
    for decision in decisions:
        left.setdefault((decision.load, decision.point), []).append(decision)
    found: list[tuple[Change, Decision | None]] = []
    for change in day.changes:
        wanted = left.get((change.mac, change.after), [])
        # The books round times down to microseconds.
        fitting = [one for one in wanted if change.at_s - DOING_S <= one.at_s <= change.at_s + 0.001]
        own = fitting[-1] if fitting else None
        if own is not None:
            wanted.remove(own)
        found.append((change, own))
    return found


def _no_raise_on_lies(day: Day, explained: Explained) -> Promise:
    """By when it was decided: the order may have been on its way."""
    raises = [
        f"{lie.name}: {_words(change)}"
        for lie in day.told
        for change, decision in explained
        if change.is_raise
        and decision is not None
        and lie.from_s + UNDER_WAY_S < decision.at_s <= min(lie.to_s, change.at_s)
    ]
    names = ", ".join(lie.name for lie in day.told) or "none"
    return Promise("no raise on a lie", f"{len(raises)} raises under {len(day.told)} lies ({names})", tuple(raises))


def _no_raise_above_the_truth(day: Day, explained: Explained) -> Promise:
    """All that is set together is within what there was when it was decided."""
    raises = [(change, decision) for change, decision in explained if change.is_raise]
    wrong = []
    for change, decision in raises:
        decided_s = change.at_s if decision is None else decision.at_s
        supply_w = day.witness.supply_around_w(decided_s - day.stale_s - UNDER_WAY_S, change.at_s)
        if change.together_w > supply_w:
            wrong.append(f"{_words(change)}: {change.together_w:.0f} W of {supply_w:.0f} W")
    return Promise("no raise above the true supply", f"{len(wrong)} of {len(raises)} raises", tuple(wrong))


def _explained(day: Day, explained: Explained) -> Promise:
    wrong = tuple(_words(change) for change, decision in explained if decision is None)
    return Promise(
        "each change has its decision",
        f"{len(explained) - len(wrong)} of {len(explained)}, and {day.witness.orders} requests in all",
        wrong,
    )


def _users(day: Day) -> Promise:
    """What a user has paused stays so until he starts it again."""
    wrong = tuple(
        _words(change)
        for pause in day.paused
        for change in day.changes
        if change.mac == pause.name and change.after != OFF and pause.from_s < change.at_s <= pause.to_s
    )
    return Promise("users' pauses are left alone", f"{len(day.paused)} pauses", wrong)


def _done(day: Day, decisions: Sequence[Decision]) -> Promise:
    """What the books call completed was true at the miner when they did."""
    macs = {device.mac: device for device in day.farm.devices}
    history: dict[str, list[tuple[float, str]]] = {}
    for change in day.changes:
        history.setdefault(change.mac, [(0.0, change.before)]).append((change.at_s, change.after))
    wrong, completed = [], 0
    for decision in decisions:
        if decision.load not in macs or decision.status != "completed" or decision.ended_at_s is None:
            continue
        completed += 1
        known = history.get(decision.load, [(0.0, target(macs[decision.load]))])
        # Whatever it was at between the decision and its end.
        began = [point for at_s, point in known if at_s <= decision.at_s][-1:]
        points = {*began, *(point for at_s, point in known if decision.at_s <= at_s <= decision.ended_at_s)}
        if decision.point not in points:
            wrong.append(f"{decision.load} to {decision.point}: it was {sorted(points)}")
    counted = Counter(decision.status for decision in decisions)
    words = ", ".join(f"{number} {status}" for status, number in sorted(counted.items()))
    return Promise("what is completed was done", f"{completed} of the farm; decisions: {words}", tuple(wrong))


def _defined(day: Day) -> Promise:
    """At the end each miner runs at a preset that it may have, or is off."""
    wrong, modes = [], Counter[str]()
    with day.farm.lock:
        for device in day.farm.devices:
            device.advance()
            modes[device.mode] += 1
            most_w = 3750 if isinstance(device, VnishFake) else 3500
            is_running = device.mode in {"running", "starting"} and device.preset in device.curve
            if not (is_running or device.mode in {"stopped", "stopping"}):
                wrong.append(f"{device.mac} is {device.mode} at {device.preset}")
            elif is_running and target_w(device) > most_w * 1.05:
                wrong.append(f"{device.mac} runs at {device.preset}")
    cap_w = sum(day.host.limit(socket) for socket in range(len(day.host.zones))) / 1e6
    words = ", ".join(f"{number} {mode}" for mode, number in sorted(modes.items()))
    return Promise("each load in a defined state", f"{words}; the node at {cap_w:.0f} W", tuple(wrong))


def _quiet(day: Day) -> Promise:
    wrong = []
    lines = 0
    for daemon in (day.controller, day.node):
        for line in daemon.log.read_text(errors="replace").splitlines():
            lines += 1
            if any(word in line.lower() for word in BAD_WORDS):
                wrong.append(line[:300])
    return Promise("nothing unhandled in the log", f"{lines} lines", tuple(wrong))


def _flat(lives: Iterable[Sequence[Held]]) -> Promise:
    """The second half of a life against the first one, without its beginning, as long as it was long enough."""
    found, wrong = [], []
    for held in lives:
        if len(held) < LIFE_LOOKS:
            continue
        half = len(held) // 2
        first, second = held[half // 2 : half], held[half:]
        memory = [median(one.memory_kb for one in part) for part in (first, second)]
        files = [median(one.descriptors for one in part) for part in (first, second)]
        cpu = (second[-1].cpu_s - first[0].cpu_s) / (second[-1].at_s - first[0].at_s)
        words = (
            f"{memory[0] / 1024:.1f} to {memory[1] / 1024:.1f} MB, {files[0]:.0f} to {files[1]:.0f} descriptors,"
            f" {second[-1].threads} threads, {cpu:.0%} of a processor"
        )
        found.append(words)
        is_more = memory[1] > memory[0] * MEMORY_GROWTH + MEMORY_KB or files[1] > files[0] + DESCRIPTORS
        wrong += [words] if is_more else []
    return Promise("memory and descriptors are flat", "; ".join(found) or "too short to tell", tuple(wrong))


def _books(day: Day) -> Promise:
    size = sum(path.stat().st_size for path in day.books.parent.glob(f"{day.books.name}*"))
    with closing(sqlite3.connect(day.books)) as books:
        rows = {
            name: books.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for name in ("balance_decisions", "balance_minutes", "plant_readings", "miner_statuses")
        }
        is_sound = books.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        open_left = books.execute("SELECT count(*) FROM balance_decisions WHERE status = 'executing'").fetchone()[0]
    wrong = [] if is_sound else ["they are damaged"]
    wrong += [f"{size} bytes"] if size > BOOKS_BYTES else []
    wrong += [f"{open_left} decisions without an end"] if open_left else []
    words = ", ".join(f"{number} {name}" for name, number in rows.items())
    return Promise("the books are sound and small", f"{size / 2**20:.1f} MiB: {words}", tuple(wrong))


def _words(change: Change) -> str:
    at = datetime.fromtimestamp(change.at_s, UTC).strftime("%H:%M:%S.%f")[:-3]
    return f"{at} {change.mac} from {change.before} to {change.after}"
