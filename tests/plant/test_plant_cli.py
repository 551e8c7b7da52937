"""`joulectl plant test`: a feed is asked once and judged, without a daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jouled.balance.site.supply import Reading, SupplyRules
from jouled.cli import joulectl
from jouled.cli.plant_judge import judged_findings
from jouled.errors import ConfigError
from plant.aggregator import FakeAggregator

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def fake() -> Iterator[FakeAggregator]:
    with FakeAggregator() as made:
        yield made


def judge(
    folder: Path, fake: FakeAggregator, *words: str, extra: str = 'rated = "200kW"', key: str | None = None
) -> Result:
    (folder / "key").write_text(key or fake.key)
    (folder / "jouled.toml").write_text(
        f'[plant]\nkind = "aggregator"\nurl = "{fake.url}"\nid = "{fake.plant}"\nunit = "kW"\n'
        f'key = "file:{folder}/key"\n{extra}\n'
    )
    called = ["plant", "test", f"--config={folder}/jouled.toml", *words]
    return CliRunner().invoke(joulectl.command, called, catch_exceptions=False, standalone_mode=False)


def test_a_feed_that_is_well_is_ok_in_every_line(tmp_path: Path, fake: FakeAggregator) -> None:
    done = judge(tmp_path, fake)
    assert done.return_value == 0
    assert "BAD" not in done.stdout
    assert "75 % of plant.rated" in done.stdout
    assert fake.key not in done.output


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        ("thousandfold", "unit"),
        ("thousandth", "unit"),
        ("past", "age"),
        ("future", "believed"),
        ("doubtful", "confidence"),
        ("failing-source", "sources"),
        ("html", "answer"),
        ("error", "answer"),
    ],
)
def test_what_is_wrong_is_bad_and_the_exit_code_says_so(
    tmp_path: Path, fake: FakeAggregator, lie: str, what: str
) -> None:
    fake.lie = lie
    done = judge(tmp_path, fake, "--json")
    assert done.return_value == 1
    bad = [one["what"] for one in json.loads(done.stdout) if not one["is_good"]]
    assert what in bad


@pytest.mark.parametrize(
    ("word", "says"),
    [("ignore", "not counted"), ("others", "drawn by others"), ("all", "drawn by the loads and by others")],
)
def test_it_says_what_becomes_of_the_consumption_that_the_feed_tells(
    tmp_path: Path, fake: FakeAggregator, word: str, says: str
) -> None:
    done = judge(tmp_path, fake, extra=f'rated = "200kW"\n[balance]\nconsumption = "{word}"')
    assert f"kW, {says}" in done.stdout


def test_a_thousandfold_is_written_in_figures_that_can_be_read(tmp_path: Path, fake: FakeAggregator) -> None:
    fake.lie = "thousandfold"
    done = judge(tmp_path, fake)
    assert "BAD" in done.stdout
    assert "e+" not in done.stdout


def test_a_wrong_key_is_said_and_not_shown(tmp_path: Path, fake: FakeAggregator) -> None:
    done = judge(tmp_path, fake, key="a-wrong-key")
    assert done.return_value == 1
    assert "check plant.key" in done.stdout
    assert "a-wrong-key" not in done.output


def test_without_a_rated_power_the_unit_cannot_be_judged_and_that_is_said(tmp_path: Path, fake: FakeAggregator) -> None:
    done = judge(tmp_path, fake, extra="")
    assert done.return_value == 1
    assert "set plant.rated, and it is looked at" in done.stdout


def test_where_no_feed_is_set_it_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "jouled.toml").write_text("")
    with pytest.raises(ConfigError, match=r"plant\.kind: no feed is set"):
        CliRunner().invoke(
            joulectl.command,
            ["plant", "test", f"--config={tmp_path}/jouled.toml"],
            catch_exceptions=False,
            standalone_mode=False,
        )


def test_a_mock_is_judged_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "jouled.toml").write_text('[plant]\nkind = "mock"\n')
    called = ["plant", "test", f"--config={tmp_path}/jouled.toml"]
    done = CliRunner().invoke(joulectl.command, called, catch_exceptions=False, standalone_mode=False)
    assert done.return_value == 0
    assert "made up" in done.stdout


def test_an_old_reading_of_a_slow_feed_is_not_bad_where_that_is_set() -> None:
    reading = Reading(80_000.0, NOW - timedelta(seconds=70), confidence=0.9)
    rules = SupplyRules(rated_w=200_000.0)
    by_default = {one.what: one.is_good for one in judged_findings(reading, rules, "kW", NOW)}
    assert by_default == {"believed": True, "unit": True, "age": False, "confidence": True}
    slow = {one.what: one.is_good for one in judged_findings(reading, rules._replace(stale_after_s=90.0), "kW", NOW)}
    assert slow["age"]
