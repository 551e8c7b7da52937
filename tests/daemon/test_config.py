from __future__ import annotations

from pathlib import Path

import pytest

from jouled.config import FILE_BYTES_MAX, Config, load, split_address
from jouled.errors import ConfigError


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "jouled.toml"
    path.write_text(text)
    return str(path)


def test_without_anything_the_defaults_hold() -> None:
    config = load()
    assert config == Config()
    assert (config.interval_s, config.listen, config.meters) == (5.0, ("127.0.0.1:9917",), ("auto",))


def test_a_flag_overrides_the_file_and_the_file_the_default(tmp_path: Path) -> None:
    path = written(tmp_path, 'interval = "10s"\ntop = 50\n[log]\nlevel = "error"\nformat = "json"\n')
    config = load(path, {"interval": "2s", "log.level": "debug", "top": None, "listen": ()})
    assert (config.interval_s, config.top) == (2.0, 50)
    assert (config.log.level, config.log.format) == ("debug", "json")
    assert config.listen == ("127.0.0.1:9917",)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [('"500ms"', 0.5), ('"5s"', 5), ('"1m"', 60), ('"1h"', 3600), ('"1.5 s"', 1.5), ("2", 2), ("0.25", 0.25)],
)
def test_durations(tmp_path: Path, text: str, seconds: float) -> None:
    assert load(written(tmp_path, f"[terminated]\nage = {text}")).terminated.age_s == seconds


def test_every_key_of_the_file(tmp_path: Path) -> None:
    config = load(
        written(
            tmp_path,
            """
            sysfs = "/host/sys"
            procfs = "/host/proc"
            interval = "1s"
            listen = ["127.0.0.1:1", "[::1]:2"]
            state_dir = "/tmp/state"
            meters = ["rapl", "fake"]
            zones = ["package"]
            levels = ["process", "vm"]
            top = 10
            idle = "learned"
            terminated = { age = "5m", max = 9 }
            estimate = { idle_w = 1, max_w = 4.5 }
            fake = { zones = ["package:0=40W"], seed = 7 }
            log = { level = "warning", format = "journal" }
            """,
        )
    )
    assert config.terminated.age_s == 300.0
    assert config.estimate.max_w == 4.5
    assert config.fake.zones == ("package:0=40W",)
    assert config.levels == ("process", "vm")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('intervall = "5s"', "unknown key intervall; did you mean interval?"),
        ("[terminated]\nmaxx = 3", "unknown key terminated.maxx; did you mean terminated.max?"),
        ("[estimate]\nqqqq = 3", "unknown key estimate.qqqq; known keys: idle_w, max_w"),
        ('meters = ["rappl"]', "meters[0]: Invalid enum value 'rappl'; allowed: auto, rapl, hwmon"),
        ("meters = []", "meters: Expected `array` of length >= 1"),
        ('idle = "none"', "idle: Invalid enum value 'none'; allowed: ratio, learned"),
        ('[log]\nlevel = "loud"', "log.level: Invalid enum value 'loud'; allowed: debug, info, warning, error"),
        ("top = 0", "top: Expected `int` >= 1"),
        ('top = "5"', "top: Expected `int | null`, got `str`"),
        ('interval = "5 parsecs"', "interval: '5 parsecs' is not a duration; write"),
        ("interval = true", "interval: True is not a duration"),
        ("interval = inf", "interval: inf is not a duration"),
        ("interval = 0", "interval 0 s is out of range; choose 100ms to 1m"),
        ("listen = []", "listen is empty"),
        ('listen = ["::1:9917"]', "listen address '::1:9917' is not HOST:PORT"),
        ("[estimate]\nidle_w = 9.0\nmax_w = 1.0", "estimate: idle_w 9.0 is above max_w 1.0; swap them"),
        ("terminated = 3", "terminated: Expected `object`, got `int`"),
        ('listen = ["127.0.0.1:1", "127.0.0.1:1"]', "listen address '127.0.0.1:1' is given twice; give it once"),
        ('interval = "\u0663s"', "is not a duration; write"),
        ("[terminated]\nage = 1e300", "terminated: age 1e+300 s is out of range; choose a year at most"),
        ("[fake]\nseed = 9223372036854775808", "fake.seed: Expected `int` <= 9223372036854775807"),
        ("top = ", "not valid TOML"),
        ("top = " + "9" * 5000, "not valid TOML"),
        ("a = " + "[" * 5000, "not valid TOML"),
        ("#" * (FILE_BYTES_MAX + 1), "larger than 1048576 bytes; name the configuration of jouled"),
    ],
)
def test_a_mistake_names_the_file_the_key_and_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


def test_a_mistake_in_a_flag_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^command line: interval: 'soon' is not a duration"):
        load(written(tmp_path, "top = 1"), {"interval": "soon"})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: No such file or directory; check the path"):
        load(str(tmp_path / "missing.toml"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1:9917", ("127.0.0.1", 9917)), ("[::1]:0", ("::1", 0)), ("node.example:80", ("node.example", 80))],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize(
    "address", ["", ":9917", "9917", "host", "host:", "host:http", "host:65536", "host:" + "0" * 5000, "[]:1", "[::1]"]
)
def test_what_is_not_an_address(address: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        split_address(address)
