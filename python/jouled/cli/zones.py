"""`joulectl zones`: the zones of a host, what they draw, and how well they can be read."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence

import click
import msgspec

from jouled import wire
from jouled.cli import look
from jouled.cli.duration import duration
from jouled.cli.joulectl import Options
from jouled.client import Client, DeniedError, NotRunningError
from jouled.errors import JouledError, one_line
from jouled.model import ZoneKey

EPILOG = """\b
A wrap is a counter that went past its largest value, a reset one that started
again: its interval is left out. An error is a read that failed.

\b
Examples:
  joulectl zones                    of the daemon, or read here
  joulectl zones --json | jq '.[] | select(.zone == "dram")'
  joulectl --root host.tar.gz zones of a captured host
"""
INTERVAL_S = 1.0
FAMILIES = {
    "wraps": "jouled_zone_wraps_total",
    "resets": "jouled_zone_resets_total",
    "errors": "jouled_zone_read_errors_total",
}
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class ZoneState(msgspec.Struct, frozen=True):
    """A zone and how its reading went; null where it is not known."""

    zone: str
    index: str
    source: str
    path: str
    watts: float | None
    active_watts: float | None
    idle_watts: float | None
    joules_total: float
    wraps_total: int | None = None
    resets_total: int | None = None
    errors_total: int | None = None


def state_of(zone: wire.Zone, counts: dict[str, dict[ZoneKey, int]]) -> ZoneState:
    key = (zone.zone, zone.index, zone.source)
    return ZoneState(
        zone=zone.zone,
        index=zone.index,
        source=zone.source,
        path=zone.path,
        watts=zone.watts,
        active_watts=zone.active_watts,
        idle_watts=zone.idle_watts,
        joules_total=zone.joules_total,
        wraps_total=counts["wraps"].get(key),
        resets_total=counts["resets"].get(key),
        errors_total=counts["errors"].get(key),
    )


def counts_of(page: str) -> dict[str, dict[ZoneKey, int]]:
    """Wraps, resets and errors by zone, from the daemon's page."""
    found: dict[str, dict[ZoneKey, int]] = {}
    for name, family in FAMILIES.items():
        series = re.findall(rf"^{family}{{(.*)}} ([0-9.e+]+)$", page, re.MULTILINE)
        found[name] = {}
        for labels, value in series:
            each = {key: _unescaped(text) for key, text in LABEL.findall(labels)}
            found[name][each.get("zone", ""), each.get("index", ""), each.get("source", "")] = int(float(value))
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)


def of_daemon(client: Client) -> list[ZoneState]:
    zones = client.zones()
    counts = counts_of(client.metrics())
    return [state_of(zone, counts) for zone in zones]


def of_host(procfs: str, sysfs: str, advance: Callable[[], object]) -> tuple[list[ZoneState], Sequence[str]]:
    """Reads the host twice, with `advance` between; and what the scanner has to say."""
    from jouled.cli.top_source import Request, scanner_of
    from jouled.rows import zones_of

    scanner = scanner_of(Request(levels=("process",)), procfs, sysfs)
    scanner.tick()
    advance()
    snapshot = scanner.tick()
    counts = {
        "wraps": dict(snapshot.scan.zone_wraps_total),
        "resets": dict(snapshot.scan.zone_resets_total),
        "errors": dict(snapshot.scan.zone_read_errors_total),
    }
    return [state_of(zone, counts) for zone in zones_of(snapshot)], scanner.notices()


def find(options: Options, interval_s: float) -> list[ZoneState]:
    if options.root is not None:
        from jouled.cli import replay

        with replay.host(options.root) as host:
            zones, said = of_host(host.procfs, host.sysfs, host.advance)
            # Where they are unpacked says nothing of the host.
            zones = [msgspec.structs.replace(zone, path=zone.path.replace(host.sysfs, "/sys")) for zone in zones]
    else:
        try:
            return of_daemon(Client(options.url))
        except (NotRunningError, DeniedError) as error:
            if options.url is not None:
                raise
            if isinstance(error, DeniedError):
                look.warn(str(error))
        zones, said = of_host("/proc", "/sys", lambda: time.sleep(interval_s))
    for line in said:
        look.warn(line)
    return zones


@click.command(epilog=EPILOG)
@click.option("--json", "is_json", is_flag=True, help="Print them as JSON.")
@click.option(
    "--interval",
    "interval_s",
    metavar="TIME",
    type=duration(0.1, 60),
    default="1s",
    help="How long to measure where no daemon runs.  [default: 1s]",
)
@click.pass_obj
def command(options: Options, *, is_json: bool, interval_s: float) -> None:
    """List the zones: hardware counters of energy, and what they say now.

    Asks the daemon; where none runs, it reads them by itself.
    """
    zones = find(options, interval_s)
    if is_json:
        click.echo(msgspec.json.encode(zones))
        return
    if not zones:
        raise JouledError("no zone has been seen; joulectl doctor says why")
    zones = sorted(zones, key=lambda zone: (zone.zone, len(zone.index), zone.index))
    style = look.look_of(sys.stdout)
    look.say(lines(zones, style), style)


def lines(zones: Sequence[ZoneState], style: look.Look) -> list[str]:
    heads = ("ZONE", "INDEX", "SOURCE", "WATTS", "ACTIVE", "IDLE", "JOULES", "WRAPS", "RESETS", "ERRORS", "PATH")
    rows = [
        (
            zone.zone,
            zone.index,
            zone.source,
            look.watts_text(zone.watts),
            look.watts_text(zone.active_watts),
            look.watts_text(zone.idle_watts),
            look.joules_text(zone.joules_total),
            *(
                "-" if count is None else str(count)
                for count in (zone.wraps_total, zone.resets_total, zone.errors_total)
            ),
            one_line(zone.path),
        )
        for zone in zones
    ]
    return look.table(heads, rows, frozenset(range(3, 10)), style)
