"""`joulectl balance`: what the balancer of the site does and why, and the operator's word on it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from jouled.cli.balance_events import events, json_option, print_json
from jouled.cli.balance_loads import loads
from jouled.cli.balance_restore import restore
from jouled.cli.balance_status import BALANCE, status, watts_words
from jouled.cli.joulectl import Options

if TYPE_CHECKING:  # help must not wait for what asking needs
    from jouled.client import Client
    from jouled.wire.balance import BalanceEvent, BalanceSettings

DECISIONS = f"{BALANCE}/decisions"
SETTINGS = "/api/v1/settings"
FILE = "file"
NONE = "none"
MOST_W = 1e9
# An id is a UUID; so much of it is shown, and enough to name it.
ID_CHARS = 8

why_option = click.option("--why", metavar="TEXT", help="Why, for whoever looks later.")


class Watts(click.ParamType[float | None]):
    """A power with its unit, or `none`: 120 for 120kW would switch off a whole site."""

    name = "WATTS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value == NONE or value is None:
            return None
        from jouled.config.units import WATTS

        if str(value)[-1:].isdigit():
            self.fail(f"{value} has no unit; write {value}kW or {value}W, or {NONE} to lift it.", param, ctx)
        try:
            watts = WATTS.parse(value)
        except ValueError as error:
            self.fail(f"{error}, or {NONE} to lift it.", param, ctx)
        if not 0 <= watts <= MOST_W:
            self.fail(f"{value} is out of range; choose 0 to {MOST_W:g} W, or {NONE} to lift it.", param, ctx)
        return watts


class Percent(click.ParamType[float | None]):
    """A margin, or `file`."""

    name = "PERCENT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value == FILE or value is None:
            return None
        text = str(value).removesuffix("%").strip()
        try:
            percent = float(text)
        except ValueError:
            percent = -1.0
        if not 0 <= percent <= 50:
            self.fail(f"{value!r} is no margin; choose 0 to 50 percent, or {FILE} for the settings'.", param, ctx)
        return percent


@click.group(invoke_without_command=True, no_args_is_help=False, context_settings={"max_content_width": 100})
@click.pass_context
def command(context: click.Context) -> None:
    """See what the balancer does and why; pause it, approve its changes, set its margin and limit.

    Setting takes root, a user that access.privileged names, or a token with the scope control. What is set holds
    until it is taken back, also after a restart.

    \b
    joulectl balance                                   supply, budget, target, load
    joulectl balance loads                             each load, and why one is not steered
    joulectl balance events --follow                   each change, with its reason
    joulectl balance mode ask                          changes wait for: balance approve ID
    joulectl balance margin 15 --why "a storm comes"
    joulectl balance limit 120kW
    """  # noqa: D301  (the mark by which click keeps the lines)
    if context.invoked_subcommand is None:
        sys.exit(context.invoke(status, is_watching=False, interval_s=1.0, is_json=False))


command.add_command(status)
command.add_command(events)
command.add_command(loads)
command.add_command(restore)


@command.command()
@why_option
@click.pass_obj
def pause(options: Options, *, why: str | None) -> None:
    """Raise nothing any more, until it is resumed. Sheds go on: safety is not paused."""
    from jouled.client import Client
    from jouled.wire.balance import BalanceStatus, PauseDraft

    Client(options.url).post(f"{BALANCE}/pause", PauseDraft(_short(why)), BalanceStatus)
    click.echo("paused: nothing is raised until joulectl balance resume; sheds go on")


@command.command()
@click.pass_obj
def resume(options: Options) -> None:
    """Let loads be raised again."""
    from jouled.client import Client
    from jouled.wire.balance import BalanceStatus

    Client(options.url).post(f"{BALANCE}/resume", {}, BalanceStatus)
    click.echo("resumed")


@command.command()
@click.argument("percent", type=Percent())
@why_option
@click.pass_obj
def margin(options: Options, percent: float | None, *, why: str | None) -> None:
    """Aim so many percent below the budget, from 0 to 50; file takes back what was set."""
    found = _change(options, {"safety_margin_percent": percent}, why)
    click.echo(f"safety margin {found.safety_margin_percent:g} %{_of_file(found, 'reserve')}")


@command.command()
@click.argument("watts", type=Watts())
@why_option
@click.pass_obj
def limit(options: Options, watts: float | None, *, why: str | None) -> None:
    """Let the site draw no more than this, with its unit (120kW), whatever the plant gives; none lifts it."""
    found = _change(options, {"limit_watts": watts}, why)
    if found.limit_watts is not None:
        click.echo(f"the site is limited to {watts_words(found.limit_watts)}")
        return
    file = "" if found.contract_watts is None else f"; balance.limit is {watts_words(found.contract_watts)}"
    click.echo(f"no limit is set{file}")


@command.command()
@click.argument("mode", type=click.Choice(["auto", "ask", "observe", FILE]))
@why_option
@click.pass_obj
def mode(options: Options, mode: str, *, why: str | None) -> None:
    """Act (auto), ask before each change but an emergency's (ask), or only say what would be done (observe).

    With file, what the settings say holds again.
    """
    found = _change(options, {"mode": None if mode == FILE else mode}, why)
    click.echo(f"mode {found.mode}{_of_file(found, 'mode')}")


@command.command()
@json_option
@click.pass_obj
def settings(options: Options, *, is_json: bool) -> None:
    """Show what the balancer goes by, and who has set what of it."""
    from jouled.client import Client
    from jouled.wire.balance import BalanceSettings

    found = Client(options.url).ask(SETTINGS, BalanceSettings)
    if is_json:
        print_json(found)
        return
    from jouled.cli import look

    look.say(_settings_lines(found), look.look_of(sys.stdout))


@command.command()
@json_option
@click.pass_obj
def decisions(options: Options, *, is_json: bool) -> None:
    """List the changes that wait for somebody; in the mode observe, those that would be done."""
    from jouled.client import Client
    from jouled.wire.balance import BalanceEvent
    from jouled.wire.problems import Page

    found = Client(options.url).ask(DECISIONS, Page[BalanceEvent])
    if is_json:
        print_json(found)
        return
    if not found.items:
        click.echo("no change waits for anybody")
        return
    from jouled.cli import look

    rows = [(one.id[:ID_CHARS], one.kind, one.miner_id, _from(one), _to(one), one.reason) for one in found.items]
    style = look.look_of(sys.stdout)
    look.say(look.table(("ID", "CHANGE", "LOAD", "FROM", "TO", "WHY"), rows, frozenset(), style), style)


@command.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All that wait now.")
@click.pass_obj
def approve(options: Options, ids: tuple[str, ...], *, is_all: bool) -> int:
    """Let changes be done: by their ids, or the first letters of them. Each is done if it is still called for."""
    return _decide(options, ids, "approve", is_all=is_all)


@command.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All that wait now.")
@click.pass_obj
def reject(options: Options, ids: tuple[str, ...], *, is_all: bool) -> int:
    """Let changes not be done, nor be proposed again for balance.rejected."""
    return _decide(options, ids, "reject", is_all=is_all)


def _change(options: Options, body: dict[str, Any], why: str | None) -> BalanceSettings:
    from jouled.client import Client
    from jouled.wire.balance import BalanceSettings

    short = _short(why)
    return Client(options.url).patch(SETTINGS, body if short is None else {**body, "reason": short}, BalanceSettings)


def _short(why: str | None) -> str | None:
    """The API takes so much of it."""
    return why[:256] if why else None


def _of_file(found: BalanceSettings, key: str) -> str:
    return "" if any(one.key == key for one in found.changed) else ", as in the settings"


def _settings_lines(found: BalanceSettings) -> list[str]:
    from jouled.cli.look import clean

    limit = "none is set" if found.limit_watts is None else watts_words(found.limit_watts)
    contract = "none" if found.contract_watts is None else watts_words(found.contract_watts)
    lines = [] if found.is_enabled else ["! the balancer is switched off: balance.enabled is false"]
    lines += [
        f"mode           {found.mode}",
        f"safety margin  {found.safety_margin_percent:g} %",
        f"limit          {limit}; balance.limit is {contract}",
        f"strategy       {found.strategy}, every {found.cycle_seconds:g} s",
        f"at the end     {found.on_exit}",
    ]
    for one in found.changed:
        why = f": {one.why}" if one.why else ""
        lines.append(clean(f"  {one.key} = {one.value} by {one.who}, {one.at:%Y-%m-%d %H:%M:%SZ}{why}"))
    return lines


def _decide(options: Options, ids: tuple[str, ...], verb: str, *, is_all: bool) -> int:
    """Each by itself; exits with 1 where one could not be decided on."""
    if is_all == bool(ids):
        raise click.UsageError("name changes by their ids, or give --all.")
    from jouled.client import Client, DaemonError
    from jouled.wire.balance import BalanceEvent

    client = Client(options.url)
    is_whole = True
    for one in _named(client, ids, is_all=is_all):
        try:
            done = client.post(f"{DECISIONS}/{quote(one, safe='')}/{verb}", {}, BalanceEvent)
        except DaemonError as error:
            if error.status not in {404, 409}:
                raise
            from jouled.cli import look

            look.warn(str(error))
            is_whole = False
            continue
        from jouled.cli.look import clean

        click.echo(clean(f"{one[:ID_CHARS]} {done.kind} {done.miner_id} to {_to(done)}: {done.status}"))
    return 0 if is_whole else 1


def _named(client: Client, ids: tuple[str, ...], *, is_all: bool) -> list[str]:
    """Whole ids. Raises UsageError for letters that name none, or several."""
    from jouled.wire.balance import BalanceEvent
    from jouled.wire.problems import Page

    open_ids = [one.id for one in client.ask(DECISIONS, Page[BalanceEvent]).items]
    if is_all:
        return open_ids
    found = []
    for text in ids:
        matching = [one for one in open_ids if one.startswith(text.lower())]
        if len(matching) > 1:
            raise click.UsageError(f"{text} is the beginning of {len(matching)} ids; write more of it.")
        # What does not wait is for the daemon to tell: it was decided on, or never was.
        found += matching or [text]
    return found


def _from(one: BalanceEvent) -> str:
    if one.old_power is None:
        return one.old_preset or "?"
    return f"{one.old_preset} ({watts_words(one.old_power)})" if one.old_preset else watts_words(one.old_power)


def _to(one: BalanceEvent) -> str:
    return f"{one.new_preset} ({watts_words(one.new_power)})" if one.new_preset else watts_words(one.new_power)
