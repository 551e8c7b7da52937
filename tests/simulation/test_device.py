"""A simulated device behaves as one does."""

from __future__ import annotations

from random import Random

import pytest

from jouled.balance.fleet.words import OFF
from jouled.simulation.device import Device
from jouled.simulation.families import TABLES, Model

MODEL = Model("s19", TABLES["s19"], dead_s=5.0, pause_s=10.0, restart_s=60.0, ramp_s=40.0, standby_w=20.0)


def s19(preset: str = "1500", bias: float = 0.0) -> Device:
    point = next(point for point in MODEL.points if point.name == preset)
    return Device("miner", MODEL, point, Random(1), bias=bias)


def at(device: Device, now_s: float) -> tuple[float, float]:
    device.advance(now_s)
    return device.power_w, device.work


def test_a_change_waits_restarts_and_ramps() -> None:
    device = s19()
    assert device.order("3200", 100.0) is None
    assert at(device, 104.0) == (1500.0, 63.0)
    assert at(device, 105.0) == (20.0, 0.0)
    assert device.observed(105.0).state == "starting"
    assert at(device, 164.0) == (20.0, 0.0)
    power_w, work = at(device, 185.0)
    assert power_w == pytest.approx(20 + 0.5 * 3180)
    assert work == pytest.approx(51.0)
    assert at(device, 205.0) == (3200.0, 102.0)
    assert device.observed(205.0).state == "running"
    assert not device.is_changing
    assert device.restarts == 1


def test_being_switched_off_has_a_time_of_its_own_and_no_restart() -> None:
    device = s19()
    device.order(OFF, 0.0)
    assert at(device, 9.0)[0] == 1500.0
    assert at(device, 10.0) == (20.0, 0.0)
    assert device.observed(10.0).state == "off"
    device.order("1500", 20.0)
    device.advance(25.0)
    assert device.observed(25.0).state == "starting"
    # It interrupts no work.
    assert device.restarts == 0


def test_the_same_preset_again_changes_nothing() -> None:
    device = s19()
    device.order("1500", 0.0)
    assert at(device, 30.0) == (1500.0, 63.0)
    assert device.restarts == 0


def test_an_order_in_the_middle_of_a_restart_starts_it_again() -> None:
    device = s19()
    device.order("3200", 0.0)
    device.advance(60.0)
    device.order("1100", 60.0)
    assert at(device, 124.0) == (20.0, 0.0)
    assert at(device, 165.0) == (1100.0, 53.0)


def test_some_orders_are_refused_and_some_forgotten() -> None:
    device = s19()
    device.refuses = 1.0
    assert device.order("3200", 0.0) == "answers with an error"
    device.refuses, device.forgets = 0.0, 1.0
    assert device.order("3200", 0.0) is None
    assert at(device, 500.0) == (1500.0, 63.0)
    assert device.observed(500.0).point == "1500"


def test_one_that_is_away_goes_on_drawing_and_says_nothing() -> None:
    device = s19()
    device.is_away = True
    assert device.order(OFF, 0.0) == "does not answer"
    seen = device.observed(100.0)
    assert (seen.state, seen.power_w, seen.point) == ("away", None, None)
    assert at(device, 100.0) == (1500.0, 63.0)


def test_one_that_has_failed_draws_nothing_until_it_is_mended() -> None:
    device = s19()
    device.fail()
    assert (device.power_w, device.work, device.state) == (20.0, 0.0, "failed")
    device.mend(100.0)
    assert at(device, 300.0) == (1500.0, 63.0)


def test_it_draws_more_than_its_table_says() -> None:
    device = s19(bias=0.1)
    assert device.power_w == pytest.approx(1650.0)
    device.drift(1.2)
    assert device.power_w == pytest.approx(1800.0)
    assert device.observed(0.0).power_w == pytest.approx(1800.0)
