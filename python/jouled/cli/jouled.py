"""The `jouled` command: reads flags and file, then hands over to the daemon."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

import click

from jouled.errors import ConfigError, one_line


def print_version(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        import jouled

        click.echo(f"jouled {jouled.__version__}")
        context.exit()


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--config", "path", metavar="FILE", help="Read settings from this TOML file; flags override it.")
@click.option("--check-config", is_flag=True, help="Check the settings and exit.")
@click.option("--interval", metavar="TIME", help="Time between scans: 500ms, 5s; 100ms to 1m.  [default: 5s]")
@click.option(
    "--listen", metavar="HOST:PORT", multiple=True, help="Serve here; may be repeated.  [default: 127.0.0.1:9917]"
)
@click.option("--sysfs", metavar="DIR", help="Where sysfs is mounted.  [default: /sys]")
@click.option("--procfs", metavar="DIR", help="Where procfs is mounted.  [default: /proc]")
@click.option("--state-dir", metavar="DIR", help="Where state is kept; nothing is yet.  [default: /var/lib/jouled]")
@click.option(
    "--meter",
    "meters",
    metavar="NAME",
    multiple=True,
    help="auto, rapl, hwmon, battery, estimate, fake; may be repeated, the first that works is used.",
)
@click.option("--zone", "zones", metavar="CLASS", multiple=True, help="Only these zones; may be repeated.")
@click.option(
    "--level",
    "levels",
    metavar="LEVEL",
    multiple=True,
    help="process, unit, container, pod, vm, user; may be repeated.",
)
@click.option("--top", metavar="N", type=int, help="Export only the N largest workloads of each level, and their rest.")
@click.option(
    "--idle", metavar="POLICY", help="How idle power is told from active: ratio or learned.  [default: ratio]"
)
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning, error.  [default: info]")
@click.option("--log-format", metavar="FORMAT", help="auto, text, json, journal.  [default: auto]")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Show the version and exit.",
)
def command(
    path: str | None, check_config: bool, log_level: str | None, log_format: str | None, **flags: object
) -> None:
    """Measure where the joules of this host go, and serve it at /metrics."""
    from jouled import config

    settings = config.load(path, {**flags, "log.level": log_level, "log.format": log_format})
    if check_config:
        click.echo(f"{path or 'settings'}: ok")
        return
    # Imported last, so that a wrong flag is answered without starting up the whole daemon.
    from jouled import daemon

    daemon.leave(daemon.main(settings))


def main() -> None:
    """One clear line and code 2 for whatever the operator can mend; never a traceback for it."""
    try:
        command.main(prog_name="jouled", standalone_mode=False)
    except click.ClickException as error:
        refuse(f"{error.format_message()} See jouled --help.")
    except ConfigError as error:
        refuse(str(error))
    except click.Abort:  # Ctrl-C before the daemon listens for it
        sys.exit(128 + signal.SIGINT)


def refuse(reason: str) -> NoReturn:
    click.echo(f"jouled: error: {one_line(reason)}", err=True)
    sys.exit(2)
