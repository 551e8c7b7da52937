"""What `joulectl measure` says: as text for people, as a structure for programs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from msgspec import Struct

from jouled.cli.measure_run import Run
from jouled.cli.measure_stats import Ratio, Summary, compare, summary

SHORT_S = 0.1
"""Counters are renewed each millisecond: below this a run's energy is wrong by a percent and more."""
WIDTH = 10


class CommandReport(Struct, frozen=True):
    """All runs of one command. Joules of the headline: of the zone classes in `covers`."""

    command: tuple[str, ...]
    covers: tuple[str, ...]
    seconds: Summary | None
    cpu_seconds: Summary | None
    joules: Summary | None
    """Of the command and its children."""
    machine_joules: Summary | None
    """Of the whole machine meanwhile."""
    above_idle_joules: Summary | None
    zones: dict[str, dict[str, Summary | None]]
    """By class: `joules`, `machine_joules`, `above_idle_joules`."""
    runs: tuple[Run, ...]


class Comparison(Struct, frozen=True):
    """The first command by the second: a ratio below 1 is less."""

    joules: Ratio | None
    machine_joules: Ratio | None
    above_idle_joules: Ratio | None
    seconds: Ratio | None


class Report(Struct, frozen=True):
    """Everything that was measured."""

    source: str
    via: str
    policy: str
    idle_watts: dict[str, float] | None
    idle_seconds: float | None
    interrupted: bool
    commands: tuple[CommandReport, ...]
    comparison: Comparison | None
    notices: tuple[str, ...]


def report_of(command: Sequence[str], runs: Sequence[Run]) -> CommandReport:
    """The summary of a command's runs."""
    kinds = ("joules", "machine_joules", "above_idle_joules")
    names = list(dict.fromkeys(name for run in runs for name in run.zones))
    zones = {
        name: {
            kind: summary(_known(getattr(run.zones[name], kind) for run in runs if name in run.zones)) for kind in kinds
        }
        for name in names
    }
    return CommandReport(
        command=tuple(command),
        covers=runs[0].covers if runs else (),
        seconds=summary([run.seconds for run in runs]),
        cpu_seconds=summary([run.cpu_seconds for run in runs]),
        joules=summary(_known(run.total("joules") for run in runs)),
        machine_joules=summary(_known(run.total("machine_joules") for run in runs)),
        above_idle_joules=summary(_known(run.total("above_idle_joules") for run in runs)),
        zones=zones,
        runs=tuple(runs),
    )


def comparison_of(first: Sequence[Run], second: Sequence[Run]) -> Comparison:
    def ratio(kind: str) -> Ratio | None:
        return compare(*(_known(run.total(kind) for run in runs) for runs in (first, second)))

    return Comparison(
        joules=ratio("joules"),
        machine_joules=ratio("machine_joules"),
        above_idle_joules=ratio("above_idle_joules"),
        seconds=compare([run.seconds for run in first], [run.seconds for run in second]),
    )


def _known(values: Iterator[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def lines(report: Report) -> Iterator[str]:
    """The report as text."""
    how = "modelled" if report.source == "estimate" else report.source
    through = " through the daemon" if report.via == "daemon" else ""
    for one in report.commands:
        count = len(one.runs)
        yield f"{shlex.join(one.command)}  ({count} run{'' if count == 1 else 's'}; energy: {how}{through})"
        yield from _of_command(one, report)
    if report.comparison is not None and len(report.commands) == 2:
        yield from _of_comparison(report.comparison, report)
    if report.interrupted:
        yield "interrupted: this is what was measured until then"


def _of_command(one: CommandReport, report: Report) -> Iterator[str]:
    if one.seconds is None or one.cpu_seconds is None:
        yield "  no run ended"
        return
    yield _row("time", one.seconds, "s")
    cpus = one.cpu_seconds.mean / one.seconds.mean if one.seconds.mean else 0.0
    yield _row("CPU time", one.cpu_seconds, "s", f"{cpus:.2f} CPUs")
    sections = [
        ("the command and its children, by their share of all CPU time", "joules"),
        ("the whole machine meanwhile", "machine_joules"),
    ]
    if report.idle_watts is not None:
        watts = ", ".join(f"{name} {power:.3g} W" for name, power in report.idle_watts.items())
        sections.append(
            (f"the machine above idle ({watts}, measured for {report.idle_seconds:g} s)", "above_idle_joules")
        )
    for title, kind in sections:
        yield f"  {title}"
        for name, found in one.zones.items():
            value = found[kind]
            if value is None:
                yield f"    {name:<{WIDTH}} not known"
            else:
                yield "  " + _row(
                    name, value, "J", f"{value.mean / one.seconds.mean:.3g} W" if one.seconds.mean else ""
                )
    yield from _remarks(one)


def _row(name: str, value: Summary, unit: str, more: str = "") -> str:
    text = f"  {name:<{WIDTH}} {_number(value.mean)} {unit}"
    if value.confidence is not None:
        text += f" ± {_number(value.confidence)} {unit}   {_number(value.minimum)} … {_number(value.maximum)} {unit}"
    return f"{text}   {more}".rstrip()


def _number(value: float) -> str:
    """Four digits that count, and no exponent for what people measure."""
    return f"{value:.4g}" if 1e-4 <= abs(value) < 1e6 or value == 0 else f"{value:.3e}"


def _remarks(one: CommandReport) -> Iterator[str]:
    if one.seconds is not None and one.seconds.mean < SHORT_S:
        yield "  ! shorter than 100 ms: counters are renewed each millisecond; measure more work, or --repeat"
    odd = sorted({*(one.seconds.outliers if one.seconds else ()), *(one.joules.outliers if one.joules else ())})
    if odd:
        yield f"  ! runs {', '.join(str(run + 1) for run in odd)} lie far off the others: something else ran; --warmup helps"
    if len({run.cpu_by for run in one.runs} & {"rusage"}):
        yield "  CPU time is by wait(2): children whose parents ignore their end are not in it (as root a cgroup counts all)"
    for survivor in one.runs[-1].still_running:
        yield f"  ! still running: {survivor.name} (pid {survivor.pid}, {survivor.cpu_s:.2f} s CPU, which is in the sum)"
    for problem in dict.fromkeys(problem for run in one.runs for problem in run.problems):
        yield f"  ! {problem}"


def _of_comparison(comparison: Comparison, report: Report) -> Iterator[str]:
    first, second = (shlex.join(one.command) for one in report.commands)
    found = comparison.joules
    which = "energy of the command"
    if report.idle_watts is not None:
        found, which = comparison.above_idle_joules, "energy above idle"
    if found is None:
        yield f"no difference can be told: the {which} is not known of both"
    elif found.low is None or found.high is None:
        yield f"{which}: {first} takes {found.ratio:.3g} times that of {second}; one run each tells no difference: --repeat 10"
    elif found.verdict == 0:
        yield (
            f"no difference can be told: {first} takes {found.ratio:.3f} times the {which} of {second} "
            f"(95 %: {found.low:.3f} to {found.high:.3f}); more runs may tell"
        )
    else:
        ratio, low, high = (found.ratio, found.low, found.high)
        less, more = first, second
        if found.verdict > 0:
            less, more = second, first
        else:
            ratio, low, high = 1 / ratio, 1 / high, 1 / low
        yield f"{less} uses less: {more} takes {ratio:.3f} times its {which} (95 %: {low:.3f} to {high:.3f})"
