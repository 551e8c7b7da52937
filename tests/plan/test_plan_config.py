"""What the plan cannot be is refused with its place, and with what can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from jouled.config import load
from jouled.errors import ConfigError


def refusal(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "jouled.toml"
    path.write_text("\n".join([*lines, ""]))
    with pytest.raises(ConfigError) as raised:
        load(str(path), {}, {})
    return str(raised.value).removeprefix(f"{path}:")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["[tariff]", 'charges = ["0.08", "Mon-Fry 17:00-20:00 = 0.12"]'],
            "2: tariff.charges[1]: 'Mon-Fry' is no part of a week; write days as Mon-Fri",
        ),
        (["[tariff]", 'charges = ["Sun = ten"]'], "2: tariff.charges[0]: 'ten' is no price of a kWh; write 0.12"),
        (["[tariff]", 'charges = ["Sun = 120"]'], "120 is not from -100 to 100; charges are per kWh"),
        (["[tariff]", 'charges = ["nan"]'], "is not from -100 to 100"),
        (["[tariff]", "tax = -1"], "2: tariff.tax: -1 is out of range; allowed: a number from 0 to 1000"),
        (["[tariff]", 'billing_resolution = "7h"'], "does not divide a day; write 15m, 30m, 1h, 2h or 24h"),
        (["[plan]", 'strategies = ["price-rank"]'], "2: plan.strategies[0]: price-rank needs market.providers, as"),
        (
            ["[market]", 'providers = ["energy-charts"]', "[plan]", 'strategies = ["volume-proportional"]'],
            "4: plan.strategies[0]: volume-proportional needs one of epex-html, csv, mock, static in market.providers",
        ),
        (["[plan]", 'strategies = ["price"]'], "'price' is not known; did you mean price-rank?"),
        (["[plan]", 'strategies = ["static"]'], "static needs plan.static, as"),
        (["[plan]", 'strategies = ["carbon-rank"]'], "carbon-rank needs carbon.provider to be one that has a series"),
        (
            ["[plan]", 'strategies = ["carbon-rank"]', "[store]", 'url = "none"', "[carbon]", 'provider = "energinet"'],
            "carbon-rank needs a store, in which carbon intensity is kept; set store.url",
        ),
        (
            ["[market]", 'providers = ["mock"]', "[plan]", 'strategies = ["price-threshold"]'],
            "4: plan.strategies[0]: price-threshold needs plan.threshold.below, above or limit",
        ),
        (
            ["[market]", 'providers = ["mock"]', "[plan]", 'strategies = ["cheapest-hours"]'],
            "cheapest-hours needs plan.cheapest.energy",
        ),
        (["[plan]", 'min = "200W"', 'max = "100W"'], "3: plan.max: 100 W is below plan.min 200 W"),
        (["[plan]", 'min = "5W"'], "2: plan.min: 5 W is below caps.min 10 W"),
        (["[caps]", 'max = "200W"', "[plan]", 'max = "300W"'], "4: plan.max: 300 W is above caps.max 200 W"),
        (["[plan]", 'static = ["8W"]'], "2: plan.static[0]: 8W is out of range; allowed: 10W to the hardware's most"),
        (
            ["[plan]", 'max = "200W"', 'static = ["Sun = 0.3kW"]'],
            "3: plan.static[0]: 300W is out of range; allowed: 10W to 200W",
        ),
        (["[plan]", 'static = ["Sun = 0W"]'], "0W is out of range; allowed: a power from 1W to 1000kW"),
        (
            ["[plan]", 'max = "200W"', "[plan.cheapest]", 'energy = "5kWh"'],
            "4: plan.cheapest.energy: 5kWh is out of range; allowed: up to 4800Wh, a day at the highest budget 200W",
        ),
        (
            ["[plan.cheapest]", 'deadline = "24:00"'],
            "2: plan.cheapest.deadline: '24:00' is no time of a day; write 00:00",
        ),
        (
            ["[plan.threshold]", "below = 9", "above = 9"],
            "2: plan.threshold.below: 9 is not below plan.threshold.above 9",
        ),
        (["[plan.threshold]", "below = 1e6"], "is out of range; allowed: a number from -100000 to 100000"),
    ],
)
def test_an_impossible_plan(tmp_path: Path, lines: list[str], said: str) -> None:
    assert said in refusal(tmp_path, *lines)


def test_a_plan_of_everything_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    path.write_text(
        """
[carbon]
provider = "energinet"
zone = "DK1"
[market]
providers = ["mock"]
[tariff]
charges = ["0.08", "Mon-Fri 17:00-20:00 = 0.12", "Oct-Mar Sat,Sun = -0.01"]
tax = 19
billing_resolution = "1h"
[plan]
strategies = ["volume-proportional", "price-rank", "price-threshold", "carbon-rank", "cheapest-hours", "static"]
max = "200W"
static = ["22:00-06:00 = 150W"]
[plan.threshold]
below = -5
limit = 300
[plan.cheapest]
energy = "1.2kWh"
"""
    )
    config = load(str(path), {}, {})
    assert config.plan.threshold.below == -5.0
    assert config.plan.cheapest.energy_wh == 1200.0
    assert config.tariff.billing_s == 3600.0


def test_variables_set_numbers_and_words_of_truth(tmp_path: Path) -> None:
    config = load(None, {}, {"JOULED_PLAN_THRESHOLD_BELOW": "-1.5", "JOULED_PLAN_THRESHOLD_NEGATIVE": "true"})
    assert (config.plan.threshold.below, config.plan.threshold.negative) == (-1.5, True)
    with pytest.raises(ConfigError, match="JOULED_CAPS_ENABLED: 'yes' is not true or false; allowed: true or false"):
        load(None, {}, {"JOULED_CAPS_ENABLED": "yes"})
    with pytest.raises(ConfigError, match="JOULED_TARIFF_TAX: 'a' is not a number; allowed: a number from 0 to 1000"):
        load(None, {}, {"JOULED_TARIFF_TAX": "a"})
    config = load(None, {}, {"JOULED_MARKET_PARAMETERS": "csv.directory=/a, epex-html.auction=IDA1"})
    assert config.market.parameters == {"csv.directory": "/a", "epex-html.auction": "IDA1"}
