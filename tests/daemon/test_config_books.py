"""What the settings of the books cannot be is refused with its place, before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from jouled.config import load
from jouled.errors import ConfigError


def refusal(tmp_path: Path, table: str, *lines: str) -> str:
    path = tmp_path / "jouled.toml"
    path.write_text("\n".join([f"[{table}]", *lines, ""]))
    with pytest.raises(ConfigError) as raised:
        load(str(path), {}, {})
    return str(raised.value).removeprefix(f"{path}:")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['provider = "watttime"'], '2: carbon.provider: watttime gives marginal intensity; set carbon.kind = "marg'),
        (
            ['kind = "marginal"', 'provider = "energy-charts"'],
            'energy-charts gives average intensity; set carbon.kind = "average", or choose watttime, file',
        ),
        (['provider = "electricity-maps"'], "electricity-maps needs carbon.token: credential:NAME or file:/PATH"),
        (['provider = "file"'], "2: carbon.provider: file needs carbon.file, the series"),
        (['provider = "energinet"', 'url = "carbon.example"'], "3: carbon.url: this is no address; write https://HOST"),
    ],
)
def test_a_carbon_provider_that_cannot_be_asked(tmp_path: Path, lines: list[str], said: str) -> None:
    assert said in refusal(tmp_path, "carbon", *lines)


@pytest.mark.parametrize("url", ["alerts.example/x", "ftp://alerts.example", "http://", "http://[::1"])
def test_a_webhook_that_is_no_address(tmp_path: Path, url: str) -> None:
    said = refusal(tmp_path, "alerts", f'webhook = "{url}"')
    assert said == "2: alerts.webhook: this is no address; write https://HOST/PATH"


@pytest.mark.parametrize(
    ("table", "line"),
    [("alerts", 'secret = "pa55word"'), ("carbon", 'token = "pa55word"'), ("alerts", 'secret = "file:relative"')],
)
def test_a_secret_itself_is_refused_and_never_shown(tmp_path: Path, table: str, line: str) -> None:
    said = refusal(tmp_path, table, line)
    assert "is not credential:NAME, file:/PATH or env:NAME; put it into a file, and name that" in said
    assert "pa55word" not in said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://ann:pa55word@host/x", "2: store.url: 'mysql' is no kind of store; write sqlite, sqlite:////PATH, "),
        ("/var/lib/books.sqlite", "2: store.url: this is no URL; write sqlite, sqlite:////PATH, "),
    ],
)
def test_a_store_of_no_known_kind(tmp_path: Path, url: str, said: str) -> None:
    refused = refusal(tmp_path, "store", f'url = "{url}"')
    assert said in refused
    assert "pa55word" not in refused


def test_a_prefix_that_cannot_stand_before_a_name(tmp_path: Path) -> None:
    said = refusal(tmp_path, "store", 'prefix = "a-b"')
    assert said == "2: store.prefix: 'a-b' cannot stand before a name; write up to 16 of a-z, 0-9 and _"


@pytest.mark.parametrize("url", ["sqlite", "none", "sqlite:////tmp/x", "postgresql://ann@/books", "postgres://h/b"])
def test_stores_that_can_be(url: str) -> None:
    assert load(None, {"store.url": url}, {}).store.url == url
