"""`joulectl doctor`: what is measured here, what is not and why, and the command that mends it."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

import click

from jouled.cli.duration import duration
from jouled.cli.joulectl import EXIT_FAILED, EXIT_OK, Options

if TYPE_CHECKING:  # help must not wait for what examining needs
    from jouled.cli.replay import Host
    from jouled.doctor import DaemonSeen, Finding, Subject
    from jouled.model import Scanner

MARKS = {"ok": "✓", "note": "·", "warning": "!", "error": "✗"}
ASCII_MARKS = {"ok": "+", "note": "-", "warning": "!", "error": "x"}
COLOURS = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "red"}

# Where a daemon keeps what it will give back, unless its settings name another directory.
JOURNALS = ("/var/lib/jouled/caps/journal.json",)

EPILOG = """\b
Examples:
  joulectl doctor                          this host, the daemon included
  joulectl doctor --json | jq '.findings[] | select(.severity == "error")'
  joulectl --root host.tar.gz doctor       another host, from a capture

Exit codes: 0 all is well, or worth a note at most; 1 something is to be mended; 2 wrong usage.
"""


@click.command(epilog=EPILOG)
@click.option("--json", "is_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Leave out what is well.")
@click.option(
    "--wait",
    "wait_s",
    metavar="TIME",
    type=duration(0.1, 60),
    default=1.0,
    help="Between the two looks at the counters.  [default: 1s]",
)
@click.pass_obj
def command(options: Options, is_json: bool, quiet: bool, wait_s: float) -> int:
    """Find what is wrong with measuring here, and how to mend it."""
    from jouled.cli.replay import host
    from jouled.doctor import examine

    with host(options.root) as seen:
        findings = examine(gather(seen, options, wait_s))
    if is_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode({"findings": findings}), indent=2))
    else:
        show(findings, sys.stdout, is_quiet=quiet)
    return EXIT_FAILED if any(finding.is_trouble for finding in findings) else EXIT_OK


def gather(host: Host, options: Options, wait_s: float) -> Subject:
    """Looks at the host twice, and asks its meter and its daemon."""
    from jouled.doctor import Subject, look

    scanner, notices = open_scanner(host)
    before = look(host.tree)
    problems = list(scanner.tick().problems) if scanner else []
    if not host.advance() and not host.is_captured:
        time.sleep(wait_s)
    after = look(host.tree)
    problems += scanner.tick().problems if scanner else []
    return Subject(
        tree=host.tree,
        before=before,
        after=after,
        source=scanner.source if scanner else None,
        notices=[as_there(host, line) for line in notices],
        problems=[as_there(host, line) for line in problems],
        # A daemon that answers here is not that of a captured host.
        daemon=None if host.is_captured else ask_daemon(options.url),
    )


def as_there(host: Host, line: str) -> str:
    """A meter's words with the paths that a captured host's files have there."""
    return line.replace(host.procfs, "/proc").replace(host.sysfs, "/sys") if host.is_captured else line


def open_scanner(host: Host) -> tuple[Scanner | None, Sequence[str]]:
    """The scanner of this host and what it says at its start; None where no meter works."""
    from jouled._core import Scanner
    from jouled.errors import UnsupportedError

    try:
        scanner = Scanner(procfs=host.procfs, sysfs=host.sysfs)
    except UnsupportedError as error:
        return None, str(error).splitlines()
    return scanner, scanner.notices()


def ask_daemon(url: str | None) -> DaemonSeen:
    """What the daemon says of itself."""
    from jouled.client import Client, DaemonError, DeniedError
    from jouled.doctor import DaemonSeen

    client = Client(url, timeout_s=5.0)
    try:
        is_ready, words = client.readiness()
        page = client.metrics()
    except DaemonError as error:
        return DaemonSeen(trouble=str(error), is_denied=isinstance(error, DeniedError), left=left_journal(url))
    found = re.search(r'^jouled_build_info\{[^}]*source="([^"]*)"', page, re.MULTILINE)
    return DaemonSeen(client.url, "", False, is_ready, words, found[1] if found else "", sums(page))


def left_journal(url: str | None, places: Sequence[str] = JOURNALS) -> str:
    """What a daemon of this host has written of limits that it did not give back, if it is ours to see."""
    return "" if url is not None else next(filter(os.path.isfile, places), "")


def sums(page: str) -> dict[str, float]:
    """The daemon's own counters by name, summed over their labels."""
    found: dict[str, float] = {}
    for line in page.splitlines():
        name = re.match(
            r"(jouled_(?:(?:ticks|scan|zone_(?:read_errors|resets)|cap_)\w*_total|cap_leases))(?:\{.*\})? (\S+)$", line
        )
        if name:
            found[name[1]] = found.get(name[1], 0.0) + float(name[2])
    return found


def show(findings: Sequence[Finding], file: IO[str], *, is_quiet: bool) -> None:
    """A line each, with why and fix below it."""
    from jouled.doctor import Severity

    marks = MARKS if (getattr(file, "encoding", None) or "").lower().replace("-", "") == "utf8" else ASCII_MARKS
    has_colour = file.isatty() and not os.environ.get("NO_COLOR")
    for finding in findings:
        if is_quiet and finding.severity is Severity.OK:
            continue
        mark = marks[finding.severity]
        shown = click.style(mark, fg=COLOURS[finding.severity], bold=True) if has_colour else mark
        click.echo(f"{shown} {finding.what}  [{finding.code}]", file=file)
        if finding.why:
            click.echo(f"    {finding.why}", file=file)
        if finding.fix:
            arrow = "→" if marks is MARKS else "fix:"
            click.echo(f"    {arrow} {finding.fix}", file=file)
    counted = []
    for severity in (Severity.ERROR, Severity.WARNING, Severity.NOTE):
        count = sum(finding.severity is severity for finding in findings)
        counted.append(f"{count} {severity}{'' if count == 1 else 's'}")
    click.echo(", ".join(counted), file=file)
