"""The drawings of a simulated day: supply, target and load; changes; what was shed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from jouled.simulation.outcome import Minute

# Of the drawings, which are stretched to the page: labels are text beside them, and keep their size.
WIDTH, HEIGHT = 1000, 100
# More points than a screen has pixels are only weight.
POINTS_MAX = 1440
BARS = 144
MARKS_MAX = 9
EVERY_H = (1, 2, 3, 6, 12, 24, 48, 96, 192)


def plots(minutes: Sequence[Minute], start: datetime) -> str:
    if not minutes:
        return "<p>It was shorter than a minute: there is nothing to draw.</p>"
    times = _times(len(minutes), start)
    drawn = bucketed(minutes, POINTS_MAX)
    return _powers(drawn, times) + _bars(minutes, times)


def bucketed(minutes: Sequence[Minute], most: int) -> list[Minute]:
    """At most so many: the least supply and the highest load of each, so that no peak is lost."""
    size = -(-len(minutes) // most)
    if size == 1:
        return list(minutes)
    return [_one(minutes[at : at + size]) for at in range(0, len(minutes), size)]


def _one(some: Sequence[Minute]) -> Minute:
    targets = [minute.target_w for minute in some if minute.target_w is not None]
    return Minute(
        min(minute.supply_w for minute in some),
        sum(targets) / len(targets) if targets else None,
        max(minute.load_w for minute in some),
        sum(minute.changes for minute in some),
        sum(minute.shed_w for minute in some),
    )


def _powers(drawn: Sequence[Minute], times: str) -> str:
    targets = [minute.target_w for minute in drawn]
    values = [minute.supply_w for minute in drawn] + [minute.load_w for minute in drawn]
    values += [target for target in targets if target is not None]
    high = max(1.0, *values)
    caption = f"Power, kW: load up to {max(minute.load_w for minute in drawn) / 1000:,.1f}"
    over = "".join(
        _over(at, minute, len(drawn), high) for at, minute in enumerate(drawn) if minute.load_w > minute.supply_w + 0.5
    )
    lines = "".join(_line(high * part, high) for part in (0.0, 0.5, 1.0))
    paths = "".join(
        f'<path class="{name}" d="{_path(curve, high)}"/>'
        for name, curve in (
            ("supply", [minute.supply_w for minute in drawn]),
            ("target", targets),
            ("load", [minute.load_w for minute in drawn]),
        )
    )
    keys = "".join(
        f'<span class="key {name}">{words}</span>'
        for name, words in (
            ("supply", "supply"), ("target", "target"), ("load", "load"), ("over", "load above the supply")
        )
    )  # fmt: skip
    labels = "".join(_label(high * part / 1000, part) for part in (0.0, 0.5, 1.0))
    return _figure(caption, keys, "plot", over + lines + paths, labels + times)


def _bars(minutes: Sequence[Minute], times: str) -> str:
    drawn = bucketed(minutes, BARS)
    size = -(-len(minutes) // BARS)
    span = f"in {size} minutes" if size > 1 else "in a minute"
    text = ""
    for name, words, values, digits in (
        ("bars", f"Changes {span}", [float(minute.changes) for minute in drawn], 0),
        ("shed", f"Shed {span}, kW", [minute.shed_w / 1000 for minute in drawn], 1),
    ):
        high = max(1.0, *values)
        caption = f"{words}: up to {max(values):,.{digits}f}"
        path = "".join(
            f"M{_x(at, len(drawn)):.2f} {HEIGHT}V{HEIGHT * (1 - value / high):.2f}"
            f"H{_x(at + 1, len(drawn)):.2f}V{HEIGHT}Z"
            for at, value in enumerate(values)
            if value > 0
        )
        labels = _label(0.0, 0.0) + _label(high, 1.0)
        text += _figure(caption, "", "plot low", _line(0.0, 1.0) + f'<path class="{name}" d="{path}"/>', labels + times)
    return text


def _figure(caption: str, keys: str, kind: str, drawing: str, labels: str) -> str:
    return (
        f'<figure><figcaption>{caption}{keys}</figcaption><div class="{kind}">'
        f'<svg role="img" aria-label="{caption}" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">'
        f"{drawing}</svg>{labels}</div></figure>"
    )


def _over(at: int, minute: Minute, count: int, high: float) -> str:
    """At least as wide as can be seen."""
    top, bottom = HEIGHT * (1 - minute.load_w / high), HEIGHT * (1 - max(0.0, minute.supply_w) / high)
    width = max(2.0, WIDTH / count)
    return f'<rect class="over" x="{_x(at, count):.2f}" y="{top:.2f}" width="{width:.2f}" height="{bottom - top:.2f}"/>'


def _path(values: Sequence[float | None], high: float) -> str:
    """Steps, broken where nothing is known: a line through there would claim that something was."""
    parts: list[str] = []
    is_open = False
    for at, value in enumerate(values):
        if value is None:
            is_open = False
            continue
        y = HEIGHT * (1 - max(0.0, value) / high)
        parts.append(f"V{y:.2f}" if is_open else f"M{_x(at, len(values)):.1f} {y:.2f}")
        parts.append(f"H{_x(at + 1, len(values)):.1f}")
        is_open = True
    return "".join(parts)


def _x(at: int, count: int) -> float:
    return WIDTH * at / count


def _line(value: float, high: float) -> str:
    y = f"{HEIGHT * (1 - value / high):.2f}"
    return f'<line x1="0" x2="{WIDTH}" y1="{y}" y2="{y}"/>'


def _label(value: float, part: float) -> str:
    return f'<span class="y" style="top:{100 * (1 - part):.0f}%">{value:,.4g}</span>'


def _times(count: int, start: datetime) -> str:
    """Clock times, as many as have room; with the day where there are several."""
    hours = count / 60
    every = next((each for each in EVERY_H if hours / each <= MARKS_MAX), EVERY_H[-1])
    words = []
    for hour in range(0, int(hours) + 1, every):
        at = start + timedelta(hours=hour)
        left = 100 * hour / hours
        kind = "x first" if hour == 0 else "x last" if left > 97 else "x"
        words.append(
            f'<span class="{kind}" style="left:{left:.2f}%">{at:{"%H:%M" if hours <= 36 else "%d %H:%M"}}</span>'
        )
    return "".join(words)
