"""The `jouled` command: reads flags, environment and file, then hands over to the daemon."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import click

from jouled import config
from jouled.cli.flags import given, settings_flags
from jouled.cli.version import version_option
from jouled.config import powercap
from jouled.errors import ConfigError, one_line


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@settings_flags
@click.option("--check-config", is_flag=True, help="Check the settings and exit.")
@version_option
def command(path: str | None, check_config: bool, **flags: object) -> None:
    """Measure where the joules of this host go, and serve it at /metrics.

    Flags override the environment, which overrides the file. Every key of the file has a variable, as
    log.level has JOULED_LOG_LEVEL; lists are separated by commas. All of them: joulectl config default.
    """

    def traced() -> config.Traced:
        return config.trace(config.find(path, os.environ), given(flags), os.environ)

    found = traced()
    checked = found.config
    check_market(found)
    check_plant(found)
    for line in powercap.notices(os.environ, checked.compat, is_capping=checked.caps.enabled):
        click.echo(f"jouled: {line}", err=True)
    if check_config:
        click.echo(f"{config.find(path, os.environ) or 'settings'}: ok")
        return
    # Imported last, so that a wrong flag is answered without starting up the whole daemon.
    from jouled import daemon

    daemon.leave(daemon.main(checked, reload=lambda: traced().config))


def check_market(found: config.Traced) -> None:
    """What only providers know of their settings. Raises ConfigError, which says where the setting stands."""
    settings = found.config.market
    if not settings.providers and not settings.parameters:
        return
    from jouled.control.market.chain import check

    try:
        check(settings)
    except ConfigError as error:
        dotted, _, name = str(error).partition(" ")[0].rstrip(":").partition(".")
        # What is missing stands nowhere: whoever wants it is named by the list of providers.
        where = found.origins.get((dotted, name)) or found.origins.get(("market", "providers"))
        raise ConfigError(f"{where}: {error}" if where is not None else str(error)) from None


def check_plant(found: config.Traced) -> None:
    """Whether its keys can be read, and its library is there. Raises ConfigError, which says where the setting stands."""
    if found.config.plant.kind == "none":
        return
    from jouled.control.plant.opening import check

    try:
        check(found.config)
    except ConfigError as error:
        dotted, _, name = str(error).partition(" ")[0].rstrip(":").partition(".")
        where = found.origins.get((dotted, name))
        raise ConfigError(f"{where}: {error}" if where is not None else str(error)) from None


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
