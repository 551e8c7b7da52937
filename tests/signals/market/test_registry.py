from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from jouled.config.market import Market
from jouled.errors import ConfigError
from jouled.http import Http
from jouled.signals.market.mock import Mock
from jouled.signals.market.provider import GROUP, Parameter, Provider, Request
from jouled.signals.market.registry import (
    BUILT_IN,
    check_names,
    checked,
    find,
    listing,
    names,
    open_provider,
    problems,
    request_of,
)
from jouled.signals.market.testkit import transport_of

KNOWN = "energy-charts, awattar, nordpool, smard, octopus"


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http("market", transport=transport_of({})) as http:
        yield http


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place from which modules of other packages are imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


GOOD = """
from jouled.signals.market.mock import Mock
class Good(Mock):
    name = "good"
    def __init__(self, zone, timezone):
        super().__init__(zone, timezone)
"""


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_every_built_in_provider_says_who_it_is(name: str) -> None:
    kind = find(name)
    assert kind.name == name
    assert kind.description
    assert "\n" not in kind.description
    assert all(about.description.endswith(".") for about in kind.parameters)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=f"market.providers: there is no provider 'epexx'; known are {KNOWN}"):
        find("epexx")
    with pytest.raises(ConfigError, match=rf"no provider 'x\\ny'; known are {KNOWN}"):
        check_names(Market(providers=("mock", "x\ny")))


def test_a_third_party_s_provider_is_found_by_its_entry_point(package: Path) -> None:
    (package / "other_good.py").write_text(GOOD)
    others = [point("good", "other_good:Good")]
    assert names(others)[-1] == "good"
    assert find("good", others).name == "good"
    found = listing(others)
    assert [(one.name, one.origin) for one in found.providers][-2:] == [("static", "jouled"), ("good", "other_good")]
    assert not found.problems


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("raise RuntimeError('no network')", "RuntimeError: no network"),
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named"),
        ("Broken = 1", "it is no class"),
        ("class Broken: name = 'broken'", "its description is no str"),
        ("from jouled.signals.market.mock import Mock\nclass Broken(Mock): name = 'other'", "its name is 'other'"),
        ("from jouled.signals.market.mock import Mock\nclass Broken(Mock):\n name='broken'\n fetch=1", "no open or no"),
        (
            "from jouled.signals.market.mock import Mock\nclass Broken(Mock):\n name='broken'\n parameters=(1,)",
            "are not",
        ),
        (
            "from jouled.signals.market.mock import Mock\nclass Broken(Mock):\n name='broken'\n published=1",
            "is no time",
        ),
    ],
)
def test_a_broken_one_of_others_is_one_problem_and_the_rest_is_there(
    package: Path, text: str, why: str, request: pytest.FixtureRequest
) -> None:
    module = f"broken_{abs(hash(request.node.name))}"  # Python keeps what it has imported
    (package / f"{module}.py").write_text(text)
    others = [point("broken", f"{module}:Broken")]
    found = listing(others)
    assert [one.name for one in found.providers] == list(BUILT_IN)
    (problem,) = found.problems
    assert problem.startswith(f"market provider broken of {module} cannot be used: ")
    assert why in problem
    with pytest.raises(ConfigError, match="cannot be used"):
        find("broken", others)
    assert "broken" in names(others)  # not imported to be named


def test_jouled_s_own_wins_over_a_name_that_is_there_and_it_is_said(package: Path) -> None:
    (package / "other_mock.py").write_text(GOOD)
    others = [point("mock", "other_mock:Good"), point("mine", "b_package:X"), point("mine", "a_package:X")]
    assert find("mock", others) is Mock
    assert names(others).count("mock") == 1
    assert problems(others) == (
        f"market provider mine of b_package is not used: a_package has one of that name; rename it in {GROUP}",
        f"market provider mock of other_mock is not used: jouled has one of that name; rename it in {GROUP}",
    )


ABOUT = (
    Parameter("token", "The key that ENTSO-E sends by mail.", is_secret=True),
    Parameter("kind", "Which prices.", "sdac", allowed=("sdac", "exaa")),
)


def test_parameters_have_defaults_and_secrets_are_read(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    given = {"token": "credential:token"}
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert checked("entsoe", ABOUT, given, environ) == {"token": "s3cret", "kind": "sdac"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tokn": "x"}, "market.parameters entsoe.tokn: entsoe has no such parameter; it knows token, kind"),
        ({}, 'market.parameters: entsoe needs "entsoe.token" = TOKEN as credential:NAME or file:/PATH: The key'),
        ({"token": "file:/nowhere"}, "read /nowhere: No such file or directory; put the token there"),
        ({"token": "x", "kind": "both"}, "market.parameters entsoe.kind: 'both' cannot be; write sdac or exaa"),
    ],
)
def test_parameters_that_cannot_be_name_what_can(given: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked("entsoe", ABOUT, given, {})
    assert words in str(caught.value)


def test_an_empty_secret_is_refused_and_never_shown(tmp_path: Path) -> None:
    for content in ("", "two\nlines"):
        (tmp_path / "token").write_text(content)
        with pytest.raises(ConfigError, match=r"entsoe.token file:/.*: it is empty; put one line there"):
            checked("entsoe", ABOUT, {"token": f"file:{tmp_path}/token"}, {})


def test_settings_become_what_a_provider_is_opened_with() -> None:
    settings = Market(
        providers=("nordpool", "csv"),
        zone="SE3",
        timezone="Europe/Stockholm",
        parameters={"csv.directory": "/var/lib/x", "nordpool.currency": "SEK"},
        url="https://prices.example/",
    )
    assert request_of(settings, "nordpool") == Request(
        "SE3", {"currency": "SEK"}, "https://prices.example", "Europe/Stockholm"
    )
    assert request_of(settings, "csv") == Request(
        "SE3", {"directory": "/var/lib/x", "prefix": "epex", "timezone": ""}, None, "Europe/Stockholm"
    )


@pytest.mark.parametrize("key", ["token/x", "epex.area", ".x", "mock.", "mock"])
def test_a_parameter_names_its_provider(key: str) -> None:
    with pytest.raises(ConfigError, match=f"write PROVIDER.NAME, with PROVIDER one of {KNOWN}"):
        request_of(Market(providers=("mock",), parameters={key: "x"}), "mock")


@pytest.mark.parametrize(
    ("name", "zone", "words"),
    [
        ("octopus", "DE-LU", "market.zone 'DE-LU' is none of octopus; write one of GB-A, GB-B"),
        ("octopus", "GB-I", "is none of octopus"),
        ("awattar", "FR", "write one of AT, DE-LU"),
        ("smard", "SE3", "write one of AT, BE, CH, DE-LU, FR, NL"),
        ("energy-charts", "DE", "write one of AT, BE, BG, CH, CZ, DE-AT-LU, DE-LU"),
        ("nordpool", "ES", "is none of nordpool"),
    ],
)
async def test_a_zone_that_a_provider_does_not_have_is_refused_with_those_it_has(
    http: Http, name: str, zone: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        open_provider(name, Request(zone, {}), http)
    assert words in str(caught.value)


async def test_a_provider_is_opened_with_what_it_needs(http: Http) -> None:
    with pytest.raises(ConfigError, match=r'csv needs "csv.directory" = DIRECTORY'):
        open_provider("csv", Request("FR", {}), http)
    with pytest.raises(ConfigError, match="mock has no such parameter; it knows none"):
        open_provider("mock", Request("FR", {"volume": "1"}), http)
    with pytest.raises(ConfigError, match=r"octopus.product: 'x/../y' is no product"):
        open_provider("octopus", Request("GB-C", {"product": "x/../y"}), http)
    opened = open_provider("octopus", Request("GB-C", {}), http)
    assert opened.timezone == "Europe/Brussels"


async def test_a_licence_that_binds_is_said(http: Http) -> None:
    def notice(name: str, zone: str) -> str | None:
        return open_provider(name, Request(zone, {}), http).notice

    assert notice("energy-charts", "DE-LU") is None
    assert notice("energy-charts", "ES") == "prices of ES from energy-charts are for private and internal use only"
    assert "terms" in (notice("nordpool", "SE3") or "")


async def test_what_another_s_provider_raises_when_it_is_opened_is_a_matter_of_settings(
    http: Http, package: Path
) -> None:
    (package / "other_raising.py").write_text(GOOD + "        raise KeyError('x')\n")
    (package / "other_nowhere.py").write_text(GOOD + "        self.timezone = 'Nowhere/Land'\n")
    for module, why in (("other_raising", "KeyError"), ("other_nowhere", "ZoneInfoNotFoundError")):
        with pytest.raises(ConfigError, match=f"market provider good: {why}: .*; ask who wrote it, or leave it out"):
            open_provider("good", Request("FR", {}), http, [point("good", f"{module}:Good")])


async def test_a_provider_of_jouled_is_of_the_shape_of_all(http: Http) -> None:
    opened: Provider = open_provider("mock", Request("FR", {}), http)
    series = await opened.fetch(date(2026, 5, 4), datetime(2026, 5, 3, 12, tzinfo=UTC))
    assert series.timezone == "Europe/Berlin"


def test_no_provider_is_imported_to_know_their_names() -> None:
    import subprocess
    import sys

    program = (
        "import sys, jouled.signals.market.registry as r; r.names();"
        "print([m for m in sys.modules if m.startswith('jouled.signals.market.')])"
    )
    said: Any = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "['jouled.signals.market.provider', 'jouled.signals.market.registry']"
