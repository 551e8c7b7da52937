"""`joulectl caps`: power caps set, seen, watched, and given back."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from jouled.cli import caps_list, caps_watch
from jouled.cli.caps_restore import restore
from jouled.cli.duration import duration
from jouled.cli.joulectl import Options
from jouled.config.about import YEAR_S

if TYPE_CHECKING:  # help must not wait for what asking needs
    from jouled.client import Client
    from jouled.wire.caps import CapDraft, CapPlan, Caps

CAPS = "/api/v1/caps"
NONE = "none"
OPERATOR = "operator"
HOUR_S = 3600.0
# As the API takes them.
LEAST_W, MOST_W = 0.001, 1_000_000.0


class Watts(click.ParamType[float | None]):
    """A power, or `none`: 0 is never that."""

    name = "WATTS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value == NONE or value is None:
            return None
        from jouled.config.units import WATTS

        try:
            watts = WATTS.parse(value)
        except ValueError as error:
            self.fail(f"{error}, or {NONE} to lift the cap.", param, ctx)
        if not LEAST_W <= watts <= MOST_W:
            self.fail(f"{value} is out of range; choose {LEAST_W:g} to {MOST_W:g} W, or {NONE} to lift the cap.")
        return watts


@click.group(no_args_is_help=False, context_settings={"max_content_width": 100})
def command() -> None:
    """Set power caps, see who asks for which and what holds, and give the original limits back.

    A cap is a lease: it has an owner, ends by itself, and the lowest of all counts. Setting one takes a daemon with
    [caps] enabled, and root, a user that access.privileged names, or a token with the scope control.

    \b
    joulectl caps list
    joulectl caps set 150 --for 2h --reason "the feeder is warm"
    joulectl caps set none
    joulectl caps watch
    joulectl caps restore --dry-run
    """  # noqa: D301  (the mark by which click keeps the lines)


EPILOG = """\b
Examples:
  joulectl caps set 150                     for an hour
  joulectl caps set 0.2kW --for 30m --reason "the feeder is warm"
  joulectl caps set 150 --dry-run           what would be written
  joulectl caps set none                    the operator's cap is given up
  joulectl caps set none --all              those of all owners, jouled's own too
"""


@command.command("set", epilog=EPILOG)
@click.argument("watts", type=Watts())
@click.option(
    "--for",
    "for_s",
    metavar="TIME",
    type=duration(1.0, YEAR_S),
    help="How long it holds, unless renewed.  [default: 1h]",
)
@click.option("--owner", metavar="NAME", help="Who asks; each owner has one cap.  [default: operator]")
@click.option("--reason", metavar="TEXT", help="Why, for whoever lists the caps.")
@click.option("--all", "is_all", is_flag=True, help="With none: the caps of all owners.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Show what would be written, and write nothing.")
@click.pass_obj
def set_cap(
    options: Options,
    watts: float | None,
    *,
    for_s: float | None,
    owner: str | None,
    reason: str | None,
    is_all: bool,
    is_dry_run: bool,
) -> None:
    """Ask for a cap of the whole node, or lift one with none.

    It is in force when the command returns. The lowest cap of all owners counts, so the node may draw less.
    """
    if options.root is not None:
        raise click.UsageError("--root: a captured host is not capped.")
    if watts is None and (for_s is not None or reason is not None):
        raise click.UsageError("none takes no --for and no --reason: it holds at once.")
    if is_all and (watts is not None or owner is not None):
        raise click.UsageError("--all goes with none, and with no --owner.")
    from jouled.client import Client

    client = Client(options.url)
    name = owner or OPERATOR
    if watts is None:
        lift = _lifted_dry if is_dry_run else _lifted
        lines = lift(client, None if is_all else name)
    else:
        from jouled.wire.caps import CapDraft

        draft = CapDraft(watts, for_s or HOUR_S, reason, "lift")
        lines = planned(_plan(options, client, name, draft)) if is_dry_run else _held(client, name, draft)
    for line in lines:
        click.echo(line)


def _held(client: Client, owner: str, draft: CapDraft) -> list[str]:
    from jouled.wire.caps import Lease

    lease = client.put(_path(owner), draft, Lease)
    state = caps_list.ask(client)
    until = lease.until.strftime("%Y-%m-%d %H:%M:%SZ")
    return [f"{lease.owner}: at most {lease.watts:g} W until {until}", *_now(state)]


def _plan(options: Options, client: Client, owner: str, draft: CapDraft) -> CapPlan:
    """Of the daemon; where there is none that caps, from the hardware: so one can look before switching it on."""
    from jouled.client import DaemonError
    from jouled.wire.caps import CapPlan

    try:
        return client.put(f"{_path(owner)}?dry_run=true", draft, CapPlan)
    except DaemonError as error:
        if not caps_list.may_read_here(options, error):
            raise
        from jouled.balance.shown_limits import planned as planned_here
        from jouled.cli import look
        from jouled.loads.rapl import read

        look.warn(f"{error}; what follows is planned from the hardware")
        return planned_here(read("/sys"), draft.watts)


def _lifted(client: Client, owner: str | None) -> list[str]:
    from jouled.client import DaemonError
    from jouled.wire.caps import Released

    if owner is None:
        follows_plan = any(lease.owner == "market" for lease in caps_list.ask(client).leases)
        count = client.delete(CAPS, Released).released
        again = "; the plan asks again at its next look, until plan.strategies is empty" if follows_plan else ""
        return [f"{count} cap{'' if count == 1 else 's'} lifted{again}", *_now(caps_list.ask(client))]
    try:
        client.delete(_path(owner), Released)
    except DaemonError as error:
        if error.status != 404:
            raise
        return [f"{owner} had no cap", *_now(caps_list.ask(client))]
    return [f"{owner}: lifted", *_now(caps_list.ask(client))]


def _lifted_dry(client: Client, owner: str | None) -> list[str]:
    """From what is in force: nothing is asked of the daemon but to tell."""
    leases = caps_list.ask(client).leases
    gone = [lease for lease in leases if owner in {None, lease.owner}]
    left = min((lease for lease in leases if lease not in gone), key=lambda lease: lease.watts, default=None)
    if not gone:
        return [f"{owner or 'nobody'} has no cap; nothing would change"]
    lines = [f"{lease.owner}: the cap of {lease.watts:g} W would be lifted" for lease in gone]
    if left is None:
        return [*lines, "the original limits would be given back"]
    return [*lines, f"the cap of {left.owner}, {left.watts:g} W, would count"]


def planned(plan: CapPlan) -> list[str]:
    """What would be written, in its order."""
    lines = [f"{write.path}: {write.before} -> {write.after}  ({write.what})" for write in plan.writes]
    expected = "" if plan.expected_watts is None else f"; the limits would add up to {plan.expected_watts:.2f} W"
    asked = "no cap" if plan.asked_watts is None else f"{plan.asked_watts:g} W"
    count = len(plan.writes)
    summary = f"{asked}: {count} write{'' if count == 1 else 's'} planned, nothing was written{expected}"
    return caps_list.clean([*lines, summary, *(f"! {problem}" for problem in plan.problems)])


def _now(state: Caps) -> list[str]:
    return caps_list.clean([caps_list.summary(state), *(f"! {problem}" for problem in caps_list.problems_of(state))])


def _path(owner: str) -> str:
    return f"{CAPS}/{quote(owner, safe='')}"


command.add_command(caps_list.list_caps)
command.add_command(caps_watch.watch)
command.add_command(restore)
