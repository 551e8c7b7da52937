"""`joulectl status`: whether the daemon measures, and what."""

from __future__ import annotations

import re
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import click
import msgspec

from jouled.cli import look
from jouled.cli.joulectl import EXIT_FAILED, EXIT_NOT_RUNNING, EXIT_OK, Options
from jouled.cli.top_tree import class_watts, zone_classes
from jouled.client import Client, DaemonError, NotRunningError

if TYPE_CHECKING:
    from jouled.wire.caps import Caps

EPILOG = """\b
Exit codes: 0 it measures, 1 it runs and does not measure, 3 it does not run.

\b
Examples:
  joulectl status                        of the daemon on this host
  joulectl status --json | jq .watts     for a script
  joulectl --url http://host:9917 status
"""

# A line of the page: the family, its labels if there are any, the value.
SERIES = re.compile(r"^([a-z_]+)(?:\{[^}]*\})? ([0-9.eE+-]+|NaN|[+-]Inf)$", re.MULTILINE)


class Status(msgspec.Struct, frozen=True):
    """What is known of the daemon; null is what it did not say."""

    url: str
    is_running: bool
    is_healthy: bool
    reason: str
    version: str | None = None
    hostname: str | None = None
    source: str | None = None
    started_seconds: float | None = None
    interval_seconds: float | None = None
    watts: dict[str, float] = {}
    processes: int | None = None
    ticks_total: int | None = None
    ticks_late_total: int | None = None
    scan_errors_total: int | None = None
    zone_read_errors_total: int | None = None
    # What a power cap asks for, and what the limits add up to; null where none is asked for.
    cap_watts: float | None = None
    cap_effective_watts: float | None = None

    @property
    def problems(self) -> int:
        return (self.scan_errors_total or 0) + (self.zone_read_errors_total or 0)


def sums(page: str) -> dict[str, float]:
    """Each family of a page, summed over its series."""
    found: dict[str, float] = defaultdict(float)
    for family, value in SERIES.findall(page):
        found[family] += float(value)
    return dict(found)


def ask(client: Client) -> Status:
    """The daemon's state. Raises DaemonError where it may not be asked, or is something else."""
    try:
        is_ready, reason = client.readiness()
        if not is_ready:
            return Status(client.url, is_running=True, is_healthy=False, reason=reason)
        snapshot = client.snapshot(limit=0)
        page = sums(client.metrics())
        # The page is that of the latest tick: a cap is shown as it is now.
        caps = _caps(client) if "jouled_cap_leases" in page else None
    except NotRunningError as error:
        return Status(client.url, is_running=False, is_healthy=False, reason=str(error))

    def count(family: str) -> int | None:
        return int(page[family]) if family in page else None

    watts = {zone: class_watts(snapshot, zone) for zone in zone_classes(snapshot)}
    return Status(
        url=client.url,
        is_running=True,
        is_healthy=True,
        reason=reason,
        version=snapshot.version,
        hostname=snapshot.hostname,
        source=snapshot.source,
        started_seconds=page.get("process_start_time_seconds"),
        interval_seconds=snapshot.interval_seconds,
        watts={zone: value for zone, value in watts.items() if value is not None},
        processes=snapshot.processes,
        ticks_total=count("jouled_ticks_total"),
        ticks_late_total=count("jouled_ticks_late_total"),
        scan_errors_total=count("jouled_scan_errors_total"),
        zone_read_errors_total=count("jouled_zone_read_errors_total"),
        cap_watts=None if caps is None else caps.asked_watts,
        cap_effective_watts=None if caps is None or caps.asked_watts is None else caps.effective_watts,
    )


def _caps(client: Client) -> Caps | None:
    """None where this client may not ask for them."""
    from jouled.cli.caps_list import ask as ask_caps

    try:
        return ask_caps(client)
    except DaemonError:
        return None


def lines(status: Status, now_s: float, style: look.Look) -> list[str]:
    """The status for a person."""
    sign = "●" if style.is_utf8 else "*"
    kind = "good" if status.is_healthy else "bad"
    if not status.is_running:
        return [look.painted([(f"{sign} ", kind), ("jouled does not run", "bold")], style), f"  {status.reason}"]
    name = " ".join(filter(None, ("jouled", status.version, status.hostname and f"on {status.hostname}")))
    state = "measures" if status.is_healthy else "does not measure"
    head = look.painted([(f"{sign} ", kind), (f"{name} {state}", "bold")], style)
    if not status.is_healthy:
        return [head, f"  {status.reason}", f"  {'asked':>8}  {status.url}"]
    interval = look.seconds_text(status.interval_seconds)
    failed, unread = _number(status.scan_errors_total), _number(status.zone_read_errors_total)
    rows = [
        ("asked", status.url),
        ("since", _since(status.started_seconds, now_s)),
        ("source", f"{status.source}{', a model and no measurement' if status.source == 'estimate' else ''}"),
        ("watts", "  ".join(f"{zone} {watts:.2f}" for zone, watts in status.watts.items()) or "-"),
        *([("cap", _cap(status.cap_watts, status.cap_effective_watts))] if status.cap_watts is not None else []),
        ("ticks", f"{_number(status.ticks_total)}, {_number(status.ticks_late_total)} late, one in {interval}"),
        ("problems", f"{status.problems}: {failed} scans failed, {unread} zones not read"),
        ("sees", f"{status.processes} processes"),
    ]
    return [head, *(f"  {label:>8}  {look.clean(text)}" for label, text in rows)]


def _since(started_s: float | None, now_s: float) -> str:
    if started_s is None:
        return "-"
    moment = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(started_s))
    return f"{moment} ({look.seconds_text(max(0.0, now_s - started_s))})"


def _cap(asked_w: float, effective_w: float | None) -> str:
    holds = "what holds is not known" if effective_w is None else f"the limits are {effective_w:.2f} W"
    return f"at most {asked_w:g} W, {holds}; joulectl caps list says for whom"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


@click.command(epilog=EPILOG)
@click.option("--json", "is_json", is_flag=True, help="Print it as JSON.")
@click.pass_obj
def command(options: Options, *, is_json: bool) -> int:
    """Show whether the daemon measures, and what."""
    if options.root is not None:
        raise click.UsageError("--root: a captured host has no daemon.")
    status = ask(Client(options.url))
    if is_json:
        click.echo(msgspec.json.encode(status))
    else:
        style = look.look_of(sys.stdout)
        look.say(lines(status, time.time(), style), style)
    if not status.is_running:
        return EXIT_NOT_RUNNING
    return EXIT_OK if status.is_healthy else EXIT_FAILED
