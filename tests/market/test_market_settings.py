"""What may be set of the market, and what is refused with what may."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jouled.cli import jouled
from jouled.config.market import Market as Settings
from jouled.control.market.chain import open_market
from jouled.errors import ConfigError


def check(folder: Path, text: str) -> Result:
    file = folder / "jouled.toml"
    file.write_text(f"[market]\n{text}\n")
    return CliRunner().invoke(jouled.command, [f"--config={file}", "--check-config"], standalone_mode=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('providers = ["epexx"]', "there is no provider 'epexx'; known are energy-charts, "),
        ('providers = ["mock", "mock"]', "mock is given twice; give it once"),
        ('providers = ["csv"]', 'csv needs "csv.directory" = DIRECTORY'),
        ('providers = ["mock"]\n[market.parameters]\n"mock.size" = "5"', "mock has no such parameter; it knows none"),
        ('[market.parameters]\n"epexx.size" = "5"', "write PROVIDER.NAME, with PROVIDER one of energy-charts"),
        ('providers = ["awattar"]\nzone = "FR"', "market.zone 'FR' is none of awattar; write one of AT, DE-LU"),
        (
            'providers = ["smard"]\n[market.parameters]\n"smard.resolution" = "day"',
            "'day' cannot be; write quarterhour or hour",
        ),
        ('timezone = "Europe/Bern"', "is no zone of time; write one of the IANA database, as Europe/Berlin"),
        ('timezone = "../../etc/passwd"', "is no zone of time"),
        ('refresh = "0 14 * *"', "has not five fields; write minute, hour, day, month, weekday"),
        ('refresh = "0 25 * * *"', "bad hour; write minute, hour, day, month, weekday"),
        ('refresh = "0 0 30 2 *"', "bad day-of-month"),
        ('keep = "8d"', "8d"),
        ('url = "ftp://prices"', "this is no address; write https://HOST"),
        ('url = "https://me:secret@prices"', "a user or a password does not belong there"),
        (
            'providers = ["csv"]\n[market.parameters]\n"csv.directory" = "/x"\n"csv.timezone" = "Europe/Bern"',
            "csv.timezone: 'Europe/Bern' is no zone of time",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_can_before_the_daemon_starts(
    tmp_path: Path, text: str, words: str
) -> None:
    done = check(tmp_path, text)
    assert isinstance(done.exception, ConfigError)
    assert words in str(done.exception)


@pytest.mark.parametrize(
    "text",
    [
        "",
        'providers = ["energy-charts", "mock"]\nrefresh = "*/15 13-16 * * MON-FRI"\ntimezone = "Europe/Paris"\nkeep = "0s"',
        'providers = ["octopus"]\nzone = "GB-C"',
    ],
)
def test_what_can_be_is_fine_and_nobody_is_asked(tmp_path: Path, text: str) -> None:
    done = check(tmp_path, text)
    assert done.exception is None, done.exception
    assert done.stdout.endswith(": ok\n")


def test_without_providers_there_is_no_market() -> None:
    assert open_market(Settings(), None, lambda: datetime.now(UTC)) is None


def test_what_binds_whoever_uses_the_prices_is_said_once_at_the_start(lines: list[Any]) -> None:
    market = open_market(Settings(providers=("mock",)), None, lambda: datetime.now(UTC))
    assert market is not None
    assert [line["event"] for line in lines] == ["market: mock prices are made up; they are of no market"]
