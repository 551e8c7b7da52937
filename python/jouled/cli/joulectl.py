"""The `joulectl` command: one module per verb, imported when it is asked for."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import NamedTuple, NoReturn

import click

from jouled.errors import JouledError, one_line

# Verb: its module below jouled.cli and the line that help shows, so that help imports none of them.
VERBS = {
    "top": ("top", "Watch zones and workloads live."),
    "measure": ("measure", "Measure the energy of a command."),
    "status": ("status", "Show whether the daemon measures, and what."),
    "zones": ("zones", "List the zones of this host."),
    "doctor": ("doctor", "Find what is wrong with measuring here, and how to mend it."),
    "capture": ("capture", "Save what a scan reads, to replay it anywhere."),
    "selfbench": ("selfbench", "Measure what measuring costs here."),
    "config": ("settings", "Show the daemon's settings, their defaults and their schema."),
    "hash-secret": ("hash_secret", "Hash a password or token for the daemon's settings."),
    "completion": ("completion", "Print the completion script of a shell."),
}

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2


class Options(NamedTuple):
    """What every verb is told: the daemon to ask (None: the usual places), the captured host to read instead."""

    url: str | None
    root: str | None


class Verbs(click.Group):
    """Imports a verb's module, which holds a click command called `command`, when the verb is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (the shape is given)
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in VERBS:
            return None
        command = importlib.import_module(f"jouled.cli.{VERBS[name][0]}").command
        assert isinstance(command, click.Command)  # noqa: S101  (each module's own promise)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in VERBS.items()])


def print_version(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        import jouled

        click.echo(f"joulectl {jouled.__version__}")
        context.exit()


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Show the version and exit.",
)
@click.option("--url", metavar="URL", help="The daemon to ask: unix:/PATH or http(s)://HOST:PORT.  [env: JOULED_URL]")
@click.option("--root", metavar="FILE|DIR", help="Read a captured host instead of this one.")
@click.pass_context
def command(context: click.Context, url: str | None, root: str | None) -> None:
    """Ask the power daemon, or measure by hand."""
    context.obj = Options(url or os.environ.get("JOULED_URL") or None, root)


def main() -> None:
    """One clear line for whatever the user can mend; never a traceback for it.

    Exit codes: 0 done, 1 it failed, 2 it was asked for in a wrong way, 130 interrupted.
    """
    try:
        result = command.main(prog_name="joulectl", standalone_mode=False)
    except click.ClickException as error:
        fail(f"{error.format_message()} See joulectl --help.", EXIT_USAGE)
    except JouledError as error:
        fail(str(error), EXIT_FAILED)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # `joulectl zones | head`
        sys.stderr.close()
        sys.exit(128 + signal.SIGPIPE)
    sys.exit(result if isinstance(result, int) else EXIT_OK)


def fail(reason: str, code: int) -> NoReturn:
    click.echo(f"joulectl: error: {one_line(reason)}", err=True)
    sys.exit(code)
