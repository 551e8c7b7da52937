"""`joulectl caps list`: who asks for which cap, and what holds of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jouled.cli.joulectl import Options

if TYPE_CHECKING:  # help must not wait for what asking needs
    from jouled.cli.look import Look
    from jouled.client import Client, DaemonError
    from jouled.wire.caps import Caps

LAPSED = "lapsed"
EPILOG = """\b
Examples:
  joulectl caps list                       of the daemon; where none runs, the limits as they are
  joulectl caps list --json | jq .effective_watts
  joulectl --root host.tar.gz caps list    the limits of a captured host
"""


@click.command("list", epilog=EPILOG)
@click.option("--json", "is_json", is_flag=True, help="Print it as JSON, as the API does.")
@click.pass_obj
def list_caps(options: Options, *, is_json: bool) -> None:
    """Show who asks for which cap, and every limit with what was asked, and what will be given back.

    Asks the daemon; where none runs, the limits are read from the hardware.
    """
    state, note = find(options)
    from jouled.cli import look

    if note:
        look.warn(note)
    if is_json:
        import msgspec

        click.echo(msgspec.json.encode(state))
        return
    style = look.look_of(sys.stdout)
    look.say(lines(state, datetime.now(UTC), style), style)


def ask(client: Client) -> Caps:
    """Of the daemon. Raises DaemonError."""
    from jouled.wire.caps import Caps

    return client.ask("/api/v1/caps", Caps)


def find(options: Options) -> tuple[Caps, str]:
    """Of the daemon, or read here; then a line says why."""
    if options.root is not None:
        from jouled.cli import replay

        with replay.host(options.root) as host:
            return _without_its_place(read_here(host.sysfs), host.sysfs), ""
    from jouled.client import Client, DaemonError, NotRunningError

    try:
        return ask(Client(options.url)), ""
    except DaemonError as error:
        if not may_read_here(options, error):
            raise
        state = of_this_host(is_daemon_gone=isinstance(error, NotRunningError))
        return state, f"{error}; what follows is read from the hardware"


def may_read_here(options: Options, error: DaemonError) -> bool:
    """Whether what the daemon did not tell may be read from this host: a daemon that was named is never
    replaced where it did not answer, nor one of another host at all.
    """
    from jouled.client import DeniedError, NotRunningError

    # A daemon that keeps no caps, or one of before there were any, has nothing to say of them.
    if error.status in {404, 409}:
        return options.url is None or options.url.startswith("unix:")
    return options.url is None and isinstance(error, NotRunningError | DeniedError)


def of_this_host(*, is_daemon_gone: bool) -> Caps:
    """As it is; and where no daemon runs, what one that has ended has left of it."""
    from msgspec.structs import replace

    from jouled import config as settings
    from jouled.errors import ConfigError
    from jouled.journal import Journal, JournalError

    config = settings.Config()
    with suppress(ConfigError):  # it is for the daemon to say
        config = settings.load(settings.find(None, os.environ), {}, os.environ)
    state = read_here(config.sysfs)
    try:
        left = Journal.read(f"{config.state_dir}/caps", procfs=config.procfs, sysfs=config.sysfs).entries
    except JournalError:  # of root alone; `caps restore` says what is wrong with it
        return state
    if not left or not is_daemon_gone:
        return state
    line = f"{len(left)} limits are as a daemon has left them; joulectl caps restore gives the original ones back"
    return replace(state, problems=(*state.problems, line))


def read_here(sysfs: str) -> Caps:
    from jouled.balance.shown_limits import caps_of
    from jouled.config.caps import Caps as CapSettings
    from jouled.loads.rapl import read

    return caps_of(read(sysfs), min_w=CapSettings().min_w, max_w=None)


def _without_its_place(state: Caps, sysfs: str) -> Caps:
    """Where a capture is unpacked says nothing of the host."""
    import msgspec

    text = msgspec.json.encode(state).decode()
    return msgspec.json.decode(text.replace(msgspec.json.encode(sysfs).decode()[1:-1], "/sys"), type=type(state))


def lines(state: Caps, now: datetime, style: Look) -> list[str]:
    """All of it for a person."""
    found = clean([summary(state)])
    if state.leases:
        found += ["", *_leases(state, now, style)]
    if state.zones:
        found += ["", *_limits(state, style)]
    if state.slices:
        found += ["", *_slices(state, style)]
    if problems := problems_of(state):
        found += ["", *clean(f"! {problem}" for problem in problems)]
    return found


def summary(state: Caps) -> str:
    """One sentence: what is asked for, and what holds."""
    holds = (
        "what holds is not known" if state.effective_watts is None else f"the limits are {state.effective_watts:.2f} W"
    )
    if state.asked_watts is None:
        asked = "no cap" if state.is_enabled else "nobody caps here"
        return f"{asked}; {holds}" if state.effective_watts is not None else asked
    # The lowest counts; of equals each does.
    owner = next((lease.owner for lease in state.leases if lease.watts == state.asked_watts), "")
    dry = " (dry run: nothing is written)" if state.is_dry_run else ""
    return f"at most {state.asked_watts:g} W{f' for {owner}' if owner else ''}; {holds}{dry}"


def problems_of(state: Caps) -> list[str]:
    found = list(state.problems)
    for zone in state.zones:
        name = f"{zone.id} ({zone.zone} {zone.index})"
        if zone.ceded_to:
            found.append(f"{name}: {zone.ceded_to} writes it too; it is left to that one")
        found += zone.problems
        found += [limit.problem for limit in zone.limits if limit.problem]
    for each in state.slices:
        if each.ceded_to:
            found.append(f"{each.slice}: {each.ceded_to} writes it too; it is left to that one")
        found += [each.problem] if each.problem else []
    return list(dict.fromkeys(found))


def _leases(state: Caps, now: datetime, style: Look) -> list[str]:
    from jouled.cli import look

    rows = [
        (
            lease.owner,
            look.watts_text(lease.watts),
            # What was fallen back to has no end of its own.
            look.seconds_text(None if lease.owner == LAPSED else max(0.0, (lease.until - now).total_seconds())),
            lease.since.strftime("%Y-%m-%d %H:%M:%SZ"),
            lease.reason or "",
        )
        for lease in sorted(state.leases, key=lambda lease: (lease.watts, lease.since))
    ]
    return look.table(("OWNER", "WATTS", "ENDS IN", "SINCE", "REASON"), rows, frozenset({1, 2}), style)


def _limits(state: Caps, style: Look) -> list[str]:
    from jouled.cli import look

    heads = ("ZONE", "INDEX", "BY", "LIMIT", "WATTS", "ASKED", "ORIGINAL", "MAX", "WINDOW", "")
    rows = [
        (
            zone.zone,
            zone.index,
            zone.interface,
            limit.name,
            *map(look.watts_text, (limit.watts, limit.asked_watts, limit.original_watts, limit.max_watts)),
            look.seconds_text(limit.window_seconds),
            "off" if zone.enabled is False else "ceded" if zone.ceded_to else "",
        )
        for zone in state.zones
        for limit in zone.limits
    ]
    return look.table(heads, rows, frozenset(range(4, 9)), style)


def _slices(state: Caps, style: Look) -> list[str]:
    from jouled.cli import look

    def cpus(number: float | None) -> str:
        return "-" if number is None else f"{number:.2f}"

    rows = [
        (each.slice, cpus(each.cpus), cpus(each.asked_cpus), cpus(each.original_cpus), "ceded" if each.ceded_to else "")
        for each in state.slices
    ]
    return look.table(("SLICE", "CPUS", "ASKED", "ORIGINAL", ""), rows, frozenset({1, 2, 3}), style)


def clean(found: Iterable[str]) -> list[str]:
    """Names and reasons are chosen by others: none may move the cursor."""
    from jouled.errors import one_line

    return [one_line(line) for line in found]
