"""`joulectl miners`: miners that were found, their models, and which of them may be steered."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from jouled.cli.joulectl import Options

if TYPE_CHECKING:  # help must not wait for what asking needs
    from jouled.wire.fleet import MinerShown, MinerStatus, PresetPower

MINERS = "/api/v1/miners"
MODELS = "/api/v1/models"

json_option = click.option("--json", "is_json", is_flag=True, help="Print it as JSON, as the API does.")
most_option = click.option("--max-preset", metavar="NAME", help="The most that it is set to; empty clears it.")
least_option = click.option("--min-preset", metavar="NAME", help="The least that it is set to; empty clears it.")


@click.group(invoke_without_command=True, no_args_is_help=False, context_settings={"max_content_width": 100})
@click.pass_context
def command(context: click.Context) -> None:
    """See the miners that were found, and say which of them may be steered.

    They are looked for in miners.subnets of the daemon's settings. A model without a most preset is not steered.

    \b
    joulectl miners                                     all of them
    joulectl miners models                              and what they can do
    joulectl miners model antminer-s19 --max-preset 3200
    joulectl miners set 02:00:00:00:00:01 --priority 9
    """  # noqa: D301  (the mark by which click keeps the lines)
    if context.invoked_subcommand is None:
        context.invoke(list_miners, is_json=False)


@command.command("list")
@json_option
@click.pass_obj
def list_miners(options: Options, *, is_json: bool) -> None:
    """List the miners by MAC, those that are away too."""
    from jouled.cli.pages import pages
    from jouled.client import Client
    from jouled.wire.fleet import MinerShown
    from jouled.wire.problems import Page

    found = list(pages(Client(options.url), MINERS, Page[MinerShown]))
    if is_json:
        _print_json(found)
        return
    if not found:
        click.echo("no miner was found: is miners.subnets set, and balance.enabled?")
        return
    from jouled.cli import look

    heads = ("MAC", "ADDRESS", "MODEL", "STATE", "PRESET", "W", "TH/s", "PRIORITY", "")
    style = look.look_of(sys.stdout)
    look.say(look.table(heads, [_row(one) for one in found], frozenset({5, 6, 7}), style), style)


@command.command()
@click.argument("mac")
@click.option("--limit", type=click.IntRange(0, 1000), default=5, show_default=True, help="Statuses at most.")
@json_option
@click.pass_obj
def show(options: Options, mac: str, *, limit: int, is_json: bool) -> None:
    """Show one miner, its presets and its latest statuses."""
    from jouled.client import Client, DaemonError
    from jouled.wire.fleet import MinerShown, MinerStatus
    from jouled.wire.problems import Page

    client = Client(options.url)
    one = client.ask(f"{MINERS}/{quote(mac, safe='')}", MinerShown)
    if is_json:
        _print_json(one)
        return
    statuses: tuple[MinerStatus, ...] = ()
    if limit:
        try:
            page = client.ask(f"{MINERS}/{quote(mac, safe='')}/statuses?limit={limit}", Page[MinerStatus])
            statuses = page.items
        except DaemonError as error:  # the store is away: what is known is shown all the same
            if error.status != 503:
                raise
    from jouled.cli import look

    look.say(_lines(one, statuses), look.look_of(sys.stdout))


@command.command("set")
@click.argument("mac")
@click.option("--enable/--disable", "is_enabled", default=None, help="Let it be steered, or leave it alone.")
@click.option("--lock/--unlock", "is_locked", default=None, help="Leave it at its preset, or end that.")
@click.option("--priority", type=click.IntRange(0, 1000), help="A higher one keeps its power for longer.")
@click.option("--circuit", metavar="ID", help="The circuit of the books that it hangs on; empty is none.")
@most_option
@least_option
@click.option("--ask-password", "is_asked", is_flag=True, help="Ask for what it is unlocked with.")
@click.pass_obj
def set_miner(
    options: Options,
    mac: str,
    *,
    is_enabled: bool | None,
    is_locked: bool | None,
    priority: int | None,
    circuit: str | None,
    max_preset: str | None,
    min_preset: str | None,
    is_asked: bool,
) -> None:
    """Change what holds for one miner."""
    from jouled.client import Client
    from jouled.wire.fleet import MinerShown

    given: dict[str, Any] = {
        "enabled": is_enabled,
        "locked": is_locked,
        "priority": priority,
        "circuit": circuit,
        "max_preset": max_preset,
        "min_preset": min_preset,
        "unlock_pass": click.prompt("Password", hide_input=True) if is_asked else None,
    }
    body = {name: value for name, value in given.items() if value is not None}
    if not body:
        raise click.UsageError("nothing to change: give an option, as --priority 9.")
    one = Client(options.url).patch(f"{MINERS}/{quote(mac, safe='')}", body, MinerShown)
    click.echo(_steered(one))


@command.command()
@click.argument("mac")
@click.pass_obj
def forget(options: Options, mac: str) -> None:
    """Take a miner out that is gone for good; where it answers again, it is found again."""
    from jouled.client import Client
    from jouled.wire.fleet import Forgotten

    one = Client(options.url).delete(f"{MINERS}/{quote(mac, safe='')}", Forgotten)
    click.echo(f"{one.id} is forgotten")


@command.command("models")
@json_option
@click.pass_obj
def list_models(options: Options, *, is_json: bool) -> None:
    """List the models of the miners that were found, with their presets."""
    from jouled.cli.pages import pages
    from jouled.client import Client
    from jouled.wire.fleet import ModelShown
    from jouled.wire.problems import Page

    found = list(pages(Client(options.url), MODELS, Page[ModelShown]))
    if is_json:
        _print_json(found)
        return
    from jouled.cli import look

    rows = [
        [one.alias, look.clean(one.name), one.min_preset or "-", one.max_preset or "-", " ".join(one.presets)]
        for one in found
    ]
    style = look.look_of(sys.stdout)
    look.say(look.table(("ALIAS", "NAME", "LEAST", "MOST", "PRESETS"), rows, frozenset(), style), style)


@command.command("model")
@click.argument("alias")
@most_option
@least_option
@json_option
@click.pass_obj
def set_model(options: Options, alias: str, *, max_preset: str | None, min_preset: str | None, is_json: bool) -> None:
    """Show a model, or set the most and the least preset of its miners."""
    from jouled.client import Client
    from jouled.wire.fleet import ModelShown

    client, path = Client(options.url), f"{MODELS}/{quote(alias, safe='')}"
    given = {"max_preset": max_preset, "min_preset": min_preset}
    body = {name: value for name, value in given.items() if value is not None}
    one = client.patch(path, body, ModelShown) if body else client.ask(path, ModelShown)
    if is_json:
        _print_json(one)
        return
    from jouled.cli import look

    bounds = "it is not steered: it has no max_preset"
    if one.max_preset is not None:
        bounds = f"from {one.min_preset or 'its least'} to {one.max_preset}"
    lines = [look.clean(f"{one.alias} ({one.name}): {bounds}"), *_presets(one.presets_power)]
    look.say(lines, look.look_of(sys.stdout))


def _row(one: MinerShown) -> list[str]:
    from jouled.cli.look import clean

    status = one.latest_status
    power_w = None if status is None else status.power_usage
    work = None if status is None else status.hashrate
    return [
        one.id,
        clean(one.ip or "-"),
        clean("-" if one.model is None else one.model.name),
        "-" if status is None else status.state,
        "-" if status is None else clean(status.preset or "-"),
        "-" if power_w is None else f"{power_w:.0f}",
        "-" if work is None else f"{work:.1f}",
        str(one.priority),
        clean(one.unmanaged_reason or ""),
    ]


def _lines(one: MinerShown, statuses: tuple[MinerStatus, ...]) -> list[str]:
    from jouled.cli.look import clean

    lines = [
        _steered(one),
        f"  at {one.ip or 'no address'}, {one.family}{'' if one.firmware is None else f' {one.firmware}'}",
        f"  priority {one.priority}, circuit {one.circuit or 'none'}",
        f"  {_bounds(one)}",
    ]
    for status in statuses:
        power = "-" if status.power_usage is None else f"{status.power_usage:.0f} W"
        note = "" if status.note is None else f"  {status.note}"
        lines.append(f"  {status.recorded_at:%Y-%m-%d %H:%M:%SZ}  {status.state} {status.preset or '-'} {power}{note}")
    return [clean(line) for line in lines] + _presets(one.presets_power)


def _bounds(one: MinerShown) -> str:
    """From what to what it is set; its own bounds before its model's."""
    least = None if one.model is None else one.model.min_preset
    most = None if one.model is None else one.model.max_preset
    if one.max_preset is None and most is None:
        return "its model has no max_preset"
    whose = "" if one.min_preset or one.max_preset else ", as its model"
    return f"from {one.min_preset or least or 'its least'} to {one.max_preset or most}{whose}"


def _presets(presets: tuple[PresetPower, ...]) -> list[str]:
    from jouled.cli.look import clean

    return [
        clean(
            f"  {one.preset:>10}  {one.power_w:6.0f} W  {one.hashrate_th:6.1f} TH/s"
            f"{'  not tuned' if one.is_tuned is False else ''}"
        )
        for one in presets
    ]


def _steered(one: MinerShown) -> str:
    from jouled.cli.look import clean

    model = "" if one.model is None else f" ({one.model.name})"
    return clean(f"{one.id}{model}: {'it may be steered' if one.unmanaged_reason is None else one.unmanaged_reason}")


def _print_json(found: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
