"""The variables of powercap do what its manual says, once compat asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jouled.config import load, trace
from jouled.config.document import in_force
from jouled.config.powercap import notices
from jouled.errors import ConfigError

ALL = {
    "NODE_NAME": "node-7",
    "MAX_SOURCE": "40000000",
    "STABILISATION_TIME": "300",
    "RAPL_MIN_POWER": "12500000",
    "TIMEZONE": "Europe/Paris",
    "POWER_CALC_MODE": "average",
    "DATA_PROVIDER": "epex",
    "PROVIDER_URL": "https://www.epexspot.com/en/market-results",
    "PROVIDER_PARAMS": '{"market_area": "FR", "auction": "IDA1", "modality": "Auction", "sub_modality": "Intraday"}',
    "DATA_REFRESH_CRON": "0 0 * * *",
    "ALPHA": "4",
}
COMPAT = {"JOULED_COMPAT": "powercap"}


def test_all_of_them_are_settings() -> None:
    config = load(None, {}, ALL | COMPAT)
    assert config.node.name == "node-7"
    assert config.plan.reference_w == 40.0
    assert config.plan.stabilisation_s == 300.0
    assert (config.caps.min_w, config.plan.min_w) == (12.5, 12.5)
    assert config.market.timezone == "Europe/Paris"
    assert config.plan.reference == "average"
    assert config.market.providers == ("epex-html",)
    assert config.market.url == "https://www.epexspot.com/en/market-results"
    assert config.market.parameters["epex-html.market_area"] == "FR"
    assert config.market.parameters["epex-html.sub_modality"] == "Intraday"
    assert config.market.refresh == "0 0 * * *"
    assert config.plan.strategies == ("volume-proportional",)
    # They say nothing of whether anything is written.
    assert not config.caps.enabled


def test_without_the_word_they_are_none() -> None:
    assert load(None, {}, ALL) == load(None, {}, {})


def test_they_override_the_file_and_jouleds_own_variables_override_them(tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    path.write_text(
        'compat = ["powercap"]\n[plan]\nstabilisation = "1m"\nreference_power = "90W"\nstrategies = ["price-rank"]\n'
        '[market]\nproviders = ["energy-charts", "csv"]\n'
    )
    traced = trace(
        str(path), {}, {"STABILISATION_TIME": "30", "MAX_SOURCE": "5000000", "JOULED_PLAN_REFERENCE_POWER": "7W"}
    )
    assert (traced.config.plan.stabilisation_s, traced.config.plan.reference_w) == (30.0, 7.0)
    assert traced.config.plan.strategies == ("price-rank",)
    shown = in_force(traced)
    assert "# STABILISATION_TIME" in shown
    assert "# JOULED_PLAN_REFERENCE_POWER" in shown


def test_parameters_go_to_the_provider_of_the_settings_and_beside_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    path.write_text(
        'compat = ["powercap"]\n[market]\nproviders = ["csv"]\nparameters = { "csv.directory" = "/a", "csv.x" = "1" }\n'
    )
    config = load(str(path), {}, {"PROVIDER_PARAMS": '{"directory": "/b"}'})
    assert config.market.parameters == {"csv.directory": "/b", "csv.x": "1"}


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("MAX_SOURCE", "40W", "MAX_SOURCE: '40W' is no power; allowed: whole microwatts from 1000000 to 1000000000000"),
        ("RAPL_MIN_POWER", "0", "RAPL_MIN_POWER: '0' is no power; allowed: whole microwatts"),
        ("RAPL_MIN_POWER", "-5", "RAPL_MIN_POWER: '-5' is no power"),
        ("STABILISATION_TIME", "0", "STABILISATION_TIME: '0' is no time; allowed: whole seconds from 1 to 86400"),
        ("TIMEZONE", "Europe/Pariss", "TIMEZONE: 'Europe/Pariss' is no zone of time; write one of the IANA database"),
        ("TIMEZONE", "../etc/passwd", "TIMEZONE: '../etc/passwd' is no zone of time"),
        ("POWER_CALC_MODE", "median", "POWER_CALC_MODE: 'median' is not known; allowed: max, average"),
        ("DATA_PROVIDER", "nordpool", "DATA_PROVIDER: 'nordpool' is not known; allowed: epex, mock, static"),
        ("PROVIDER_PARAMS", "[1]", "PROVIDER_PARAMS: this is no table of text; allowed: JSON as"),
        ("PROVIDER_PARAMS", '{"a": 1}', "PROVIDER_PARAMS: this is no table of text"),
        ("PROVIDER_PARAMS", "{" * 50_000, "PROVIDER_PARAMS: this is no table of text"),
        ("PROVIDER_URL", "epex.example", "PROVIDER_URL: this is no address; write https://HOST"),
        ("DATA_REFRESH_CRON", "daily", "DATA_REFRESH_CRON: 'daily' is no time of cron; allowed: five fields, as \"0 0"),
    ],
)
def test_a_mistake_is_named_by_its_variable(variable: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(None, {}, COMPAT | {"DATA_PROVIDER": "mock"} | {variable: text})
    assert said in str(raised.value)


def test_parameters_of_nobody_are_refused() -> None:
    with pytest.raises(ConfigError, match="PROVIDER_PARAMS: whose they are is not known; set DATA_PROVIDER to epex"):
        load(None, {}, COMPAT | {"PROVIDER_PARAMS": "{}"})


def test_what_does_not_go_together_is_blamed_on_the_variable() -> None:
    with pytest.raises(ConfigError) as raised:
        load(None, {}, COMPAT | {"RAPL_MIN_POWER": "50000000", "JOULED_CAPS_MAX": "40W"})
    assert str(raised.value) == "JOULED_CAPS_MAX: 40 W is below caps.min 50 W"


def test_a_host_that_only_has_names_in_common_is_told_nothing() -> None:
    assert list(notices({"NODE_NAME": "a", "TIMEZONE": "UTC", "ALPHA": "4"}, (), is_capping=False)) == []


def test_whoever_comes_from_powercap_is_told_how_they_would_be_taken() -> None:
    (line,) = notices(ALL, (), is_capping=False)
    assert line.startswith('variables of powercap are set and not used; with compat = ["powercap"] jouled takes ')
    assert "MAX_SOURCE as plan.reference_power" in line
    assert "PROVIDER_PARAMS as market.parameters" in line
    assert "ALPHA" not in line


def test_the_dead_one_and_the_switch_are_told_once_each() -> None:
    said = list(notices(ALL, ("powercap",), is_capping=False))
    assert said[0] == "ALPHA: it never did anything in powercap either; remove it"
    assert said[1].startswith("no power limit is written unless caps.enabled = true")
    assert list(notices({"MAX_SOURCE": "1000000"}, ("powercap",), is_capping=True)) == []
