"""The settings of loads: bands in order, and programs that are some."""

from __future__ import annotations

from pathlib import Path

import pytest

from jouled.config import Config, loading
from jouled.config.books import zone_command
from jouled.errors import ConfigError


def load(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "jouled.toml"
    file.write_text(f"[load]\n{text}\n")
    return loading.load(str(file))


def test_bands_are_the_operators(tmp_path: Path) -> None:
    found = load(tmp_path, "scale_down = 20\nband_low = 40\nscale_up = 120\nstale = '5m'").load
    assert (found.scale_down_pct, found.band_low_pct, found.band_high_pct) == (20, 40, 80)
    assert (found.scale_up_pct, found.stale_s) == (120, 300)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "band_low = 90",
            r"jouled.toml:2: load.band_low: 90 is above load.band_high 80; the order is scale_down <= band_low",
        ),
        ("scale_down = 61", r"load.scale_down: 61 is above load.band_low 60"),
        ("scale_up = 79", r"jouled.toml:2: load.scale_up: 79 is below load.band_high 80"),
        ("band_low = -1", "out of range"),
        ("band_low = 60.5", "a number; allowed: a whole number"),
        ("commands = ['hall-1']", r"load.commands\[0\]: 'hall-1' is no program of a zone; write ZONE=/PATH/TO/PROGRAM"),
        ("commands = ['hall-1=shed']", "is no program of a zone"),
        ("commands = ['=/bin/shed']", "is no program of a zone"),
        ("commands = ['a=/bin/shed \"']", "No closing quotation"),
        ("commands = ['a=/bin/shed', 'a=/bin/true']", r"load.commands\[1\]: zone a has a program already"),
        ("command_timeout = '1h'", "out of range"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(tmp_path, text)


def test_a_program_has_arguments_that_no_shell_will_see() -> None:
    assert zone_command("hall-1 = /bin/shed --note 'a b' $X") == ("hall-1", ("/bin/shed", "--note", "a b", "$X"))


def test_the_environment_may_say_it_too() -> None:
    environ = {"JOULED_LOAD_BAND_HIGH": "81", "JOULED_LOAD_COMMANDS": "a=/bin/true,b=/bin/false x"}
    found = loading.load(None, environ=environ).load
    assert (found.band_high_pct, found.commands) == (81, ("a=/bin/true", "b=/bin/false x"))
