"""What of a plant's feed is believed, and what holds as it grows old: by rules, without a clock of its own."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.balance.site.supply import Reading, SupplyRules, SupplyState, judged, slept, supply_of
from jouled.balance.site.words import Supply

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
KW = 1000.0
RULES = SupplyRules(rated_w=200 * KW, fallback_w=10 * KW)


class Site:
    """A feed that is judged each quarter of a minute, with both clocks."""

    def __init__(self, rules: SupplyRules = RULES, **changes: Any) -> None:
        self.rules = rules._replace(**changes)
        self.state = SupplyState()
        self.now, self.now_s = NOW, 1000.0

    def after(self, seconds: float) -> Site:
        self.now += timedelta(seconds=seconds)
        self.now_s += seconds
        return self

    def set_clock(self, by_s: float) -> Site:
        self.now += timedelta(seconds=by_s)
        return self

    def reads(self, power_w: float, *, age_s: float = 0.0, **parts: Any) -> str | None:
        """What became of it."""
        reading = Reading(power_w, self.now - timedelta(seconds=age_s), **parts)
        self.state = judged(self.state, reading, None, self.rules, self.now, self.now_s)
        return self.state.judgement

    def then_reads(self, *powers_w: float, **parts: Any) -> list[str | None]:
        return [self.after(15).reads(power_w, **parts) for power_w in powers_w]

    def misses(self) -> None:
        self.state = judged(self.state, None, "no answer", self.rules, self.now, self.now_s)

    def supply(self) -> Supply:
        return supply_of(self.state, self.rules, self.now_s)

    @property
    def believed_w(self) -> float | None:
        return self.supply().power_w


def settled(power_w: float = 100 * KW, rules: SupplyRules = RULES, **changes: Any) -> Site:
    """It has given that for a while."""
    site = Site(rules, **changes)
    site.then_reads(*[power_w] * 4)
    return site


def test_a_plausible_reading_is_believed() -> None:
    site = settled()
    assert site.state.judgement == "accepted"
    assert site.supply() == Supply(100 * KW, "fresh", 0.0, None, is_on_battery=False, reading_w=100 * KW)


@pytest.mark.parametrize(
    ("power_w", "parts", "judgement"),
    [
        (-50 * KW, {}, "negative"),
        (math.nan, {}, "not-finite"),
        (math.inf, {}, "not-finite"),
        (-math.inf, {}, "not-finite"),
        (211 * KW, {}, "above-rated"),
        (100_000 * KW, {}, "above-rated"),
        (100 * KW, {"confidence": 0.8}, "confidence"),
        (100 * KW, {"confidence": math.nan}, "confidence"),
        (100 * KW, {"age_s": -6.0}, "future"),
        (100 * KW, {"age_s": -7200.0}, "future"),
        (100 * KW, {"age_s": 20.0}, "backwards"),
        (0.1 * KW, {}, "unit-flip"),
        (160 * KW, {}, "ramp"),
        (100 * KW, {"consumption_w": math.nan}, "not-finite"),
    ],
)
def test_what_is_not_plausible_is_counted_and_changes_nothing(
    power_w: float, parts: dict[str, Any], judgement: str
) -> None:
    site = settled()
    assert site.then_reads(power_w, **parts) == [judgement]
    assert site.state.rejected_total == site.state.rejected_in_a_row == 1
    assert site.believed_w == 100 * KW
    assert site.supply().age_s == 15.0
    assert (site.supply().problem or "").startswith("not believed: ")


def test_while_the_latest_is_not_believed_nothing_is_raised_though_what_is_known_is_young() -> None:
    site = settled()
    site.then_reads(-50 * KW)
    assert site.supply().stage == "stale"
    site.then_reads(100 * KW)
    assert site.supply().stage == "fresh"
    assert site.supply().problem is None


@pytest.mark.parametrize("power_w", [0.0, 1 * KW, 30 * KW, 99 * KW])
def test_a_fall_of_any_size_is_believed_at_once(power_w: float) -> None:
    site = settled()
    assert site.then_reads(power_w) == ["accepted"]
    assert site.believed_w == power_w


def test_a_plant_that_stands_still_draws_a_little_and_gives_nothing() -> None:
    site = settled()
    assert site.then_reads(-1.5 * KW) == ["accepted"]
    assert site.believed_w == 0.0


def test_a_steep_rise_is_believed_once_three_readings_have_said_it_and_as_far_as_all_of_them_did() -> None:
    site = settled(40 * KW)
    assert site.then_reads(120 * KW, 90 * KW) == ["ramp", "ramp"]
    assert site.believed_w == 40 * KW
    assert site.then_reads(150 * KW) == ["accepted"]
    assert site.believed_w == 90 * KW
    assert site.supply().reading_w == 150 * KW


def test_a_steep_rise_that_comes_and_goes_is_never_believed() -> None:
    site = settled(40 * KW)
    for _ in range(50):
        site.then_reads(150 * KW, 150 * KW, 40 * KW)
        assert site.believed_w == 40 * KW


def test_one_lie_said_again_and_again_under_one_time_is_not_several() -> None:
    site = settled(40 * KW)
    lie = Reading(150 * KW, site.after(15).now)
    for _ in range(10):
        site.state = judged(site.state, lie, None, site.rules, site.now, site.after(15).now_s)
    assert site.state.believed_w == 40 * KW
    assert site.state.judgement == "ramp"


def test_a_rise_that_the_plant_can_make_is_believed_at_once() -> None:
    site = settled(100 * KW)
    assert site.then_reads(124 * KW, 148 * KW) == ["accepted", "accepted"]
    assert site.believed_w == 148 * KW


def test_a_river_that_is_unsteady_is_believed_also_where_it_is_asked_each_second() -> None:
    site = Site(poll_s=1.0)
    for second in range(300):
        site.after(1).reads(100 * KW + (second * 37 % 11) * 0.8 * KW)
        assert site.state.judgement == "accepted"


def test_asked_each_second_a_steep_rise_has_to_last_as_long() -> None:
    site = settled(20 * KW, poll_s=1.0)
    judgements = [site.after(1).reads(90 * KW) for _ in range(31)]
    assert judgements == ["ramp"] * 30 + ["accepted"]


def test_what_creeps_up_in_small_steps_is_no_faster_than_the_plant() -> None:
    site = settled(20 * KW, poll_s=1.0)
    for _ in range(60):
        site.after(1).reads((site.state.believed_w or 0.0) + 9.9 * KW)
    assert (site.believed_w or 0.0) < 20 * KW + 1.2 * 0.5 * 200 * KW + 2 * 10 * KW


def test_a_long_silence_is_no_leave_to_jump() -> None:
    site = settled(20 * KW)
    site.after(1800)
    assert site.reads(180 * KW) == "ramp"
    assert site.supply().stage == "failed"
    assert site.then_reads(180 * KW, 180 * KW) == ["ramp", "accepted"]
    assert site.supply().stage == "fresh"


@pytest.mark.parametrize("rated_w", [200 * KW, None])
def test_a_thousandfold_is_never_believed_however_long_it_is_said(rated_w: float | None) -> None:
    site = settled(rated_w=rated_w)
    for _ in range(1000):
        site.then_reads(100_000 * KW)
        believed_w = site.believed_w
        assert believed_w is not None
        assert believed_w <= 100 * KW
    assert site.supply().stage == "failed"
    assert site.believed_w == 10 * KW


def test_a_thousandfold_after_a_trip_is_one_too() -> None:
    site = settled(rated_w=None)
    site.then_reads(0.0)
    assert site.then_reads(*[60_000 * KW] * 5) == ["unit-flip"] * 5
    assert site.believed_w == 0.0


def test_a_thousandth_is_doubted_and_then_believed_since_it_may_be_a_trip() -> None:
    site = settled()
    assert site.then_reads(0.1 * KW, 0.1 * KW) == ["unit-flip", "unit-flip"]
    assert site.supply().stage == "stale"
    assert site.then_reads(0.1 * KW) == ["accepted"]
    assert site.believed_w == 0.1 * KW


@pytest.mark.parametrize("rated_w", [200 * KW, None])
def test_what_it_has_given_before_it_may_give_again_after_such_a_trip(rated_w: float | None) -> None:
    site = settled(rated_w=rated_w)
    site.then_reads(*[0.1 * KW] * 6)
    assert site.then_reads(*[100 * KW] * 3) == ["unit-flip", "unit-flip", "accepted"]
    assert site.believed_w == 100 * KW


def test_a_first_reading_in_the_wrong_unit_is_mended_by_the_ones_after_it() -> None:
    site = Site()
    assert site.then_reads(0.1 * KW, 100 * KW, 100 * KW, 100 * KW) == ["accepted", "unit-flip", "unit-flip", "accepted"]
    assert site.believed_w == 100 * KW


def test_one_reading_alone_proves_nothing_of_a_plant_without_a_rated_power() -> None:
    site = Site(rated_w=None)
    site.then_reads(100_000 * KW, 100 * KW, 100 * KW, 100 * KW, 100 * KW)
    assert site.believed_w == 100 * KW
    site.then_reads(*[100_000 * KW] * 20)
    believed_w = site.believed_w
    assert believed_w is not None
    assert believed_w <= 100 * KW


def test_a_repeated_reading_is_no_error_and_no_news() -> None:
    site = settled()
    frozen = site.state.last
    for _ in range(3):
        site.after(15)
        site.state = judged(site.state, frozen, None, site.rules, site.now, site.now_s)
        assert site.state.judgement == "repeated"
    assert site.state.rejected_total == 0
    assert site.supply().stage == "fresh"
    site.after(1)
    assert site.supply().stage == "stale"
    assert site.supply().age_s == 46.0


def test_a_frozen_reading_under_new_times_is_as_old_as_it_was() -> None:
    site = Site()
    site.reads(100 * KW, id="41")
    site.then_reads(*[100 * KW] * 10, id="41")
    assert site.supply().age_s == 150.0
    assert site.supply().stage == "held"


def test_a_lower_value_of_the_same_moment_is_believed_and_a_higher_one_is_not() -> None:
    site = settled()
    site.reads(120 * KW)
    assert site.believed_w == 100 * KW
    site.reads(30 * KW)
    assert site.state.judgement == "repeated"
    assert site.believed_w == 30 * KW


def test_as_it_grows_old_it_is_stale_then_stepped_down_then_the_fallback_holds() -> None:
    site = settled()
    seen = []
    for age_s in (0, 45, 45.5, 120, 121, 180, 600, 601):
        supply = supply_of(site.state, site.rules, site.now_s + age_s)
        seen.append((supply.stage, supply.power_w))
    assert [stage for stage, _ in seen] == ["fresh", "fresh", "stale", "stale", "held", "held", "held", "failed"]
    powers_w = [power_w for _, power_w in seen if power_w is not None]
    assert powers_w[:4] == [100 * KW] * 4
    assert powers_w[4] == pytest.approx(100 * KW * (1 - 0.05 / 60))
    assert powers_w[5] == pytest.approx(95 * KW)
    assert powers_w[6] == pytest.approx(60 * KW)
    assert powers_w[7] == 10 * KW


def test_what_is_held_is_the_lowest_of_late() -> None:
    site = settled()
    site.then_reads(80 * KW, 100 * KW)
    assert supply_of(site.state, site.rules, site.now_s + 121).power_w == pytest.approx(80 * KW, rel=1e-3)


def test_the_fallback_never_raises_what_was_lower() -> None:
    site = settled()
    site.then_reads(0.0)
    for age_s in (46, 121, 601, 10_000):
        assert supply_of(site.state, site.rules, site.now_s + age_s).power_w == 0.0


def test_a_plant_that_was_never_heard_of_is_not_known_and_in_the_end_the_fallback() -> None:
    assert supply_of(SupplyState(), RULES, 5.0) == Supply(None, "stale", None, "the plant was not heard of yet")
    site = Site()
    site.misses()
    assert (site.supply().power_w, site.supply().stage, site.supply().problem) == (None, "stale", "no answer")
    site.after(200)
    assert (site.supply().power_w, site.supply().stage) == (None, "held")
    site.after(500)
    assert (site.supply().power_w, site.supply().stage) == (10 * KW, "failed")


def test_a_poll_without_an_answer_changes_only_what_is_said_until_it_grows_old() -> None:
    site = settled()
    site.after(15).misses()
    assert (site.supply().stage, site.supply().power_w, site.supply().problem) == ("fresh", 100 * KW, "no answer")
    assert site.state.rejected_total == 0


def test_the_age_is_that_of_the_source_not_of_the_fetch() -> None:
    site = Site()
    site.reads(100 * KW, age_s=100.0)
    assert (site.supply().age_s, site.supply().stage) == (100.0, "stale")


def test_times_of_any_zone_are_the_same_moment() -> None:
    site = Site()
    winter = timezone(timedelta(hours=1))
    summer = timezone(timedelta(hours=2))
    for zone in (winter, summer, winter):
        site.after(15)
        site.state = judged(
            site.state, Reading(100 * KW, site.now.astimezone(zone)), None, site.rules, site.now, site.now_s
        )
        assert site.state.judgement == "accepted"
        assert site.supply().age_s == 0.0


def test_a_clock_that_is_set_back_makes_nothing_young() -> None:
    site = settled()
    site.set_clock(-3600).after(100)
    assert site.supply().age_s == 100.0
    # An old reading that the wrong clock takes for a new one: it is as old as the other clock says.
    assert site.state.last is not None
    late = Reading(100 * KW, site.state.last.sourced_at + timedelta(seconds=1))
    site.set_clock(3600 - 60)
    site.state = judged(site.state, late, None, site.rules, site.now, site.now_s)
    assert site.state.judgement == "accepted"
    assert site.supply().age_s == pytest.approx(99.0)


def test_clocks_that_are_set_back_together_do_not_leave_the_future_behind_for_ever() -> None:
    site = settled()
    site.set_clock(-3600)
    assert site.then_reads(100 * KW, 100 * KW) == ["accepted", "accepted"]
    assert site.supply().stage == "fresh"


def test_a_clock_that_was_ahead_and_is_set_right_believes_again() -> None:
    site = Site()
    site.set_clock(3600)
    for _ in range(4):
        site.after(15).reads(100 * KW, age_s=3600.0)
    assert site.supply().stage == "failed"
    site.set_clock(-3600)
    site.then_reads(*[100 * KW] * 45)
    assert site.supply().stage == "fresh"


def test_a_clock_that_is_set_forward_makes_readings_old_and_not_younger() -> None:
    site = settled()
    site.set_clock(300)
    site.after(15).reads(100 * KW, age_s=300.0)
    assert site.supply().stage == "held"
    site.set_clock(-300)
    site.then_reads(*[100 * KW] * 45)
    assert site.supply().stage == "fresh"


def test_a_host_that_has_slept_knows_that_its_readings_are_old() -> None:
    site = settled()
    site.state = slept(site.state, 3600.0)
    assert (site.supply().stage, site.supply().power_w) == ("failed", 10 * KW)


def test_a_battery_is_believed_at_once_and_its_end_only_from_a_believed_reading() -> None:
    site = settled()
    site.then_reads(-50 * KW, is_on_battery=True)
    assert site.supply().is_on_battery
    site.then_reads(-50 * KW)
    assert site.supply().is_on_battery
    site.then_reads(100 * KW)
    assert not site.supply().is_on_battery


def test_what_is_kept_does_not_grow() -> None:
    site = Site()
    for power_w in range(3000):
        site.then_reads(100 * KW + power_w)
    assert len(site.state.late) <= 12
    assert len(site.state.recent_w) == 3


LIES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-1e9, 1e9),
    st.sampled_from([0.0, -1.0, 1e5, 1e8, 1e11, 2e5, 2.1e5]),
)
POLLS = st.lists(
    st.tuples(
        st.one_of(st.none(), LIES),
        st.floats(-90_000, 90_000),  # how old its time is
        st.one_of(st.none(), st.floats(allow_nan=True)),
        st.floats(0.1, 400),  # until the next one
        st.sampled_from([0.0, 0.0, 0.0, -3600.0, 3600.0, 2.5]),  # the clock is set by so much
    ),
    max_size=40,
)


@given(polls=POLLS, rated=st.booleans())
def test_no_lie_whatever_ends_it_or_makes_more_than_was_said(polls: list[Any], *, rated: bool) -> None:
    site = Site(rated_w=200 * KW if rated else None)
    said_w = 0.0
    for power_w, age_s, confidence, passed_s, step_s in polls:
        before_w = site.believed_w
        if power_w is None:
            site.misses()
        else:
            said_w = max(said_w, power_w) if math.isfinite(power_w) else said_w
            site.reads(power_w, age_s=age_s, confidence=confidence)
        supply = site.supply()
        if supply.power_w is not None:
            assert 0.0 <= supply.power_w <= max(said_w, site.rules.fallback_w)
            assert not rated or supply.power_w <= 210 * KW
            # What was not believed raises nothing, also where it is only said again.
            if site.state.judgement != "accepted" and before_w is not None:
                assert supply.power_w <= before_w
        assert supply.age_s is None or supply.age_s >= 0.0
        site.after(passed_s).set_clock(step_s)


@given(
    st.lists(
        st.tuples(
            st.floats(60, 120),
            st.sampled_from(["true", "negative", "thousandfold", "frozen", "future", "doubtful", "nothing"]),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_beside_lies_of_every_kind_the_supply_is_never_above_what_the_plant_has_truly_given(
    polls: list[tuple[float, str]],
) -> None:
    site = settled(100 * KW, rated_w=None)
    most_w = 100 * KW
    for true_kw, lie in polls:
        site.after(15)
        most_w = max(most_w, true_kw * KW)
        if lie == "nothing":
            site.misses()
        elif lie == "frozen":
            site.state = judged(site.state, site.state.last, None, site.rules, site.now, site.now_s)
        else:
            factor = {"negative": -1.0, "thousandfold": 1000.0}.get(lie, 1.0)
            site.reads(
                true_kw * KW * factor,
                age_s=-3600.0 if lie == "future" else 0.0,
                confidence=0.3 if lie == "doubtful" else 0.95,
            )
        assert (site.believed_w or 0.0) <= most_w


@given(st.lists(st.floats(0.0, 1000.0), min_size=2, max_size=30).map(sorted))
def test_while_nothing_is_heard_the_supply_only_falls(ages_s: list[float]) -> None:
    site = settled()
    site.then_reads(90 * KW)
    powers_w = [supply_of(site.state, site.rules, site.now_s + age_s).power_w or 0.0 for age_s in ages_s]
    assert powers_w == sorted(powers_w, reverse=True)
