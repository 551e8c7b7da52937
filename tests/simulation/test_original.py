"""The original's rules, its defects included: a baseline that is better than it was would prove nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

from jouled.balance.fleet.words import OFF
from jouled.balance.site.supply import Reading
from jouled.simulation.device import Device
from jouled.simulation.families import TABLES, Model
from jouled.simulation.original import Original, original
from jouled.simulation.plant import Heard
from jouled.simulation.strategies import Seen, Wish

MODEL = Model("s19", TABLES["s19"])
BY_NAME = {point.name: point for point in MODEL.points}


def fleet(*presets: str) -> list[Device]:
    return [Device(f"m{index}", MODEL, BY_NAME[name], Random(1)) for index, name in enumerate(presets)]


def heard(power_w: float, confidence: float = 0.99) -> Heard:
    return Heard(Reading(power_w, datetime(2026, 3, 1, tzinfo=UTC), confidence=confidence), None)


def wishes(program: Original, devices: list[Device], now_s: float = 0.0) -> dict[str, str]:
    found = program.decide(Seen(now_s, {device.id: device.observed(now_s) for device in devices}, (), 0.0))
    for wish in found:
        program.told(wish, now_s, None)
    return {wish.load: wish.point for wish in found}


def test_the_worst_steps_down_by_one_preset_a_cycle() -> None:
    devices = fleet("1500", "4690")
    program = original("original-doc", devices, 0.10)
    program.hear(heard(5000.0), 0.0)
    assert wishes(program, devices) == {"m1": "4260", "m0": "1300"}


def test_within_the_tolerance_nothing_is_done() -> None:
    devices = fleet("3200")
    for name, power_w in (("original-doc", 3556.0), ("original-code", 1400.0)):
        program = original(name, devices, 0.0)
        program.hear(heard(power_w), 0.0)
        assert wishes(program, devices) == {}


def test_a_miner_is_left_alone_for_thirty_seconds_whatever_happens() -> None:
    devices = fleet("4690")
    program = original("original-code", devices, 0.0)
    program.hear(heard(0.0), 0.0)
    assert wishes(program, devices) == {"m0": "4260"}
    assert wishes(program, devices, 29.0) == {}
    assert wishes(program, devices, 30.0) == {"m0": "4260"}


def test_a_reading_is_used_however_old_and_a_doubtful_one_is_not() -> None:
    devices = fleet("1100")
    program = original("original-code", devices, 0.0)
    assert wishes(program, devices) == {}
    program.hear(heard(9000.0), 0.0)
    program.hear(heard(100.0, confidence=0.8), 10.0)
    program.hear(Heard(None, "no answer"), 20.0)
    assert wishes(program, devices, 1e6) == {"m0": "1300"}


def test_one_that_does_not_answer_counts_nothing_and_others_are_raised_for_it() -> None:
    devices = fleet("3200", "3200")
    program = original("original-code", devices, 0.0)
    program.hear(heard(6400.0), 0.0)
    assert wishes(program, devices) == {}
    devices[0].is_away = True
    assert wishes(program, devices) == {"m1": "3350"}


def test_it_switches_nothing_off_unless_it_is_given_that() -> None:
    devices = fleet("1100", "1100", "1100")
    for name, expected in (("original-code", set()), ("original-code+off", {OFF})):
        program = original(name, devices, 0.0)
        program.hear(heard(0.0), 0.0)
        assert set(wishes(program, devices).values()) == expected


def test_what_is_off_is_raised_last_or_as_on_real_miners_first() -> None:
    devices = fleet("1100", "1100")
    devices[0].order(OFF, 0.0)
    devices[0].advance(100.0)
    for name, first in (("original-code+off", "m1"), ("original-code+off-first", "m0")):
        program = original(name, devices, 0.0)
        program.hear(heard(3200.0), 100.0)
        assert next(iter(wishes(program, devices, 100.0))) == first


def test_a_command_that_failed_has_no_cooldown() -> None:
    devices = fleet("4690")
    program = original("original-code", devices, 0.0)
    program.hear(heard(0.0), 0.0)
    seen = Seen(0.0, {"m0": devices[0].observed(0.0)}, (), 0.0)
    (wish,) = program.decide(seen)
    program.told(wish, 0.0, "does not answer")
    assert program.decide(seen) == [Wish("m0", "4260", "automatic_balance")]
