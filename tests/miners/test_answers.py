"""Whatever a device answers, it is read or left alone; nothing breaks on it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.loads.miners import braiins_answers as braiins
from jouled.loads.miners import vnish_answers as vnish
from jouled.loads.miners.words import base_url, mac_of, number, terahashes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["miner", "name", "watt", "status", "reason", "detailed_status", "current_preset", "points", "mode"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_answer_breaks_a_reader(content: Any) -> None:
    vnish.info_of(content)
    vnish.status_of(content)
    vnish.performance_of(content)
    vnish.summary_status(content)
    vnish.power_of(content)
    vnish.work_of(content, "GH/s")
    vnish.configured_preset(content)
    vnish.listed_presets(content)
    vnish.listed_key(content, "jouled", 32)
    braiins.is_version(content)
    braiins.details_of(content)
    braiins.target_of(content)
    braiins.power_of(content)
    braiins.work_of(content)
    braiins.profile_of(content, braiins.Bounds())
    braiins.tuned_targets_of(content, braiins.Bounds())
    braiins.bounds_of(content)
    braiins.setting_of(content)


@pytest.mark.parametrize("unit", ["H/s", "kH/s", "MH/s", "GH/s", "TH/s", "PH/s", "Th/s", "ghs", "GHash/s", "GH"])
def test_every_unit_of_a_hash_rate_is_known(unit: str) -> None:
    if unit == "ghs":
        assert terahashes(1.0, unit) is None, "what is not a unit is not guessed"
        return
    scale = {"H": 1e-12, "K": 1e-9, "M": 1e-6, "G": 1e-3, "T": 1.0, "P": 1e3}[unit[0].upper()]
    assert terahashes(1 / scale, unit) == pytest.approx(1.0)


@pytest.mark.parametrize("value", [None, True, "3", -1, float("nan"), float("inf"), [], {}])
def test_what_is_no_number_is_not_known(value: object) -> None:
    assert number(value) is None


@pytest.mark.parametrize("watts", [-5, 0, 1e9, True, "3000", None])
def test_a_power_that_cannot_be_is_not_known(watts: object) -> None:
    assert vnish.power_of({"miner": {"power_consumption": watts, "power_usage": watts}}) is None


def test_the_second_power_is_taken_where_the_first_is_none() -> None:
    assert vnish.power_of({"miner": {"power_consumption": 0, "power_usage": 3010}}) == 3010


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("running", "running"), ("mining", "running"), ("initializing", "starting"), ("starting", "starting"),
        ("restarting", "starting"), ("shutting-down", "starting"), ("auto-tuning", "tuning"), ("stopped", "off"),
        ("paused", "paused"), ("failure", "failed"), ("Auto_Tuning", "tuning"), ("something-new", "held"),
    ],
)  # fmt: skip
def test_states_become_ours(word: str, state: str) -> None:
    assert vnish.status_of({"miner_state": word}).state == state


def test_a_preset_is_a_name_or_an_object_with_one() -> None:
    for current in ("1100", {"name": "1100"}, {"preset": "1100"}):
        assert vnish.performance_of({"current_preset": current}).preset == "1100"
    assert vnish.performance_of({}).preset is None


@pytest.mark.parametrize("mac", ["FE:07:26:3C:BE:1B", "fe-07-26-3c-be-1b", "FE07263CBE1B"])
def test_macs_have_one_form(mac: str) -> None:
    assert mac_of(mac) == "fe:07:26:3c:be:1b"


@pytest.mark.parametrize("mac", ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "fe:07", "", None, 7, "fe:07:26:3c:be:1g"])
def test_what_many_have_is_no_mac(mac: object) -> None:
    assert mac_of(mac) is None


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("10.20.0.5", "http://10.20.0.5"),
        ("10.20.0.5:8080", "http://10.20.0.5:8080"),
        ("fd00::5", "http://[fd00::5]"),
        ("[fd00::5]:81", "http://[fd00::5]:81"),
        ("https://miner.example/", "https://miner.example"),
    ],
)
def test_addresses_become_urls(address: str, url: str) -> None:
    assert base_url(address) == url


def test_a_firmware_version_cannot_write_lines() -> None:
    found = vnish.info_of({"fw_name": "Vnish", "fw_version": "1\x1b[2J\n2", "miner": "S19"})
    assert found is not None
    assert found.firmware == "Vnish 1\\x1b[2J\\x0a2"
