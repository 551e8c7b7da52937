"""`joulectl balance loads`: every load of the site, what it does, and why one is not steered."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from jouled.cli.balance_events import json_option, print_json
from jouled.cli.balance_status import watts_words
from jouled.cli.joulectl import Options

if TYPE_CHECKING:  # help must not wait for what asking needs
    from jouled.wire.fleet import LoadShown

LOADS = "/api/v1/loads"
HEADS = ("LOAD", "KIND", "STATE", "AT", "POWER", "WORST", "PRIORITY", "")


@click.command()
@json_option
@click.pass_obj
def loads(options: Options, *, is_json: bool) -> None:
    """List all loads: hosts, nodes, programs and miners, those that are away or not steered too."""
    from jouled.cli.pages import pages
    from jouled.client import Client
    from jouled.wire.fleet import LoadShown
    from jouled.wire.problems import Page

    found = list(pages(Client(options.url), LOADS, Page[LoadShown]))
    if is_json:
        print_json(found)
        return
    if not found:
        click.echo("no load is known: set [[balance.load]] or miners.subnets, and balance.enabled")
        return
    from jouled.cli import look

    style = look.look_of(sys.stdout)
    look.say(look.table(HEADS, [row(one) for one in found], frozenset({4, 5, 6}), style), style)


def row(one: LoadShown) -> list[str]:
    """`rack-1 node running 300 W 212 W 400 W 5`, and what an operator should know of it."""
    from jouled.cli.look import clean

    at = one.point or ("-" if one.cap_watts is None else watts_words(one.cap_watts))
    words = one.unmanaged_reason or one.problem or one.note or ""
    powers = (watts_words(one.power_watts), watts_words(one.worst_watts))
    return [clean(one.id), one.kind, one.state, clean(at), *powers, str(one.priority), clean(words)]
