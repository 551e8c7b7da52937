"""The `joulectl` command: one module per verb, imported when it is asked for."""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click
from click.shell_completion import CompletionItem

from jouled.cli.version import version_option
from jouled.errors import JouledError, one_line

# Verb: its module below jouled.cli and the line that help shows, so that help imports none of them.
VERBS = {
    "top": ("top", "Watch zones and workloads live."),
    "measure": ("measure", "Measure the energy of a command."),
    "status": ("status", "Show whether the daemon measures, and what."),
    "zones": ("zones", "List the zones of this host."),
    "caps": ("caps", "Set power caps, see them, give the original limits back."),
    "market": ("market", "See the market's prices, fetch them, test who gives them."),
    "plant": ("plant", "See what the plant gives, ask its feed once and judge it."),
    "miners": ("miners", "See the miners that were found, and say which may be steered."),
    "balance": ("balance", "See what the balancer does and why, and have a word in it."),
    "simulate": ("simulate", "Simulate a site under other margins and balancers."),
    "doctor": ("doctor", "Find what is wrong with measuring here, and how to mend it."),
    "capture": ("capture", "Save what a scan reads, to replay it anywhere."),
    "selfbench": ("selfbench", "Measure what measuring costs here."),
    "report": ("report", "Report on a device: its power, energy, charge and events."),
    "db": ("db", "Look after the store: check, back up, export it."),
    "config": ("settings", "Show the daemon's settings, their defaults and their schema."),
    "token": ("token", "Give out tokens of the API, list them, revoke them."),
    "hash-secret": ("hash_secret", "Hash a password or token for the daemon's settings."),
    "completion": ("completion", "Print the completion script of a shell."),
}

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_RUNNING = 3
# All of them, in one place: the help shows them, the manual page is tested against them.
EXITS = {
    EXIT_OK: "done",
    EXIT_FAILED: "it failed, or what was looked at is not well",
    EXIT_USAGE: "it was asked for in a wrong way",
    EXIT_NOT_RUNNING: "status: no daemon runs",
    128 + signal.SIGINT: "interrupted",
    128 + signal.SIGPIPE: "nobody reads its output any more",
}

EPILOG = f"""\b
Exit codes: {"; ".join(f"{code} {meaning}" for code, meaning in EXITS.items() if code < 3)};
{"; ".join(f"{code} {meaning}" for code, meaning in EXITS.items() if code >= 3)}.
`measure` exits as the command that it measured.

\b
Examples:
  joulectl top                     where the watts go, live
  joulectl measure -- make -j8     what a command costs
  joulectl --url http://host:9917 status
"""


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in VERBS and not ctx.resilient_parsing:
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(VERBS)}"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            # Here and not at the interpreter's end, where a reader that has gone would be a traceback.
            sys.stdout.flush()
        except BrokenPipeError as error:  # `joulectl zones | head`; click would make a failure of it
            # What is left in the buffer has nowhere to go, and must not be tried again at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(128 + signal.SIGPIPE) from error
        except OSError as error:  # `joulectl zones > FILE` on a full disk; what names its file is another's
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} or error.filename is not None:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            reason = os.strerror(error.errno).lower()
            raise JouledError(f"write standard output: {reason}; make room, or write it elsewhere") from error
        return result

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs from the table: click would import every module for its help."""
        verbs = [
            CompletionItem(name, help=summary) for name, (_, summary) in VERBS.items() if name.startswith(incomplete)
        ]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in VERBS.items()])


@click.command(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
    no_args_is_help=False,
)
@version_option
@click.option("--url", metavar="URL", help="The daemon to ask: unix:/PATH or http(s)://HOST:PORT.  [env: JOULED_URL]")
@click.option("--root", metavar="FILE|DIR", help="Read a captured host instead of this one.")
@click.pass_context
def command(context: click.Context, url: str | None, root: str | None) -> None:
    """Ask the power daemon, or measure by hand."""
    context.obj = Options(url or os.environ.get("JOULED_URL") or None, root)


def main() -> None:
    """One clear line for whatever the user can mend; never a traceback for it. Exits with one of `EXITS`."""
    make_outputs_ready()
    try:
        result = command.main(prog_name="joulectl", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        said = error.format_message().rstrip(".")
        fail(f"{said}; see {context.command_path if context else 'joulectl'} --help", EXIT_USAGE)
    except JouledError as error:
        fail(str(error), EXIT_FAILED)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(128 + signal.SIGINT)
    sys.exit(result if isinstance(result, int) else EXIT_OK)


def make_outputs_ready() -> None:
    """Whatever they are, they can be written to: a closed one (`>&-`) swallows, and letters that one has not
    are escaped.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  (until the end)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def fail(reason: str, code: int) -> NoReturn:
    click.echo(f"joulectl: error: {one_line(reason)}", err=True)
    sys.exit(code)
