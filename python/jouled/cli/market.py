"""`joulectl market`: prices by time, and who gives them."""

from __future__ import annotations

import click

from jouled.cli.db import place_options
from jouled.cli.market_fetch import fetch, list_providers, show_prices
from jouled.cli.market_judge import judge, judge_data
from jouled.cli.market_plan import plan
from jouled.cli.market_source import Source


@click.group(no_args_is_help=False, context_settings={"max_content_width": 100})
@place_options
@click.pass_context
def command(context: click.Context, path: str | None, url: str | None, state_dir: str | None) -> None:
    """See the market's prices, fetch them, test who gives them.

    The daemon is asked; where none runs, or where settings or a store are named here, these.

    \b
    joulectl market show --day tomorrow
    joulectl market fetch awattar --csv .
    joulectl market test energy-charts
    """  # noqa: D301  (the mark by which click keeps the lines)
    context.obj = Source(path, url, state_dir)


for inner in (list_providers, fetch, show_prices, plan, judge, judge_data):
    command.add_command(inner)
