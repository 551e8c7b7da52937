"""A comparison as one page: nothing of it comes from elsewhere, and it needs no script."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from html import escape

from jouled.simulation.outcome import SHOWN_CHANGES_MAX, Change, Outcome, Run
from jouled.simulation.plots import plots
from jouled.simulation.scenario import Scenario
from jouled.simulation.shown import COLUMNS, Column

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #5f5f5f; --line: #d8d8d8; --supply: #0b6bcb;
  --target: #6f7b87; --load: #b3480b; --over: #d0021b; --shed: #b3480b; --paper: #fff; --chosen: #e8f0f8 }
@media (prefers-color-scheme: dark) { :root { --ink: #eaeaea; --soft: #a9a9a9; --line: #3b3b3b; --supply: #6cb6ff;
  --target: #93a1ad; --load: #ffa869; --over: #ff6b6b; --shed: #ffa869; --paper: #161616; --chosen: #1f2a36 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 1.5rem auto;
  max-width: 72rem; padding: 0 1rem }
p, figcaption { color: var(--soft) } figure { margin: 1rem 0 1.5rem; padding-bottom: 1.4rem }
.plot { position: relative; height: 15rem; margin: .6rem 0 0 4.2rem } .plot.low { height: 6rem }
.plot svg { width: 100%; height: 100%; display: block }
.y, .x { position: absolute; font-size: .8rem; color: var(--soft); font-variant-numeric: tabular-nums; white-space: nowrap }
.y { right: 100%; margin-right: .4rem; transform: translateY(-50%) }
.x { top: 100%; transform: translateX(-50%) } .x.last { transform: translateX(-100%) } .x.first { transform: none }
path { fill: none; stroke-width: 1.5; vector-effect: non-scaling-stroke }
path.supply { stroke: var(--supply) } path.target { stroke: var(--target); stroke-dasharray: 5 3 }
path.load { stroke: var(--load); stroke-width: 2 } rect.over { fill: var(--over); opacity: .55 }
path.bars { fill: var(--supply); stroke: none } path.shed { fill: var(--shed); stroke: none }
.key { white-space: nowrap; margin-left: .8em } .key::before { content: ""; display: inline-block; width: 1.4em;
  margin-right: .4em; vertical-align: middle; border-top: 2px solid currentColor }
.key.supply::before { border-color: var(--supply) } .key.load::before { border-color: var(--load) }
.key.target::before { border-top: 2px dashed var(--target) }
.key.over::before { border-top: .8em solid var(--over); opacity: .55 }
line { stroke: var(--line); vector-effect: non-scaling-stroke }
.scroll { overflow-x: auto; max-height: 28rem } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .85rem }
th, td { text-align: left; padding: .25rem .4rem; border-bottom: 1px solid var(--line); vertical-align: top }
td.n, th.n { text-align: right } td.n { white-space: nowrap } th[scope=row] { font-weight: normal; white-space: nowrap }
thead th { vertical-align: bottom } h2 { margin-top: 2.2rem }
.choice { position: absolute; opacity: 0 } .choices { margin: 1rem 0; display: flex; flex-wrap: wrap; gap: .4rem }
.choices label { border: 1px solid var(--line); border-radius: 1rem; padding: .1rem .8rem; cursor: pointer }
summary { cursor: pointer; color: var(--soft) }
"""


def page(scenario: Scenario, runs: Sequence[Run]) -> str:
    """Raises nothing: what is not known has no number."""
    loads = sum(group.count for group in scenario.fleet)
    about = scenario.about or "A site."
    count = len(runs)
    inputs = "".join(
        f'<input class="choice" type="radio" name="shown" id="s{index}"{" checked" if index == count else ""}>'
        for index in range(count + 1)
    )
    labels = "".join(f'<label for="s{index}">{escape(run.outcome.title)}</label>' for index, run in enumerate(runs))
    sections = "".join(_section(index, run, scenario) for index, run in enumerate(runs))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Simulated: {escape(about)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>{STYLE}{_choosing(count)}</style></head><body>
{inputs}
<main>
<h1>Simulated power of a site</h1>
<p>{escape(about)} {scenario.hours:g} hours from {scenario.start:%Y-%m-%d %H:%M %Z}, {loads} loads, seed
{scenario.seed}. A percentage beside a name is what was held back of the supply.</p>
{_table([run.outcome for run in runs])}
<div class="choices" role="group" aria-label="Which strategies are drawn"><label for="s{count}">all</label>{labels}</div>
{sections}
</main></body></html>
"""


def _choosing(count: int) -> str:
    """One or all: the radio buttons before the page decide which sections are there."""
    rules = []
    for index in range(count + 1):
        rules.append(
            f'#s{index}:checked ~ main label[for="s{index}"]{{background:var(--chosen);border-color:var(--supply)}}'
            f'#s{index}:focus-visible ~ main label[for="s{index}"]{{outline:2px solid var(--supply)}}'
        )
        if index < count:
            rules.append(f"#s{index}:checked ~ main section:not(.r{index}){{display:none}}")
    return "".join(rules)


def _table(outcomes: Sequence[Outcome]) -> str:
    columns = [column for column in COLUMNS if any(column.text(one) != "-" for one in outcomes)]
    heads = "".join(f'<th scope="col" class="n">{escape(column.long)}</th>' for column in columns)
    rows = "".join(_row(one, columns) for one in outcomes)
    return (
        f'<div class="scroll"><table><thead><tr><th scope="col">Strategy</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(outcome: Outcome, columns: Sequence[Column]) -> str:
    cells = "".join(f'<td class="n">{escape(column.text(outcome))}</td>' for column in columns)
    return f'<tr><th scope="row">{escape(outcome.title)}</th>{cells}</tr>'


def _section(index: int, run: Run, scenario: Scenario) -> str:
    outcome = run.outcome
    return (
        f'<section class="r{index}"><h2>{escape(outcome.title)}</h2>'
        f"{plots(run.minutes, scenario.start)}{_shed(outcome)}{_changes(run.changes, scenario)}</section>"
    )


def _shed(outcome: Outcome) -> str:
    if not outcome.changes_by_reason:
        return "<p>Nothing was changed.</p>"
    rows = "".join(
        f'<tr><th scope="row">{escape(reason)}</th><td class="n">{count:,}</td>'
        f'<td class="n">{outcome.shed_kw.get(reason, 0.0):,.1f}</td></tr>'
        for reason, count in outcome.changes_by_reason.items()
    )
    return (
        '<table><thead><tr><th scope="col">Why</th><th scope="col" class="n">Changes</th>'
        f'<th scope="col" class="n">Shed by them, kW in all</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _changes(changes: Sequence[Change], scenario: Scenario) -> str:
    if not changes:
        return ""
    shown = _picked(changes)
    left = len(changes) - len(shown)
    more = f" The {left:,} smallest of {len(changes):,} are left out." if left else ""
    rows = "".join(_change(change, scenario) for change in shown)
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("Time", "Load", "From", "To", "Why", "What came of it"))
    return (
        f"<details><summary>Each change.{more}</summary>"
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>'
    )


def _picked(changes: Sequence[Change]) -> list[Change]:
    """The largest, in the order of time."""
    largest = sorted(changes, key=lambda change: -abs(change.after_w - change.before_w))[:SHOWN_CHANGES_MAX]
    return sorted(largest, key=lambda change: (change.at_s, change.load))


def _change(change: Change, scenario: Scenario) -> str:
    at = scenario.start + timedelta(seconds=change.at_s)
    came = "taken" if change.problem is None else change.problem
    return (
        f"<tr><td>{at:%d %H:%M:%S}</td><td>{escape(change.load)}</td><td>{escape(change.before)}</td>"
        f"<td>{escape(change.after)}</td><td>{escape(change.reason)}</td><td>{escape(came)}</td></tr>"
    )
