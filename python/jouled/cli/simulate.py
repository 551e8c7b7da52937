"""`joulectl simulate`: the balancer's own rules against a site that is not there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from jouled.cli.joulectl import Options
from jouled.errors import JouledError

if TYPE_CHECKING:  # help must not wait for what simulating needs
    from collections.abc import Sequence

    from jouled.cli.look import Look
    from jouled.simulation.outcome import Outcome, Run
    from jouled.simulation.scenario import Scenario
    from jouled.simulation.shown import Column

EPILOG = """\b
Examples:
  joulectl simulate                                  a day of hydro power, several strategies
  joulectl simulate --list                           the scenarios that come with it
  joulectl simulate --scenario site.toml --reserve 8,10,15 --html site.html
  joulectl simulate --trace plant.csv --strategy ours,original-code+off
  joulectl simulate --yesterday --reserve 8,10,12    this site, as the daemon has recorded it
"""
DEFAULT = "hydro"
HOURS_MAX = 31 * 24
UNITS_MAX = 2000


class Percents(click.ParamType[tuple[float, ...]]):
    """Percentages between commas."""

    name = "PERCENT,..."

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            found = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            found = (-1.0,)
        if not all(0 <= each <= 50 for each in found) or len(found) > 24:
            self.fail(f"{value!r} is no list of reserves; write percent from 0 to 50, as in 8,10,15", param, ctx)
        return found


def complete_scenario(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from jouled.simulation.scenario_file import builtin_names

    return [name for name in builtin_names() if name.startswith(incomplete)]


def complete_strategy(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from jouled.simulation.names import NAMES

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in NAMES if name.startswith(last)]


@click.command(epilog=EPILOG, context_settings={"max_content_width": 100})
@click.option(
    "--scenario",
    "wanted",
    metavar="NAME|FILE",
    shell_complete=complete_scenario,
    help=f"What is simulated: a built-in scenario, or a TOML file.  [default: {DEFAULT}]",
)
@click.option("--list", "is_list", is_flag=True, help="List the built-in scenarios and the strategies.")
@click.option("--trace", metavar="FILE", help="What the plant gave, as CSV with timestamp and watts.")
@click.option("--yesterday", is_flag=True, help="This site: the plant and fleet of the daemon, of the last 24 hours.")
@click.option("--reserve", type=Percents(), help="Safety margins to compare, in percent: 8,10,15.")
@click.option(
    "--strategy", "names", metavar="NAME,...", shell_complete=complete_strategy, help="Who balances; see --list."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), metavar="N", help="Chance is the same for the same seed.")
@click.option("--hours", type=click.FloatRange(0.01, HOURS_MAX), metavar="N", help="How long.")
@click.option("--units", type=click.IntRange(1, UNITS_MAX), metavar="N", help="How many loads, in the same mixture.")
@click.option("--html", metavar="FILE", help="Write one page with plots to this file, - for standard output.")
@click.option("--json", "is_json", is_flag=True, help="Print the outcomes as JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    wanted: str | None,
    is_list: bool,
    trace: str | None,
    yesterday: bool,
    reserve: tuple[float, ...] | None,
    names: str | None,
    seed: int | None,
    hours: float | None,
    units: int | None,
    html: str | None,
    is_json: bool,
) -> None:
    """Simulate a site: its plant, its loads, and who balances them, side by side.

    The balancer's own rules act on a simulated clock; nothing of this host is touched. The same scenario and
    seed give the same numbers.
    """
    if html == "-" and is_json:
        raise click.UsageError("--html - and --json: both write to standard output; name a file", context)
    if yesterday and (wanted or trace or units):
        raise click.UsageError("--yesterday has plant and fleet of the daemon; leave --scenario, --trace, --units out")
    if is_list:
        _list()
        return
    from jouled.cli.simulate_scenario import Wanted, prepared

    options = context.find_object(Options)
    said = Wanted(wanted or DEFAULT, trace, reserve, names, seed, hours, units)
    scenario, runs = prepared(said, options.url if options is not None else None, is_yesterday=yesterday)
    if html is not None:
        from jouled.cli.report import write_page
        from jouled.simulation.page import page

        write_page(html, page(scenario, runs))
    if is_json:
        _print_json(scenario, runs)
    elif html is None:
        _show(scenario, runs)


def _list() -> None:
    from jouled.cli import look
    from jouled.simulation.names import NAMES
    from jouled.simulation.scenario_file import builtin_names, load

    style = look.look_of(sys.stdout)
    scenarios = [[name, load(name).about] for name in builtin_names()]
    lines = look.table(("SCENARIO", "WHAT"), scenarios, frozenset(), style)
    strategies = [[name, words] for name, words in NAMES.items()]
    look.say([*lines, "", *look.table(("STRATEGY", "WHAT"), strategies, frozenset(), style)], style)


def _print_json(scenario: Scenario, runs: list[Run]) -> None:
    import msgspec

    content = {
        "about": scenario.about,
        "seed": scenario.seed,
        "hours": scenario.hours,
        "outcomes": [run.outcome for run in runs],
    }
    click.echo(msgspec.json.format(msgspec.json.encode(content)).decode())


def _show(scenario: Scenario, runs: list[Run]) -> None:
    from jouled.cli import look
    from jouled.simulation.shown import COLUMNS, shed_words

    if not runs:
        raise JouledError("nothing was simulated; name a strategy")
    style = look.look_of(sys.stdout)
    loads = sum(group.count for group in scenario.fleet)
    head = f"{scenario.about or 'a site'} ({scenario.hours:g} h, {loads} loads, seed {scenario.seed})"
    columns = [column for column in COLUMNS if any(column.text(run.outcome) != "-" for run in runs)]
    lines = tables([run.outcome for run in runs], columns, style)
    sheds = [f"{run.outcome.title} shed {words}" for run in runs if (words := shed_words(run.outcome))]
    look.say([look.clean(head), "", *lines, *([""] if sheds else []), *sheds], style)


def tables(outcomes: Sequence[Outcome], columns: Sequence[Column], style: Look) -> list[str]:
    """One table; on a screen that is too narrow for it several, one below the other."""
    from jouled.cli import look
    from jouled.simulation.shown import cells

    def made(some: Sequence[Column], style: Look) -> list[str]:
        rows = [cells(outcome, some) for outcome in outcomes]
        heads = ("STRATEGY", *(column.head for column in some))
        return look.table(heads, rows, frozenset(range(1, len(heads))), style)

    groups: list[list[Column]] = [[]]
    for column in columns:
        plain = made([*groups[-1], column], style._replace(has_colour=False, has_escapes=False))
        if style.has_escapes and groups[-1] and max(map(len, plain)) > style.width:
            groups.append([])
        groups[-1].append(column)
    lines: list[str] = []
    for some in groups:
        lines += [*([""] if lines else []), *made(some, style)]
    return lines
