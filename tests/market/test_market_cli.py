"""`joulectl market`, over providers that ask nobody and over the store itself."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from answering import answering
from jouled.bookkeeping import market as books
from jouled.cli import joulectl
from jouled.cli.market_judge import judged
from jouled.errors import ConfigError, JouledError
from jouled.signals.market.mock import Mock
from jouled.store import Store
from trading import series

NIGHT_OF_25_HOURS = date(2026, 10, 25)


class Ctl:
    """joulectl market with settings and a store of its own."""

    def __init__(self, folder: Path, text: str = 'providers = ["mock"]\n') -> None:
        self.folder = folder
        (folder / "jouled.toml").write_text(f'state_dir = "{folder}"\n[market]\n{text}')
        with Store(state_dir=str(folder)):
            pass

    def call(self, *words: str) -> Result:
        fixed = ("market", f"--config={self.folder}/jouled.toml")
        return CliRunner().invoke(joulectl.command, [*fixed, *words], catch_exceptions=False, standalone_mode=False)

    def run(self, *words: str) -> str:
        done = self.call(*words)
        assert not done.return_value, done.output
        return done.stdout

    def kept(self, day: date) -> list[Any]:
        with Store(state_dir=str(self.folder)) as store:
            return store.read(lambda c: books.of_day(c, "DE-LU", day, ["mock", "energy-charts", "awattar"]))


@pytest.fixture
def ctl(tmp_path: Path) -> Ctl:
    return Ctl(tmp_path)


def test_prices_that_were_fetched_are_printed_kept_and_shown(ctl: Ctl) -> None:
    fetched = ctl.run("fetch", "--day", "2026-10-25").splitlines()
    assert fetched[0].startswith("mock DE-LU day-ahead 2026-10-25: 100 slots, EUR/MWh, estimated, fetched ")
    assert fetched[1].split() == ["DAY", "PERIOD", "OFFSET", "EUR/MWh", "MWh"]
    assert len(fetched) == 102
    assert len(ctl.kept(NIGHT_OF_25_HOURS)[0].slots) == 100
    shown = ctl.run("show", "--day", "2026-10-25").splitlines()
    assert shown[2:] == fetched[2:]
    assert ", stored, fetched " in shown[0]


def test_in_the_night_of_25_hours_labels_are_told_apart_by_their_offset_and_the_last_one_ends_at_24(ctl: Ctl) -> None:
    rows = [line.split() for line in ctl.run("fetch", "--day", "2026-10-25").splitlines()[2:]]
    assert [row[2] for row in rows if row[1] == "02:00-02:15"] == ["+02:00", "+01:00"]
    assert rows[-1][:3] == ["2026-10-25", "23:45-24:00", "+01:00"]


def test_prices_are_saved_in_the_originals_columns(ctl: Ctl) -> None:
    ctl.run("fetch", "mock", "--day", "2026-05-04", "--csv", str(ctl.folder), "--no-store")
    lines = (ctl.folder / "mock_data_2026-05-04.csv").read_text().splitlines()
    assert (lines[0], len(lines)) == ("Period,Volume (MWh),Price (€/MWh)", 97)
    assert lines[1].startswith("00:00-00:15,")
    assert ctl.kept(date(2026, 5, 4)) == []


def test_json_is_that_of_the_api(ctl: Ctl) -> None:
    found = json.loads(ctl.run("fetch", "--day", "2026-03-29", "--json"))
    assert (found["count"], len(found["series"][0]["slots"])) == (1, 92)
    assert found["series"][0]["slots"][0]["price"] == 128
    assert json.loads(ctl.run("show", "--day", "2026-03-29", "--json"))["series"][0]["origin"] == "stored"


def test_a_store_that_is_not_there_keeps_prices_from_nobody(tmp_path: Path) -> None:
    ctl = Ctl(tmp_path)
    (tmp_path / "jouled.sqlite").unlink()
    done = ctl.call("fetch", "--day", "2026-05-04")
    assert done.stdout.startswith("mock DE-LU")
    assert "joulectl: not kept: open" in done.stderr


def test_where_nothing_is_known_the_way_to_know_is_said(ctl: Ctl) -> None:
    with pytest.raises(JouledError, match="nothing is known of 2026-01-01 in DE-LU; see joulectl market fetch --day"):
        ctl.run("show", "--day", "2026-01-01")


def test_providers_are_listed_with_what_they_want_to_know(ctl: Ctl) -> None:
    text = ctl.run("providers")
    assert "\n  csv.directory: Where the files are. (required)\n" in text
    found = json.loads(ctl.run("providers", "--json"))
    assert {"energy-charts", "mock"} <= {one["name"] for one in found["providers"]}


def test_an_unknown_provider_is_refused_with_those_that_are_known(ctl: Ctl) -> None:
    with pytest.raises(ConfigError, match=r"there is no provider 'epexx'; known are energy-charts, .*, mock, static"):
        ctl.run("fetch", "epexx")


@pytest.mark.parametrize("day", ["2026-02-30", "20260504", "yesterday", "2026-W10-1", "9999-12-31", "0001-01-01"])
def test_what_is_no_day_is_refused(ctl: Ctl, day: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is no day; write 2026-03-01, today or tomorrow"):
        ctl.run("fetch", "--day", day)


def test_a_provider_that_answers_well_is_judged_so(ctl: Ctl) -> None:
    lines = ctl.run("test", "mock", "--day", "2026-10-25").splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        [word, "ok"] for word in ("answer", "coverage", "resolution", "quality", "prices", "volumes", "licence")
    ]
    assert "100 slots of a day of 25 h" in lines[2]
    assert ctl.kept(NIGHT_OF_25_HOURS) == []


def test_a_provider_that_does_not_answer_well_ends_with_1(tmp_path: Path) -> None:
    with answering() as server:
        server.tell("/price", b"<html>are you a robot?</html>")
        ctl = Ctl(tmp_path, f'providers = ["energy-charts"]\nurl = "{server.url}"\n')
        done = ctl.call("test", "energy-charts", "--day", "2026-05-04")
    assert done.return_value == 1
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [["answer", "BAD"]]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (KeyError("no such thing"), "mock: KeyError 'no such thing'; a defect of the provider"),
        (series(date(2026, 5, 4), provider="other"), "mock: the series says it is of 'other'"),
    ],
)
def test_a_third_partys_provider_that_is_broken_is_judged_so_in_a_line(
    ctl: Ctl, monkeypatch: pytest.MonkeyPatch, answer: Any, words: str
) -> None:
    async def fetch(_: Mock, __: date, ___: datetime) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Mock, "fetch", fetch)
    done = ctl.call("test", "mock", "--day", "2026-05-04")
    assert done.return_value == 1
    assert words in done.stdout
    with pytest.raises(JouledError, match=words):
        ctl.call("fetch", "mock", "--day", "2026-05-04")


def test_where_the_first_fails_the_next_is_asked_and_both_are_told(tmp_path: Path) -> None:
    with answering() as server:
        ctl = Ctl(tmp_path, f'providers = ["energy-charts", "mock"]\nurl = "{server.url}"\n')
        done = ctl.call("fetch", "--day", "2026-05-04")
    assert done.stdout.startswith("mock DE-LU")
    assert "joulectl: GET http://127.0.0.1" in done.stderr


def test_gaps_several_resolutions_and_preliminary_prices_are_found() -> None:
    whole = series(date(2026, 5, 4))
    bad = {one.what: one.words for one in judged(whole) if not one.is_good}
    assert bad == {}
    hour = whole.slots[4]._replace(end=whole.slots[7].end, price=None, volume_mwh=None)
    broken = whole._replace(slots=(*whole.slots[:4], hour, *whole.slots[8:90]), quality="preliminary")
    bad = {one.what: one.words for one in judged(broken) if not one.is_good}
    assert bad == {
        "coverage": "87 slots of a day of 24 h (Europe/Berlin); 90 min have no slot, 1 slots no value",
        "resolution": "15 min, 60 min: several",
        "quality": "preliminary",
    }


def test_data_is_tested_as_powercap_did(ctl: Ctl) -> None:
    lines = ctl.run("test-data").splitlines()
    assert lines[0].startswith("provider mock: ")
    assert lines[1].startswith("now: period=")
    assert lines[2] == "volume: max=108.1 MWh average=70.0 MWh min=31.9 MWh"
    assert len(ctl.run("test-data", "full", "--day", "2026-05-04").splitlines()) == 98


def test_the_store_named_here_is_read(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    with Store(state_dir=str(elsewhere)) as store:
        one = series(date(2026, 5, 4), provider="energy-charts")
        store.write(lambda connection: books.put(connection, one, datetime.now(UTC)))
    words = ["market", "--config=", f"--state-dir={elsewhere}", "show", "--day", "2026-05-04"]
    text = CliRunner().invoke(joulectl.command, words, catch_exceptions=False).stdout
    assert text.startswith("energy-charts DE-LU day-ahead 2026-05-04: 96 slots")
