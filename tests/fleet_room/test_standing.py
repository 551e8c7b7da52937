"""What a load may be set to, how models are named, and what the metrics sum up: pure."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actuators import PRESETS, QUICK, FakeActuator
from jouled.bookkeeping.fleet import ModelRow
from jouled.config.miners import MinerModel, Miners
from jouled.config.refused import RefusedError
from jouled.control.fleet import described
from jouled.control.fleet.fleet import Fleet
from jouled.control.fleet.models import Models
from jouled.control.fleet.peaks import HOUR_S, Factor, Peaks
from jouled.control.fleet.standing import Bounds, Standing, allowed
from jouled.loads.actuator import Description, Preset
from jouled.web.fleet_metrics import LOADS_MAX, FleetMetrics

S19_AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
S19 = Description("02:00:00:00:00:01", "vnish", "one", QUICK, model="S19", presets=PRESETS, can_be_off=True)


def names(standing: Standing, model: Bounds, description: Description = S19) -> list[str]:
    return [preset.name for preset in allowed(description, standing, model).presets]


def test_a_miners_own_bounds_stand_before_its_models() -> None:
    assert names(Standing(), Bounds("1500", "2620")) == ["1500", "2100", "2620"]
    assert names(Standing(max_preset="2100"), Bounds("1500", "2620")) == ["1500", "2100"]
    assert names(Standing(min_preset="1100"), Bounds("1500", "2620")) == ["1100", "1500", "2100", "2620"]


def test_a_bound_that_a_device_does_not_list_is_taken_in_watts_or_refused() -> None:
    assert names(Standing(), Bounds(None, "2200W")) == ["1100", "1500", "2100"]
    why = allowed(S19, Standing(), Bounds(None, "eco")).unmanaged
    assert why is not None
    assert "max_preset eco is none of its presets" in why


@pytest.mark.parametrize(
    ("standing", "model", "words"),
    [
        (Standing(), Bounds(), "no max_preset is set for model S19"),
        (Standing(enabled=False), Bounds(None, "3200"), "disabled"),
        (Standing(locked=True), Bounds(None, "3200"), "locked"),
        (Standing(), Bounds("3200", "1100"), "no preset lies between 3200 and 1100"),
    ],
)
def test_why_a_miner_is_not_steered_is_said(standing: Standing, model: Bounds, words: str) -> None:
    found = allowed(S19, standing, model)
    assert found.presets == ()
    assert found.unmanaged is not None
    assert words in found.unmanaged


def test_a_miner_of_which_no_preset_is_tuned_is_not_steered() -> None:
    untuned = S19._replace(presets=tuple(preset._replace(is_tuned=False) for preset in PRESETS))
    why = allowed(untuned, Standing(), Bounds(None, "3200")).unmanaged
    assert why is not None
    assert "none of its presets is tuned" in why


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(0, 5000)), max_size=60))
def test_a_peak_is_the_most_of_the_last_day(samples: list[tuple[int, float]]) -> None:
    samples.sort(key=lambda sample: sample[0])
    peaks = Peaks()
    for hour, power_w in samples:
        peaks.add("1100", power_w, hour * HOUR_S)
    now_s = 100 * HOUR_S
    recent = [power_w for hour, power_w in samples if hour >= 76]
    assert peaks.at("1100", now_s) == max(recent, default=None)
    assert peaks.at("3200", now_s) is None


def test_noise_does_not_move_the_figures_that_are_planned_with() -> None:
    factor = Factor()
    moves = [factor.learn(1000.0 * (1.05 + 0.01 * (-1) ** number), 1000.0) for number in range(200)]
    assert sum(moves) == 1
    assert factor.value == pytest.approx(1.05, abs=0.01)
    assert not factor.learn(9000.0, 1000.0)  # a meter, not an efficiency


def test_models_have_names_for_addresses_that_no_other_has() -> None:
    models, now = Models(), S19_AT
    for name in ("Antminer S19", "Antminer S19+", "Antminer-S19", "蚂蚁"):
        models.see(S19._replace(model=name), now)
    aliases = [row.alias for row in models.rows]
    assert len(set(aliases)) == 4
    assert {"antminer-s19", "antminer-s19-plus", "model"} <= set(aliases)
    assert all(alias.isascii() and "/" not in alias for alias in aliases)


def test_the_api_stands_before_the_settings_and_what_it_clears_is_as_they_say() -> None:
    models = Models([MinerModel("S19", max_preset="2620")])
    assert models.bounds("S19") == Bounds(None, "2620")
    models.put(ModelRow("S19", "s19", S19_AT, S19_AT, max_preset="2100"))
    assert models.bounds("S19") == Bounds(None, "2100")
    models.put(ModelRow("S19", "s19", S19_AT, S19_AT))
    assert models.bounds("S19") == Bounds(None, "2620")


def test_what_the_store_keeps_of_a_load_is_read_back_as_it_was() -> None:
    document = described.kept(S19._replace(address="10.0.0.1"))
    assert described.read(document, S19.id, "vnish", "10.0.0.1") == S19._replace(address="10.0.0.1")
    assert described.read({"name": 7}, S19.id, "vnish", None) is None


def test_subnets_that_are_an_afternoon_are_refused() -> None:
    for subnets in (("10.0.0.0/8",), ("10.1.0.0/20", "10.2.0.0/24"), ("10.0.0.1/24",)):
        with pytest.raises(RefusedError):
            Miners(subnets=subnets)


async def test_the_metrics_of_many_loads_are_bounded_and_sum_up_to_all_of_them() -> None:
    loads = [FakeActuator(f"load-{number:04}", point="1100") for number in range(LOADS_MAX + 50)]
    loads[-1].presets = (*PRESETS, Preset("9", 9.0, 1.0))
    fleet = Fleet(loads, jitter=lambda: 0.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(fleet.run)
        families = {family.name: family for family in FleetMetrics(fleet).collect()}
        nursery.cancel_scope.cancel()
    power = families["jouled_load_power_watts"].samples
    assert len(power) == LOADS_MAX + 1
    assert sum(sample.value for sample in power) == pytest.approx(1100.0 * len(loads))
    assert len(families["jouled_load_state"].samples) == LOADS_MAX
    counts = {sample.labels["state"]: sample.value for sample in families["jouled_loads"].samples}
    assert counts["running"] == len(loads)
    assert sum(counts.values()) == len(loads)
