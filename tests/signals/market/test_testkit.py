"""The test kit over jouled's own providers, over bodies that hypothesis makes, and over what the guide shows."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from importlib import invalidate_caches
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jouled.books.prices import Series
from jouled.http import AnswerError, Http, MissingError, QuestionError
from jouled.signals.market import awattar, csv_file, energy_charts, nordpool, octopus, smard
from jouled.signals.market.mock import Mock
from jouled.signals.market.provider import CET, Parameter, Request
from jouled.signals.market.registry import find, listing, names
from jouled.signals.market.slots import Origin
from jouled.signals.market.testkit import Recorded, check_provider, check_series, spoiled

ROOM = Path(__file__).parent
DAY = date(2026, 5, 4)
NOW = datetime(2026, 5, 3, 11, tzinfo=UTC)
SMARD = "https://www.smard.de/app/chart_data/4169/DE-LU"
RATES = (
    "https://api.octopus.energy/v1/products/AGILE-24-10-01/electricity-tariffs/E-1R-AGILE-24-10-01-C"
    "/standard-unit-rates/"
)


def recorded(name: str) -> bytes:
    return (ROOM / "fixtures" / f"{name}.json").read_bytes()


def answers_of(name: str) -> dict[str, bytes]:
    if name == "smard":
        return {
            f"{SMARD}/index_quarterhour.json": recorded(f"smard_index_{DAY}"),
            f"{SMARD}/4169_DE-LU_quarterhour_1777240800000.json": recorded(f"smard_before_{DAY}"),
            f"{SMARD}/4169_DE-LU_quarterhour_1777845600000.json": recorded(f"smard_week_{DAY}"),
        }
    if name == "octopus":
        first = recorded(f"octopus_{DAY}_1")
        return {RATES: first, json.loads(first)["next"]: recorded(f"octopus_{DAY}_2")}
    address = {
        "energy-charts": f"{energy_charts.URL}/price",
        "awattar": f"{awattar.URLS['DE-LU']}/v1/marketdata",
        "nordpool": f"{nordpool.URL}/api/DayAheadPrices",
    }[name]
    return {address: recorded(f"{name.replace('-', '_')}_{DAY}")}


@pytest.mark.parametrize(
    ("name", "count"), [("energy-charts", 96), ("awattar", 24), ("nordpool", 96), ("smard", 96), ("octopus", 48)]
)
def test_every_provider_of_jouled_passes(name: str, count: int) -> None:
    zone = "GB-C" if name == "octopus" else "DE-LU"
    assert len(check_provider(find(name), answers_of(name), DAY, zone=zone).slots) == count


# Anything at all, in place of an answer.


def origin(zone: str = "DE-LU", currency: str = "EUR") -> Origin:
    return Origin("x", zone, DAY, CET, NOW, "GET http://x", currency)


PARSERS: dict[str, Callable[[bytes], Series | None]] = {
    "energy-charts": lambda body: energy_charts.parse(body, origin()),
    "awattar": lambda body: awattar.parse(body, origin()),
    "nordpool": lambda body: nordpool.parse(body, origin()),
    "smard": lambda body: smard.parse([body], origin()),
    "smard-index": lambda body: _no_series(smard.weeks(body, origin())),
    "octopus": lambda body: octopus.parse([body], origin("GB-C", "GBP")),
    "octopus-next": lambda body: _no_series(octopus.next_of(body, RATES, "GET http://x")),
    "csv": lambda body: csv_file.parse(body, origin()),
}
BODIES = {
    "energy-charts": [recorded(f"energy_charts_{DAY}")],
    "awattar": [recorded(f"awattar_{DAY}")],
    "nordpool": [recorded(f"nordpool_{DAY}")],
    "smard": [json.dumps({"series": json.loads(recorded(f"smard_week_{DAY}"))["series"][:100]}).encode()],
    "smard-index": [recorded(f"smard_index_{DAY}")],
    "octopus": [recorded("octopus_2026-03-29"), recorded(f"octopus_{DAY}_1")],
    "octopus-next": [recorded(f"octopus_{DAY}_1")],
    "csv": [(ROOM / "fixtures" / "epex_data_2025-10-09.csv").read_bytes()],
}


def _no_series(_: Any) -> None:
    return None


def parsed(name: str, body: bytes) -> Series | None:
    """A series that can be; None for the errors that a body may end in, and for what is no series."""
    try:
        series = PARSERS[name](body)
    except (AnswerError, MissingError) as error:
        if not str(error).isprintable() or len(str(error)) > 2000:
            pytest.fail(f"an error that is no line: {error!r}")
        return None
    if series is not None:
        check_series(series, Request(series.zone, {}), DAY, NOW)
    return series


@pytest.mark.parametrize("name", list(PARSERS))
@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=300))
def test_any_bytes_are_a_series_or_one_error(name: str, body: bytes) -> None:
    parsed(name, body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.dates().map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize("name", list(PARSERS))
@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 1), replaced=JSON, at=st.floats(0, 1), noise=st.binary(max_size=4))
def test_a_recorded_answer_with_anything_in_it_is_a_series_or_one_error(
    name: str, cut: float, replaced: Any, at: float, noise: bytes
) -> None:
    for body in BODIES[name]:
        index = int(cut * len(body))
        parsed(name, body[:index])
        parsed(name, body[:index] + noise + body[index:])
        parsed(name, body[:index] + noise + body[index + len(noise) :])
        if name != "csv":
            content = json.loads(body)
            _replace(content, at, replaced)
            parsed(name, json.dumps(content).encode())


def _replace(content: Any, at: float, replaced: Any) -> None:
    """One value of all, chosen by `at` from 0 to 1."""
    places: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting:
        one = waiting.pop()
        inner = list(one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ())
        places += [(one, key) for key, _ in inner]
        waiting += [value for _, value in inner]
    parent, key = places[min(int(at * len(places)), len(places) - 1)]
    parent[key] = replaced


@pytest.mark.parametrize("name", list(PARSERS))
def test_every_way_in_which_the_kit_spoils_an_answer_is_a_series_or_one_error(name: str) -> None:
    outcomes = [parsed(name, bad) for body in BODIES[name] for _, bad in spoiled(body)]
    assert len(outcomes) > 20
    if name in {"energy-charts", "awattar", "nordpool", "smard", "octopus"}:
        assert None in outcomes


# The kit finds what it is there to find.


class Naive:
    """A third party's, written in a hurry."""

    name = "naive"
    description = "prices of nobody; no key"
    parameters: tuple[Parameter, ...] = ()
    zones: tuple[str, ...] = ()
    timezone = CET
    published = Mock.published
    notice: str | None = None
    URL = "https://naive.example/prices"

    def __init__(self, http: Http) -> None:
        self._http = http

    @classmethod
    def open(cls, request: Request, http: Http) -> Self:
        return cls(http)

    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        answer = await self._http.get(self.URL)
        return energy_charts.parse(answer.body, Origin(self.name, "DE-LU", delivery_day, CET, now, answer.where))


class Trusting(Naive):
    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        answer = await self._http.get(self.URL)
        json.loads(answer.body)
        return await super().fetch(delivery_day, now)


class Hiding(Naive):
    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        try:
            return await super().fetch(delivery_day, now)
        except AnswerError:
            raise
        except Exception as error:
            raise QuestionError("something went wrong") from error


class Elsewhere(Naive):
    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        return (await super().fetch(delivery_day, now))._replace(zone="FR")


class Shapeless(Naive):
    published = None  # type: ignore[assignment]  # that is what is wrong with it


def kit(kind: type[Naive], answers: Mapping[str, bytes | Recorded] | None = None) -> Series:
    return check_provider(kind, answers or {Naive.URL: recorded(f"energy_charts_{DAY}")}, DAY, zone="DE-LU")


def test_a_provider_that_keeps_its_promises_passes() -> None:
    assert len(kit(Naive).slots) == 96


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Trusting, r"https://naive.example/prices with .* raise AnswerError instead"),
        (Hiding, r"naive: 204 became QuestionError.*, not MissingError"),
        (Elsewhere, r"it is of another zone, day or fetch"),
        (Shapeless, r"is no provider: its published is no time"),
    ],
)
def test_a_provider_that_does_not_is_found_out(kind: type[Naive], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        kit(kind)


def test_a_recorded_answer_that_is_not_there_is_missing() -> None:
    with pytest.raises(MissingError, match=r"GET https://naive.example/prices: 404"):
        kit(Naive, {"https://naive.example/other": b"{}"})


# The guide for third parties.

GUIDE = (ROOM.parents[2] / "docs" / "market-provider.md").read_text()


def test_what_the_guide_shows_is_a_provider_and_a_test_that_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = dict(re.findall(r"^`(\w+\.(?:py|toml|json))`:\n\n```\w+\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
    assert set(blocks) == {"example_prices.py", "pyproject.toml", "test_example_prices.py", "day.json"}
    for name, text in blocks.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__file__": str(tmp_path / "test_example_prices.py")}
    exec(compile(blocks["test_example_prices.py"], "test_example_prices.py", "exec"), namespace)
    tests = [value for name, value in namespace.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()
    # As pip leaves it behind.
    (tmp_path / "example_prices-1.0.dist-info").mkdir()
    (tmp_path / "example_prices-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: example-prices\nVersion: 1.0\n"
    )
    project = tomllib.loads(blocks["pyproject.toml"])["project"]
    ((group, points),) = project["entry-points"].items()
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (tmp_path / "example_prices-1.0.dist-info" / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    invalidate_caches()
    assert names()[-1] == "example"
    assert find("example").description == "hourly prices of example.org for FR; a key by mail; for customers only"
    assert listing().providers[-1].origin == "example-prices"
