"""[plant] of the settings: every mistake is refused, with what to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jouled import config
from jouled.cli.jouled import check_plant
from jouled.control.plant.opening import name_of, notices, open_plant, rules_of
from jouled.errors import ConfigError

FINE = {"kind": "http", "url": "https://x/now", "unit": "kW", "pointers.generation": "/kw", "pointers.timestamp": "/at"}


def load(**keys: Any) -> config.Config:
    return config.load(None, {f"plant.{name}": value for name, value in {**FINE, **keys}.items()}, {})


def refused(**keys: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**keys)
    return str(caught.value)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"url": None}, "url: is missing: http needs it"),
        ({"url": "plant.example"}, "this is no address"),
        ({"url": "https://ann:secret@x"}, "does not belong there"),
        ({"unit": None}, "unit: is missing"),
        ({"unit": "kw"}, "plant.unit"),
        ({"pointers.timestamp": None}, "timestamp: is missing"),
        ({"pointers.generation": None}, "generation: is missing"),
        ({"pointers.generation": "kw"}, "is no JSON pointer"),
        ({"pointers.generation": "/a~2"}, "is no JSON pointer"),
        ({"key": "plain-text-key"}, "is not credential:NAME, file:/PATH or env:NAME"),
        ({"password": "plain-text"}, "is not credential:NAME, file:/PATH or env:NAME"),
        ({"user": "ann"}, "password: is missing"),
        ({"password": "file:/x"}, "user: is missing"),
        ({"key": "file:/x", "user": "ann", "password": "file:/x"}, "both given"),
        ({"kind": "aggregator", "key": "file:/x"}, "id: is missing"),
        ({"kind": "aggregator", "id": "hydro-1"}, "key: is missing"),
        ({"kind": "file"}, "file: is missing"),
        ({"kind": "mqtt"}, "is no broker"),
        ({"kind": "mqtt", "url": "mqtt://x"}, "needs one topic"),
        ({"kind": "mqtt", "url": "mqtt://x", "topic": "plant/#"}, "needs one topic"),
        ({"kind": "mqtt", "url": "mqtt://x:99999", "topic": "plant"}, "is no broker"),
        ({"fail": 60}, "shorter than plant.hold"),
        ({"poll": 90}, "shorter than two of plant.poll"),
        ({"stale": 10}, "longer than plant.poll"),
        ({"stale": 130}, "at most plant.hold"),
        ({"confidence": 1.5}, "out of range"),
        ({"ramp": 0}, "out of range"),
        ({"rated": "-3kW"}, "rated"),
    ],
)
def test_a_mistake_is_refused_with_what_to_write(keys: dict[str, Any], words: str) -> None:
    said = refused(**keys)
    assert words in said
    assert "plant." in said
    assert "plain-text" not in said


def test_what_is_given_becomes_rules() -> None:
    settings = load(rated="200kW", ramp=0.2, stale=40, poll=10, **{"pointers.battery": "/ups"})
    rules = rules_of(settings)
    assert (rules.rated_w, rules.ramp_per_min, rules.stale_s, rules.poll_s) == (200_000.0, 0.2, 40.0, 10.0)
    assert rules_of(load()).stale_s == 45.0
    assert name_of(settings.plant) == "http"


def test_no_feed_is_opened_where_none_is_set() -> None:
    assert open_plant(config.load(None, {}, {}), None, lambda: pytest.fail("asked")) is None


def test_what_may_be_meant_so_is_said() -> None:
    bare = load(url="http://plant.example/now", key="file:/x")
    assert [words[:20] for words in notices(bare.plant)] == ["plant.rated is not s", "its secret goes over"]
    assert notices(load(rated="1kW").plant) == []


def test_the_check_of_the_settings_finds_a_key_that_cannot_be_read_and_says_where_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "jouled.toml"
    file.write_text(
        f'[plant]\nkind = "aggregator"\nurl = "https://x"\nid = "hydro-1"\nunit = "kW"\nkey = "file:{tmp_path}/none"\n'
    )
    with pytest.raises(ConfigError, match=rf"jouled\.toml:6.*plant\.key: read {tmp_path}/none"):
        check_plant(config.trace(str(file), {}, {}))
