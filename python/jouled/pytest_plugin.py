"""The energy of tests: `--joules`, the `joules` fixture, `@pytest.mark.joules(max=...)` and a baseline file.

Nothing of it is imported or measured before a test, or the command line, asks for it.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # imported where a test asks for it: a run that measures nothing pays nothing
    from jouled.measurement import Measurement, Result

PROPERTY = "joules"
BASELINE_VERSION = 1

# A marked test is repeated until its mean is known to this part of itself, or is surely within or beyond its limit.
PRECISION = 0.05
ROUNDS_MIN = 3
ROUNDS_MAX = 30
SECONDS_MAX = 60.0

# Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom; beyond them 2.0 is near enough.
STUDENT_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11,
             2.10, 2.09, 2.09, 2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05, 2.05, 2.04)  # fmt: skip

_is_round = pytest.StashKey[bool]()


@dataclass(frozen=True)
class Finding:
    """What a test used: the mean of its rounds in joules, and its 95 % confidence interval where there
    were several. `max_joules` is its limit, `verdict` what came of comparing.
    """

    test: str
    joules: float | None
    low: float | None
    high: float | None
    seconds: float
    rounds: int
    source: str
    scope: str
    max_joules: float | None = None
    verdict: str = ""
    is_failed: bool = False
    problem: str = ""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("joules", "energy of tests")
    group.addoption("--joules", action="store_true", help="Measure every test and report its joules.")
    group.addoption(
        "--joules-baseline", metavar="FILE", help="Compare tests marked `joules` with those of an earlier run."
    )
    group.addoption("--joules-update", action="store_true", help="Write the baseline file anew from this run.")
    group.addoption("--joules-strict", action="store_true", help="Fail also where energy is an estimate, or not known.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "joules(max=None, scope='process', rounds=30, seconds=60): repeat the test until its energy is known, "
        "and fail it where that is surely more than max joules",
    )
    if config.getoption("joules_update") and not config.getoption("joules_baseline"):
        raise pytest.UsageError("--joules-update: no file to write; name it with --joules-baseline FILE")
    if not config.getoption("joules_update"):
        _baseline(config)  # refused now, not in the middle of the run


@pytest.fixture
def joules(request: pytest.FixtureRequest) -> Iterator[Joules]:
    """Measures parts of a test.

    >>> with joules("load") as m:
    ...     load()
    >>> assert m.joules < 5
    """
    recorder = Joules()
    yield recorder
    for result in recorder.results():
        name = f"{request.node.nodeid}::{result.name}" if result.name else request.node.nodeid
        _record(request.node, _finding(name, [result], None))


class Joules:
    """What the `joules` fixture gives: called like `jouled.measure`, it keeps what was measured."""

    def __init__(self) -> None:
        self._measurements: list[Measurement] = []

    def __call__(self, name: str = "", **how: Any) -> Measurement:
        from jouled.measurement import measure

        measurement = measure(name, **how)
        self._measurements.append(measurement)
        return measurement

    def results(self) -> list[Result]:
        """Those that have ended."""
        return [measurement.result for measurement in self._measurements if measurement.has_ended]

    @property
    def is_estimate(self) -> bool:
        """Whether this host has no sensor, and energy is a model's."""
        from jouled import meter

        return meter.default().source == "estimate"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    mark = pyfuncitem.get_closest_marker("joules")
    if (mark is None and not pyfuncitem.config.getoption("joules")) or pyfuncitem.stash.get(_is_round, False):
        return (yield)
    from jouled.measurement import measure

    wanted = _wanted(pyfuncitem, mark)
    measurement = measure(pyfuncitem.nodeid, scope=wanted["scope"]).start()
    results: list[Result] = []
    try:
        outcome = yield
    finally:
        results.append(measurement.stop())
        if mark is None:
            _record(pyfuncitem, _finding(pyfuncitem.nodeid, results, None))
    if mark is not None:
        _repeat(pyfuncitem, wanted, results)
        _judge(pyfuncitem, _finding(pyfuncitem.nodeid, results, wanted["max"]))
    return outcome


def _wanted(item: pytest.Function, mark: pytest.Mark | None) -> dict[str, Any]:
    """The mark's arguments; a wrong one is said with the known ones."""
    wanted: dict[str, Any] = {"max": None, "scope": "process", "rounds": ROUNDS_MAX, "seconds": SECONDS_MAX}
    if mark is not None:
        unknown = sorted(set(mark.kwargs) - set(wanted))
        if unknown or mark.args:
            said = ", ".join(map(repr, [*mark.args, *unknown]))
            raise pytest.UsageError(
                f"{item.nodeid}: pytest.mark.joules does not take {said}; it takes {', '.join(wanted)}"
            )
        wanted.update(mark.kwargs)
    return wanted


def _repeat(item: pytest.Function, wanted: Mapping[str, Any], results: list[Result]) -> None:
    """Further rounds, with the same fixtures, until enough is known."""
    from jouled.measurement import measure

    end_s = time.monotonic() + wanted["seconds"]
    item.stash[_is_round] = True
    try:
        while len(results) < wanted["rounds"] and time.monotonic() < end_s:
            if results[-1].joules is None or _is_enough(results, wanted["max"]):
                return
            with measure(item.nodeid, scope=wanted["scope"]) as measurement:
                item.ihook.pytest_pyfunc_call(pyfuncitem=item)
            results.append(measurement.result)
    finally:
        item.stash[_is_round] = False


def _is_enough(results: Sequence[Result], max_joules: float | None) -> bool:
    energies = [result.joules for result in results if result.joules is not None]
    if len(energies) < ROUNDS_MIN:
        return False
    mean, low, high = interval(energies)
    if low is None or high is None:
        return False
    is_decided = max_joules is not None and (high <= max_joules or low > max_joules)
    return is_decided or high - mean <= PRECISION * mean


def interval(energies: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The mean and its 95 % confidence interval; of one value there is none."""
    mean = statistics.fmean(energies)
    if len(energies) < 2:
        return mean, None, None
    freedom = len(energies) - 1
    quantile = STUDENT_T[freedom - 1] if freedom <= len(STUDENT_T) else 2.0
    half = quantile * statistics.stdev(energies) / math.sqrt(len(energies))
    return mean, mean - half, mean + half


def _finding(name: str, results: Sequence[Result], max_joules: float | None) -> Finding:
    energies = [result.joules for result in results if result.joules is not None]
    mean, low, high = interval(energies) if energies else (None, None, None)
    last = results[-1]
    return Finding(
        test=name,
        joules=mean,
        low=low,
        high=high,
        seconds=statistics.fmean(result.seconds for result in results),
        rounds=len(results),
        source=last.source,
        scope=last.scope,
        max_joules=max_joules,
        problem="; ".join(last.problems) if last.joules is None else "",
    )


def _judge(item: pytest.Function, finding: Finding) -> None:
    """Records the finding of a marked test and fails the test where it used too much."""
    is_updating = item.config.getoption("joules_update")
    before = None if is_updating else _baseline(item.config).get(finding.test)
    reason = judge(finding, before)
    is_believed = item.config.getoption("joules_strict") or finding.source != "estimate"
    is_failed = bool(reason) and is_believed and (finding.joules is not None or item.config.getoption("joules_strict"))
    verdict = reason if is_failed or not reason else f"{reason} (not failed: {_doubt(finding)})"
    _record(item, Finding(**{**asdict(finding), "verdict": verdict, "is_failed": is_failed}))
    if is_failed:
        pytest.fail(f"{shown(finding)}: {reason}", pytrace=False)


def _doubt(finding: Finding) -> str:
    return "its energy is not known" if finding.joules is None else "an estimate"


def judge(finding: Finding, before: Mapping[str, Any] | None) -> str:
    """Why it used too much, or cannot be told; empty where it did not. Only what is sure counts: the whole
    interval lies beyond the limit, or beyond the whole interval of the baseline.
    """
    if finding.joules is None:
        return f"energy not known: {finding.problem or 'not measured'}"
    low = finding.joules if finding.low is None else finding.low
    if finding.max_joules is not None and low > finding.max_joules:
        return f"more than {finding.max_joules:.4g} J"
    is_like = before is not None and (before["source"], before["scope"]) == (finding.source, finding.scope)
    if before is not None and is_like and low > before["high"]:
        return f"more than the baseline's {before['low']:.4g} to {before['high']:.4g} J"
    return ""


def shown(finding: Finding) -> str:
    """`1.23 J (1.20 to 1.26, 5 rounds, estimate)`."""
    if finding.joules is None:
        return "unknown"
    spread = "" if finding.low is None or finding.high is None else f"{finding.low:.4g} to {finding.high:.4g}, "
    rounds = f"{finding.rounds} round{'s' * (finding.rounds != 1)}"
    return f"{finding.joules:.4g} J ({spread}{rounds}, {finding.source})"


def _record(item: pytest.Item, finding: Finding) -> None:
    # A report's properties also reach JUnit XML, and the controller of tests that run in many processes.
    item.user_properties.append((PROPERTY, json.dumps(asdict(finding))))


# ---- the baseline file ----

_tests = pytest.StashKey[Mapping[str, Any]]()


def _baseline(config: pytest.Config) -> Mapping[str, Any]:
    """The earlier findings by test; read once."""
    name = config.getoption("joules_baseline")
    if not name:
        return {}
    if _tests not in config.stash:
        config.stash[_tests] = read_baseline(Path(name))
    return config.stash[_tests]


def read_baseline(path: Path) -> Mapping[str, Any]:
    """Raises pytest.UsageError for a file that cannot be read, or is none of ours."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["version"]
        tests: Mapping[str, Any] = content["tests"]
        for row in tests.values():
            _ = float(row["low"]), float(row["high"]), str(row["source"]), str(row["scope"])
    except OSError as error:
        raise pytest.UsageError(f"read {path}: {error.strerror}; make it with --joules-update") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise pytest.UsageError(f"read {path}: no baseline ({error}); make it anew with --joules-update") from error
    if version != BASELINE_VERSION:
        raise pytest.UsageError(
            f"read {path}: version {version!r} is not {BASELINE_VERSION}; make it anew with --joules-update"
        )
    return tests


def write_baseline(path: Path, findings: Sequence[Finding]) -> None:
    """The findings of repeated tests, and of those that did not run this time the earlier ones."""
    tests = dict(read_baseline(path)) if path.exists() else {}
    for finding in findings:
        if finding.low is not None and finding.high is not None:
            row = {name: getattr(finding, name) for name in ("joules", "low", "high", "rounds", "source", "scope")}
            tests[finding.test] = row
    text = json.dumps({"version": BASELINE_VERSION, "tests": dict(sorted(tests.items()))}, indent=2)
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    beside.write_text(f"{text}\n", encoding="utf-8")
    beside.replace(path)


# ---- the report ----


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    findings = list(_findings(terminalreporter))
    if not findings:
        return
    if config.getoption("joules_update"):
        path = Path(config.getoption("joules_baseline"))
        write_baseline(path, findings)
    terminalreporter.section("joules")
    for finding in sorted(findings, key=lambda finding: -(finding.joules or 0.0)):
        line = f"{shown(finding):<44} {finding.seconds:8.3f} s  {finding.test}"
        terminalreporter.line(f"{line}: {finding.verdict}" if finding.verdict else line, red=finding.is_failed)
    known = [finding.joules for finding in findings if finding.joules is not None]
    sources = ", ".join(sorted({finding.source for finding in findings}))
    terminalreporter.line(f"{sum(known):.4g} J in all, each test once ({sources})")
    if any(finding.source == "estimate" for finding in findings):
        terminalreporter.line("estimate: a model of CPU load and no measurement; limits are not held against it")


def _findings(terminalreporter: Any) -> Iterator[Finding]:
    """From the last report of each test, which has all of its properties."""
    properties: dict[str, list[tuple[str, object]]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and len(report.user_properties) >= len(
                properties.get(report.nodeid, [])
            ):
                properties[report.nodeid] = list(report.user_properties)
    for pairs in properties.values():
        yield from (Finding(**json.loads(str(text))) for name, text in pairs if name == PROPERTY)
