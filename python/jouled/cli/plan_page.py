"""The plan of a day as one page: nothing of it comes from elsewhere, and it needs no script."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from zoneinfo import ZoneInfo

from jouled.balance.steps import period_of
from jouled.wire.plan import PlanOfPower, PlanSlot

# Of the drawings, which are stretched to the page: labels are text beside them, and keep their size.
WIDTH, HEIGHT = 1000, 100
HOURS = 6
STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #5f5f5f; --line: #d8d8d8; --one: #0b6bcb; --two: #b3480b;
  --now: #f1f5fa; --paper: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #eaeaea; --soft: #a9a9a9; --line: #3b3b3b; --one: #6cb6ff;
  --two: #ffa869; --now: #1f2a36; --paper: #161616 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 1.5rem auto;
  max-width: 56rem; padding: 0 1rem }
p, figcaption { color: var(--soft) } figure { margin: 1rem 0 1.5rem }
.plot { position: relative; height: 9rem; margin: .6rem 0 0 4.2rem } .plot svg { width: 100%; height: 100%; display: block }
.y, .x { position: absolute; font-size: .8rem; color: var(--soft); font-variant-numeric: tabular-nums }
.y { right: 100%; margin-right: .4rem; transform: translateY(-50%) }
.x { top: 100%; transform: translateX(-50%) } .x.last { transform: translateX(-100%) }
figure { padding-bottom: 1.4rem }
path { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke } path.one { stroke: var(--one) }
path.two { stroke: var(--two); stroke-dasharray: 5 3 } .key { white-space: nowrap }
.key.one::before, .key.two::before { content: ""; display: inline-block; width: 1.4em; margin-right: .4em;
  vertical-align: middle; border-top: 2px solid var(--one) }
.key.two::before { border-top: 2px dashed var(--two) }
line { stroke: var(--line); vector-effect: non-scaling-stroke } line.zero { stroke: var(--soft) }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
th, td { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top }
td.n, th.n { text-align: right; white-space: nowrap } th[scope=row] { font-weight: normal; white-space: nowrap }
tr.now { background: var(--now) }
"""


def page(plan: PlanOfPower, title: str, now: datetime) -> str:
    money = f"{plan.currency or ''}/MWh"
    slots = plan.slots
    has_tariff = any(slot.tariff != slot.price for slot in slots)
    prices = [("Market", [_float(slot.price) for slot in slots])]
    prices += [("Paid, with charges and tax", [_float(slot.tariff) for slot in slots])] if has_tariff else []
    plots = _plot(f"Price, {money}", prices, plan)
    plots += _plot("Carbon intensity, g/kWh", [("", [_float(slot.carbon_g_per_kwh) for slot in slots])], plan)
    plots += _plot("Budget, W; where there is no line there is no limit", [("", [slot.watts for slot in slots])], plan)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>{STYLE}</style></head><body><main>
<h1>{escape(title)}</h1>
<p>{escape(summary(plan))}</p>
{plots}
<h2>Slots</h2>
<div class="scroll"><table><thead><tr><th scope="col">Time, {escape(plan.timezone)}</th>
<th scope="col" class="n">Price, {escape(money)}</th><th scope="col" class="n">Paid, {escape(money)}</th>
<th scope="col" class="n">g/kWh</th><th scope="col" class="n">Budget, W</th><th scope="col">Reason</th></tr></thead>
<tbody>{"".join(_row(slot, plan.timezone, now) for slot in slots)}</tbody></table></div>
</main></body></html>
"""


def summary(plan: PlanOfPower) -> str:
    """What the plan is made of, in one sentence."""
    if not plan.strategies:
        return "No strategy is set: nothing follows the market."
    bounds = "" if plan.max_watts is None else f", from {plan.min_watts:g} W to {plan.max_watts:g} W"
    state = "It is in force." if plan.is_in_force else "It is not in force: it shows what would hold."
    problem = f" {plan.problem[:1].upper()}{plan.problem[1:]}." if plan.problem else ""
    return f"By {', '.join(plan.strategies)}{bounds}. {state}{problem}"


def label_of(slot: PlanSlot, timezone: str) -> str:
    """`02:45-03:00 +01:00`: in the night of 25 hours two slots have one time, and two offsets."""
    offset = f"{slot.start.astimezone(ZoneInfo(timezone)):%z}"
    return f"{period_of(slot.start, slot.end, timezone)} {offset[:3]}:{offset[3:5]}"


def _row(slot: PlanSlot, timezone: str, now: datetime) -> str:
    numbers = (slot.price, slot.tariff, slot.carbon_g_per_kwh, slot.watts)
    cells = "".join(f'<td class="n">{_number(_float(number))}</td>' for number in numbers)
    mark = ' class="now"' if slot.start <= now < slot.end else ""
    return f'<tr{mark}><th scope="row">{label_of(slot, timezone)}</th>{cells}<td>{escape(slot.reason)}</td></tr>'


def _plot(title: str, curves: Sequence[tuple[str, Sequence[float | None]]], plan: PlanOfPower) -> str:
    known = [value for _, values in curves for value in values if value is not None]
    if not known:
        return ""
    low, high = min(0.0, *known), max(0.0, *known)
    high = high if high > low else low + 1
    caption = f"{title}: from {min(known):,.1f} to {max(known):,.1f}"
    marks = dict.fromkeys((low, 0.0, high))
    lines = "".join(_line(value, low, high) for value in marks)
    names = ("one", "two")
    paths = "".join(
        f'<path class="{name}" d="{_path(plan.slots, values, low, high)}"/>'
        for name, (_, values) in zip(names, curves, strict=False)
    )
    labels = "".join(f'<span class="y" style="top:{_y(value, low, high):.1f}%">{value:,.4g}</span>' for value in marks)
    keys = " ".join(
        f'<span class="key {name}">{escape(words)}</span>'
        for name, (words, _) in zip(names, curves, strict=False)
        if words and len(curves) > 1
    )
    return (
        f'<figure><figcaption>{escape(caption)} {keys}</figcaption><div class="plot">'
        f'<svg role="img" aria-label="{escape(caption)}" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">'
        f"{lines}{paths}</svg>{labels}{_times(plan)}</div></figure>"
    )


def _line(value: float, low: float, high: float) -> str:
    y = f"{_y(value, low, high):.2f}"
    kind = "zero" if value == 0 else "edge"
    return f'<line class="{kind}" x1="0" x2="{WIDTH}" y1="{y}" y2="{y}"/>'


def _times(plan: PlanOfPower) -> str:
    """Each sixth hour of the local day."""
    start, end = plan.slots[0].start, plan.slots[-1].end
    zone = ZoneInfo(plan.timezone)
    seen: dict[str, float] = {}
    for slot in plan.slots:
        local = slot.start.astimezone(zone)
        if local.hour % HOURS == 0 and local.minute == 0:
            seen.setdefault(f"{local:%H:%M}", _x(slot.start, start, end))
    seen["24:00" if end.astimezone(zone).hour == 0 else f"{end.astimezone(zone):%H:%M}"] = WIDTH
    return "".join(_time(label, x) for label, x in seen.items())


def _time(label: str, x: float) -> str:
    kind = "x last" if x == WIDTH else "x"
    return f'<span class="{kind}" style="left:{x / WIDTH * 100:.2f}%">{label}</span>'


def _path(slots: Sequence[PlanSlot], values: Sequence[float | None], low: float, high: float) -> str:
    """Steps, broken where nothing is known: a line through there would claim that something was."""
    start, end = slots[0].start, slots[-1].end
    parts: list[str] = []
    is_open = False
    for slot, value in zip(slots, values, strict=True):
        if value is None:
            is_open = False
            continue
        y = _y(value, low, high)
        parts.append(f"V{y:.2f}" if is_open else f"M{_x(slot.start, start, end):.2f} {y:.2f}")
        parts.append(f"H{_x(slot.end, start, end):.2f}")
        is_open = True
    return "".join(parts)


def _x(at: datetime, start: datetime, end: datetime) -> float:
    return WIDTH * ((at - start) / (end - start))


def _y(value: float, low: float, high: float) -> float:
    return HEIGHT * (1 - (value - low) / (high - low))


def _float(value: object) -> float | None:
    return None if value is None else float(str(value))


def _number(value: float | None) -> str:
    return "&ndash;" if value is None else f"{value:,.2f}"
