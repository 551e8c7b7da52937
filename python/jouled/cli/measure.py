"""`joulectl measure`: the energy, power, time and CPU time of a command and all its children."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from jouled.cli.duration import duration
from jouled.cli.joulectl import EXIT_OK, Options
from jouled.errors import JouledError, one_line

if TYPE_CHECKING:  # help must not wait for what measuring needs
    from jouled.cli.measure_report import Report
    from jouled.cli.measure_run import Outcome, Run
    from jouled.meter import Meter
    from jouled.model import Reading

EPILOG = """\b
Examples:
  joulectl measure make -j8
  joulectl measure --repeat 10 --warmup 1 -- gzip -k9 big.tar
  joulectl measure --repeat 10 --vs 'zstd -kf big.tar' -- gzip -kf big.tar
  joulectl measure --json -- ./simulate | jq .commands[0].joules.mean
  joulectl measure --idle-subtract -- sleep 10

The command's input and output are its own; the report goes to standard error, or to --output FILE. With
--json and no --output, the report goes to standard output, and the command's output to standard error.

\b
Exit codes: the command's own; 128 + N where signal N ended it, 130 after Ctrl-C; 127 not found, 126 not
executable; 1 nothing could be measured, 2 wrong usage. It stops at the first run that fails.
"""


class Plan(NamedTuple):
    """What is to be run: one command or two, each so often."""

    commands: tuple[tuple[str, ...], ...]
    repeat: int
    warmup: int
    ignores_failure: bool


@click.command(epilog=EPILOG, context_settings={"allow_interspersed_args": False})
@click.argument("words", metavar="-- COMMAND…", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--repeat", "-n", metavar="N", type=click.IntRange(1, 100_000), default=1, help="Run it N times.  [default: 1]"
)
@click.option(
    "--warmup",
    "-w",
    metavar="N",
    type=click.IntRange(0, 100_000),
    default=0,
    help="Run it N times before.  [default: 0]",
)
@click.option("--vs", metavar="COMMAND2", help="Compare with this command, in turns.")
@click.option("--idle-subtract", is_flag=True, help="Measure the idle machine before, and say what is above it.")
@click.option(
    "--idle-for",
    "idle_s",
    metavar="TIME",
    type=duration(0.5, 600),
    default=3.0,
    help="How long the idle machine is measured.  [default: 3s]",
)
@click.option("--json", "is_json", is_flag=True, help="Report as JSON.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write the report to this file.")
@click.option("--ignore-failure", "-i", is_flag=True, help="Go on after a run that fails.")
@click.option("--no-progress", is_flag=True, help="Show nothing while it runs.")
@click.option("--meter", "meters", metavar="NAME", multiple=True, help="rapl, hwmon, battery, daemon, estimate, fake.")
@click.pass_obj
def command(  # noqa: PLR0917  (click names each of them)
    options: Options,
    words: tuple[str, ...],
    repeat: int,
    warmup: int,
    vs: str | None,
    idle_subtract: bool,
    idle_s: float,
    is_json: bool,
    output: Path | None,
    ignore_failure: bool,
    no_progress: bool,
    meters: tuple[str, ...],
) -> int:
    """Measure the energy of a command and all its children."""
    if options.root is not None:
        raise click.UsageError("measure runs a command on this host: leave out --root.")
    plan = Plan((words, *_second(vs)), repeat, warmup, ignore_failure)
    file = _opened(output)
    is_on_stdout = is_json and output is None
    meter = _meter(options.url, meters)
    series = Series(
        meter,
        plan,
        progress=Progress(is_shown=sys.stderr.isatty() and not no_progress),
        stdout=sys.stderr.fileno() if is_on_stdout else None,
    )
    if idle_subtract:
        series.measure_idle(idle_s)
    series.run()
    report = series.report(idle_s if idle_subtract else None)
    if report.commands or is_json:
        _write(report, file if file is not None else sys.stdout.fileno() if is_on_stdout else None, is_json=is_json)
    return series.exit_code()


def _second(vs: str | None) -> tuple[tuple[str, ...], ...]:
    if vs is None:
        return ()
    try:
        words = tuple(shlex.split(vs))
    except ValueError as error:
        raise click.UsageError(f"--vs {vs!r}: {error}; quote it as for a shell.") from error
    if not words:
        raise click.UsageError("--vs names no command.")
    return (words,)


def _meter(url: str | None, words: Sequence[str]) -> Meter:
    from jouled.meter import Meter

    try:
        return Meter(url=url, meters=list(words) or None)
    except ValueError as error:
        raise click.UsageError(f"--meter: {error}.") from error


def _opened(output: Path | None) -> int | None:
    """Opened before anything runs: a report that cannot be written shall not cost a long measurement."""
    if output is None:
        return None
    try:
        return os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise JouledError(f"write {output}: {error.strerror}; name a file that you may write") from error


def _write(report: Report, descriptor: int | None, *, is_json: bool) -> None:
    if is_json:
        import msgspec

        text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
    else:
        from jouled.cli.measure_report import lines

        text = "".join(f"{one_line(line)}\n" for line in lines(report))
    if descriptor is None:
        click.echo(text, nl=False, err=True)
        return
    with open(descriptor, "w", encoding="utf-8", closefd=descriptor != sys.stdout.fileno()) as file:
        file.write(text)


class Progress:
    """One line on the terminal, while a run takes longer than a moment."""

    FROM_S = 1.0

    def __init__(self, *, is_shown: bool) -> None:
        self.is_shown = is_shown
        self._label = ""
        self._last: tuple[int, float] | None = None
        self._is_drawn = False

    def begin(self, label: str) -> None:
        self._label, self._last = label, None

    def pulse(self, so_far_s: float, reading: Reading | None) -> None:
        watts = ""
        if reading is not None:
            from jouled.cli.measure_run import covers

            covered = covers(dict.fromkeys(zone.zone for zone in reading.zones))
            joules = sum(zone.joules for zone in reading.zones if zone.zone in covered)
            if self._last is not None and reading.at_ns > self._last[0]:
                power_w = (joules - self._last[1]) / (reading.at_ns - self._last[0]) * 1e9
                watts = f"  {power_w:.1f} W"
            self._last = (reading.at_ns, joules)
        if so_far_s >= self.FROM_S:
            self._draw(f"{self._label}  {so_far_s:.1f} s{watts}")

    def say(self, text: str) -> None:
        """A line that a longer wait deserves."""
        if self.is_shown:
            self._draw(text)

    def end(self) -> None:
        """Leaves nothing behind."""
        if self._is_drawn:
            self._is_drawn = False
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _draw(self, text: str) -> None:
        width = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1
        sys.stderr.write(f"\r\x1b[K{one_line(text)[:width]}")
        sys.stderr.flush()
        self._is_drawn = True


class Series:
    """The runs of a plan: in turns, so that what changes meanwhile meets both commands alike."""

    def __init__(self, meter: Meter, plan: Plan, *, progress: Progress, stdout: int | None) -> None:
        self._meter = meter
        self._plan = plan
        self._progress = progress
        self._stdout = stdout
        self._runs: list[list[Run]] = [[] for _ in plan.commands]
        self._idle_w: dict[str, float] | None = None
        self._first_failure = EXIT_OK
        self._ended_by: int | None = None

    def measure_idle(self, span_s: float) -> None:
        from jouled.cli.measure_run import measure_idle

        self._progress.say(f"idle: measuring the machine for {span_s:g} s")
        self._idle_w = measure_idle(self._meter, span_s)
        self._progress.end()

    def run(self) -> None:
        """Runs until all is done, one run fails, or the user ends it."""
        plan = self._plan
        for turn in range(plan.warmup + plan.repeat):
            is_warmup = turn < plan.warmup
            for which, words in enumerate(plan.commands):
                number = f"warm-up {turn + 1}" if is_warmup else f"run {turn - plan.warmup + 1} of {plan.repeat}"
                outcome = self._once(words, f"{shlex.join(words)}: {number}")
                if not is_warmup and outcome.exec_error is None:
                    self._runs[which].append(outcome.run)
                if self._is_over(words, outcome):
                    return

    def report(self, idle_s: float | None) -> Report:
        from jouled.cli.measure_report import Report, comparison_of, report_of

        pairs = zip(self._plan.commands, self._runs, strict=True)
        return Report(
            source=self._meter.source,
            via=self._meter.via,
            policy="ratio",
            idle_watts=self._idle_w,
            idle_seconds=idle_s,
            interrupted=self._ended_by is not None,
            commands=tuple(report_of(words, runs) for words, runs in pairs if runs),
            comparison=comparison_of(*self._runs) if all(self._runs) and len(self._runs) == 2 else None,
            notices=self._meter.notices,
        )

    def exit_code(self) -> int:
        """The command's own; after a signal to end it all, that of the signal."""
        return 128 + self._ended_by if self._ended_by is not None else self._first_failure

    def _once(self, words: Sequence[str], label: str) -> Outcome:
        from jouled.cli.measure_run import measure_once

        self._progress.begin(label)
        pulse = self._progress.pulse if self._progress.is_shown else None
        try:
            return measure_once(words, self._meter, idle_w=self._idle_w, stdout=self._stdout, pulse=pulse)
        finally:
            self._progress.end()

    def _is_over(self, words: Sequence[str], outcome: Outcome) -> bool:
        self._ended_by = outcome.ended_by
        code = outcome.run.exit_code
        if code and self._first_failure == EXIT_OK:
            self._first_failure = code
        if outcome.exec_error is not None:
            reason = os.strerror(outcome.exec_error).lower()
            program = one_line(words[0]) or "(empty name)"
            click.echo(f"joulectl: error: run {program}: {reason}; name a program, or sh -c 'COMMAND'", err=True)
            return True
        if code and not self._plan.ignores_failure and self._plan.repeat + self._plan.warmup + len(self._runs) > 2:
            what = f"signal {signal.Signals(code - 128).name}" if 128 < code < 128 + 32 else f"exit code {code}"
            if outcome.ended_by is None:
                click.echo(f"joulectl: {one_line(shlex.join(words))}: {what}; stopped here (go on with -i)", err=True)
            return True
        return outcome.ended_by is not None
