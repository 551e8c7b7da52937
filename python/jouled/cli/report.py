"""`joulectl report`: a device's last days, as JSON or as a page."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click
import msgspec

from jouled.cli.db import Place
from jouled.errors import JouledError

if TYPE_CHECKING:
    from jouled.cli.joulectl import Options
    from jouled.wire.devices import DeviceReport, History

EPILOG = """\b
Examples:
  joulectl report cabin                              the last week, as JSON
  joulectl report cabin --days 31 --html cabin.html
"""

DAYS_MAX = 3660
# Up to here a curve has a point a quarter-hour; beyond, one a day.
QUARTER_HOURS_UP_TO_DAYS = 31


@click.command(epilog=EPILOG, context_settings={"max_content_width": 100})
@click.argument("device")
@click.option(
    "--days", type=click.IntRange(1, DAYS_MAX), default=7, show_default=True, metavar="N", help="How far back."
)
@click.option("--html", metavar="FILE", help="Write one page with curves to this file, - for standard output.")
@click.option("--config", "path", metavar="FILE", help="Read the daemon's settings from this file, '' for none.")
@click.option("--store", "url", metavar="URL", help="Read this store; by default the daemon is asked, if it runs.")
@click.option("--state-dir", metavar="DIR", help="Read the store in this directory.")
@click.pass_obj
def command(
    options: Options,
    device: str,
    *,
    days: int,
    html: str | None,
    path: str | None,
    url: str | None,
    state_dir: str | None,
) -> None:
    """Report on a device: power, energy and charge of its meters, weighted by time, and what happened.

    The energy is that of the time that was metered; coverage says how much of the period that is.
    """
    place = Place(path, url, state_dir)
    is_offline = any(value is not None for value in (path, url, state_dir))
    if is_offline:
        report, histories = _of_store(place, device, days, html is not None)
    else:
        report, histories = _of_daemon(options.url, place, device, days, html is not None)
    if html is None:
        click.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
        return
    from jouled.cli.report_page import page

    write_page(html, page(report, histories))


def _of_daemon(
    url: str | None, place: Place, device: str, days: int, has_curves: bool
) -> tuple[DeviceReport, list[History]]:
    """Over the API; where no daemon runs and none was named, from its store."""
    from jouled.client import Client, NotRunningError
    from jouled.wire.devices import DeviceReport, History

    client = Client(url)
    try:
        report = client.ask(f"/api/v1/devices/{quote(device, safe='')}/report?days={days}", DeviceReport)
    except NotRunningError:
        if url is not None:
            raise
        return _of_store(place, device, days, has_curves)
    span = f"start_time={_instant(report.period_start)}&end_time={_instant(report.generated_at)}"
    histories = [
        client.ask(
            f"/api/v1/meters/{quote(meter.meter_id, safe='')}/history?{span}&resolution={_resolution(days)}", History
        )
        for meter in report.meters
        if has_curves and meter.reading_count
    ]
    return report, histories


def _of_store(place: Place, device: str, days: int, has_curves: bool) -> tuple[DeviceReport, list[History]]:
    from jouled.bookkeeping import device_reports, power_history

    now = datetime.now(UTC)
    with place.opened("report from") as engine, engine.begin() as connection:
        report = device_reports.report(connection, device, days, now)
        heard = [meter.meter_id for meter in report.meters if has_curves and meter.reading_count]
        until, resolution = now + timedelta(seconds=1), _resolution(days)
        return report, [
            power_history.history(connection, name, report.period_start, until, resolution=resolution) for name in heard
        ]


def _resolution(days: int) -> str:
    return "quarter-hour" if days <= QUARTER_HOURS_UP_TO_DAYS else "day"


def _instant(at: datetime) -> str:
    return quote(at.isoformat(), safe=":")


def write_page(target: str, text: str) -> None:
    """Whole or not at all: who looks meanwhile sees the last one."""
    if target == "-":
        click.echo(text)
        return
    file = Path(target)
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as written:
            written.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(file)
    except OSError as error:
        raise JouledError(f"write {target}: {(error.strerror or str(error)).lower()}; choose another --html") from error
    click.echo(f"wrote {target}", err=True)
