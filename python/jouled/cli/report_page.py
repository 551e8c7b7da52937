"""A device's report as one page: nothing of it comes from elsewhere, and it needs no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from jouled.wire.devices import DeviceReport, History, HistoryEntry, MeterReport

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 200, 56, 24
STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #6a6a6a; --line: #d8d8d8; --curve: #0b6bcb; --paper: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eaeaea; --soft: #a2a2a2; --line: #3b3b3b; --curve: #6cb6ff; --paper: #161616 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 56rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line) }
td.n, th.n { text-align: right }
p, figcaption { color: var(--soft) } figure { margin: 1rem 0 2rem } svg { width: 100%; height: auto }
svg path { fill: none; stroke: var(--curve); stroke-width: 1.5 } svg line { stroke: var(--line) }
svg text { fill: var(--soft); font-size: 11px }
"""


def page(report: DeviceReport, histories: Sequence[History]) -> str:
    title = f"Power of {escape(report.device_id)}"
    names = {meter.meter_id: str(meter.name or meter.meter_id) for meter in report.meters}
    curves = "".join(_curves(names[history.meter_id], history) for history in histories)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>{STYLE}</style></head><body><main>
<h1>{title}</h1>
<p>{report.period_days} days, from {_time(report.period_start)} to {_time(report.generated_at)}. Energy is that of the
time that was metered; coverage says how much of the period that is.</p>
<h2>Meters</h2>
<table><thead><tr><th scope="col">Meter</th><th scope="col">Type</th><th scope="col">State</th>
<th scope="col" class="n">Mean, W</th><th scope="col" class="n">Most, W</th><th scope="col" class="n">Energy, Wh</th>
<th scope="col" class="n">Returned, Wh</th><th scope="col" class="n">Least charge, %</th>
<th scope="col" class="n">Coverage, %</th><th scope="col" class="n">Readings</th></tr></thead>
<tbody>{"".join(_row(meter) for meter in report.meters)}</tbody></table>
{curves}
<h2>Events</h2>
{_events(report)}
</main></body></html>
"""


def _row(meter: MeterReport) -> str:
    """A meter that said nothing has no numbers, which is not 0."""
    coverage = meter.coverage_ratio
    numbers = (
        meter.avg_wattage,
        meter.max_wattage,
        meter.energy_wh,
        meter.returned_wh,
        meter.min_charge_pct,
        coverage * 100 if isinstance(coverage, float) else None,
    )
    cells = "".join(f'<td class="n">{_number(number)}</td>' for number in numbers)
    state = escape(str(meter.current_state or "unknown"))
    return (
        f'<tr><th scope="row">{escape(str(meter.name or meter.meter_id))}</th><td>{escape(meter.kind)}</td>'
        f'<td>{state}</td>{cells}<td class="n">{meter.reading_count}</td></tr>'
    )


def _number(value: object) -> str:
    return f"{value:,.1f}" if isinstance(value, int | float) else "&ndash;"


def _events(report: DeviceReport) -> str:
    if not report.events:
        return "<p>Nothing happened.</p>"
    rows = "".join(
        f"<tr><td>{_time(event.timestamp)}</td><td>{escape(event.type)}</td><td>{escape(event.severity)}</td>"
        f"<td>{escape(event.note)}</td></tr>"
        for event in report.events
    )
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("Time, UTC", "Event", "Severity", "Note"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _curves(name: str, history: History) -> str:
    """Power, and charge where there is one."""
    plots = [_plot(f"Power of {name}", "W", history, [entry.wattage for entry in history.readings], None)]
    charges = [entry.charge_pct for entry in history.readings]
    if any(charge is not None for charge in charges):
        plots.append(_plot(f"Charge of {name}", "%", history, charges, (0.0, 100.0)))
    return "".join(plots)


def _plot(
    title: str, unit: str, history: History, values: Sequence[float | None], scale: tuple[float, float] | None
) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = scale or (min(0.0, *known), max(0.0, *known))
    high = high if high > low else low + 1
    caption = f"{title}: from {min(known):,.1f} to {max(known):,.1f} {unit}"
    path = _path(history, values, low, high)
    marks = "".join(_mark(value, low, high) for value in dict.fromkeys((low, (low + high) / 2, high)))
    ends = (
        f'<text x="{LEFT}" y="{HEIGHT + BOTTOM - 6}">{_time(history.start_time)}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + BOTTOM - 6}" text-anchor="end">{_time(history.end_time)}</text>'
    )
    return (
        f'<figure><svg role="img" aria-label="{escape(caption)}" viewBox="0 0 {WIDTH} {HEIGHT + BOTTOM}">'
        f'{marks}{ends}<path d="{path}"/></svg><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _mark(value: float, low: float, high: float) -> str:
    y = _height(value, low, high)
    return (
        f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,.4g}</text>'
    )


def _height(value: float, low: float, high: float) -> float:
    return 6 + (HEIGHT - 12) * (1 - (value - low) / (high - low))


def _path(history: History, values: Iterable[float | None], low: float, high: float) -> str:
    """Broken where nothing was metered: a line through there would claim that something was."""
    start = history.start_time
    span_s = max(1.0, (history.end_time - start).total_seconds())
    parts: list[str] = []
    before: HistoryEntry | None = None
    for entry, value in zip(history.readings, values, strict=True):
        if value is None:
            before = None
            continue
        x = LEFT + (WIDTH - LEFT) * max(0.0, (entry.timestamp - start).total_seconds()) / span_s
        is_next = before is not None and _follows(before, entry)
        y = _height(value, low, high)
        parts.append(f"{'L' if is_next else 'M'}{x:.1f} {y:.1f}" + ("" if is_next else "h1"))
        before = entry
    return "".join(parts)


def _follows(before: HistoryEntry, entry: HistoryEntry) -> bool:
    return (entry.timestamp - before.timestamp).total_seconds() <= max(300, before.resolution_seconds)


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
