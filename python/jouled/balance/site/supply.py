"""What of a plant's feed is believed, and what is done as it grows old.

Falls are safe to believe, and are believed at once. Rises are what a feed that lies does harm with: one that is
steeper than the plant can be is believed only as far as several readings in a row have said it.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import NamedTuple

from jouled.balance.site.words import Stage, Supply

# Above what is rated: meters err, and turbines give a little more in the cold.
RATED_SLACK = 1.05
# A plant that stands still draws a little: so much below zero, as a part of what it can give, is a zero.
STANDSTILL = 0.01
# A reading is a thousandfold of the one before, or a thousandth of it, within a quarter.
FLIP = 1000.0
FLIP_SLACK = 1.25
# Meters and rivers are unsteady: a rise by so much, as a part of what it can give, over the lowest of the same minute is
# no jump, however soon it comes.
UNSTEADY = 0.05
# So long, as a part of `hold_s`, has to be said what is hard to believe.
LASTING = 0.25
# Of what was believed of late, the lowest of each minute is kept, for as long as a reading may be held.
LATE_STEP_S = 60.0
LATE_MAX = 60

# What a poll may come to. The ones from NEGATIVE on are rejections.
ACCEPTED, REPEATED, UNANSWERED = "accepted", "repeated", "unanswered"
NEGATIVE, NOT_FINITE, ABOVE_RATED, CONFIDENCE = "negative", "not-finite", "above-rated", "confidence"
FUTURE, BACKWARDS, UNIT_FLIP, RAMP = "future", "backwards", "unit-flip", "ramp"
REJECTIONS = (NEGATIVE, NOT_FINITE, ABOVE_RATED, CONFIDENCE, FUTURE, BACKWARDS, UNIT_FLIP, RAMP)


class Reading(NamedTuple):
    """One answer of a plant, in watts. `sourced_at` is the oldest of its sources' times, not when it was fetched."""

    generation_w: float
    sourced_at: datetime
    # What others draw of it, where the feed tells; the managed loads may be in it.
    consumption_w: float | None = None
    exported_w: float | None = None
    # 0 to 1; None where the feed says nothing of it.
    confidence: float | None = None
    # The feed's own name of this reading: a repeated one is not news.
    id: str | None = None
    is_on_battery: bool = False
    # By the feed's names, as {"generation": {"unit-1": 80_000.0}}.
    sources: tuple[tuple[str, str, float], ...] = ()
    # When the feed put it together, where it says so.
    collected_at: datetime | None = None
    # What is odd about it and does not make it wrong, as a source that was left out.
    notes: tuple[str, ...] = ()


class SupplyRules(NamedTuple):
    """Bounds of what is believed. Times in seconds."""

    poll_s: float = 15.0
    rated_w: float | None = None
    # Of the rated power per minute (of the most that was ever believed, where that is not known); None is no bound.
    # Only rises are bound by it.
    ramp_per_min: float | None = 0.5
    confidence_min: float = 0.8
    # How far a source's time may be ahead of ours.
    ahead_s: float = 5.0
    # Older than so many polls is stale.
    stale_polls: float = 3.0
    hold_s: float = 120.0
    fail_s: float = 600.0
    # Of what was last known, per minute, while it is held.
    step_down_per_min: float = 0.05
    fallback_w: float = 0.0
    # So many readings in a row have to say what is hard to believe, for a quarter of `hold_s` or longer.
    agreeing: int = 3
    # Instead of stale_polls, for a feed whose readings are always older.
    stale_after_s: float | None = None

    @property
    def stale_s(self) -> float:
        return self.stale_polls * self.poll_s if self.stale_after_s is None else self.stale_after_s


class Doubt(NamedTuple):
    """Readings in a row that are hard to believe: all of them up, or all of them down."""

    first_at: datetime
    last_at: datetime
    last_id: str | None
    lowest_w: float
    times: int = 1


class SupplyState(NamedTuple):
    """What is kept from one reading to the next."""

    last: Reading | None = None
    # By the clock that nobody can set: when the latest believed reading was taken at its source.
    sourced_s: float | None = None
    rejected_total: int = 0
    # While there are some, loads are not raised.
    rejected_in_a_row: int = 0
    problem: str | None = None
    # What became of the latest poll: ACCEPTED, REPEATED, UNANSWERED or one of REJECTIONS.
    judgement: str | None = None
    # Of `last`: what it said, or less where more was hard to believe.
    believed_w: float | None = None
    # By minute: when, by the same clock, and the lowest that was believed in it.
    late: tuple[tuple[float, float], ...] = ()
    # The latest believed ones, and the most that several in a row have agreed upon: what the plant has proven.
    recent_w: tuple[float, ...] = ()
    proven_w: float = 0.0
    # What was hard to believe, in a row.
    doubt: Doubt | None = None
    is_on_battery: bool = False
    # When the first poll ended: who never hears of the plant is in the end without it too.
    began_s: float | None = None
    # The wall clock less the other one, and when it was last set back.
    offset_s: float | None = None
    set_back_s: float | None = None


class _Now(NamedTuple):
    """By the wall clock, as the feed's own times are, and by the one that nobody can set."""

    at: datetime
    s: float


def judged(  # noqa: PLR0917  (what came of one poll, and by which rules and clocks it is looked at)
    state: SupplyState, reading: Reading | None, problem: str | None, rules: SupplyRules, now: datetime, now_s: float
) -> SupplyState:
    """After one poll: `reading`, or `problem` where there was no answer. What is not plausible is counted, not used."""
    state = _timed(state, rules, now, now_s)
    if reading is None:
        return state._replace(judgement=UNANSWERED, problem=problem or "the plant did not answer")
    if reading.is_on_battery:
        state = state._replace(is_on_battery=True)
    reading = _standing(state, reading, rules)
    found = _impossible(reading, rules, now)
    if found is not None:
        return _rejected(state, *found)
    if _is_repeated(state.last, reading, now, rules):
        return _repeated(state, reading, now_s)
    last = state.last
    if last is not None and reading.sourced_at < last.sourced_at <= _ahead(now, rules):
        late_s = (last.sourced_at - reading.sourced_at).total_seconds()
        return _rejected(state, BACKWARDS, f"its time is {late_s:g} s before that of the reading before it")
    found = _hard_to_believe(state, reading, rules)
    if found is None:
        return _accepted(state, reading, reading.generation_w, rules, _Now(now, now_s))
    return _doubted(state, reading, found, rules, _Now(now, now_s))


def supply_of(state: SupplyState, rules: SupplyRules, now_s: float) -> Supply:
    """What holds now, by the age of what was last believed.

    While it is not fresh nothing raises it: the fallback is what it is stepped down to, never up to.
    """
    if state.sourced_s is None or state.last is None or state.believed_w is None:
        return _never_known(state, rules, now_s)
    age_s = max(0.0, now_s - state.sourced_s)
    stage = _stage(age_s, rules)
    if stage == "fresh" and state.rejected_in_a_row:
        stage = "stale"
    problem = state.problem
    power_w = state.believed_w
    if stage in {"held", "failed"}:
        power_w = _held_w(state, rules, age_s)
    if stage != "fresh" and problem is None:
        problem = f"the plant's latest reading is {age_s:.0f} s old"
    return Supply(
        power_w=power_w,
        stage=stage,
        age_s=age_s,
        problem=problem,
        is_on_battery=state.is_on_battery,
        reading_w=state.last.generation_w,
    )


def slept(state: SupplyState, asleep_s: float) -> SupplyState:
    """After the host has slept: the clock that nobody can set stood still, and what is known grew old all the same."""
    return state._replace(
        sourced_s=None if state.sourced_s is None else state.sourced_s - asleep_s,
        began_s=None if state.began_s is None else state.began_s - asleep_s,
        late=tuple((at_s - asleep_s, power_w) for at_s, power_w in state.late),
        set_back_s=None if state.set_back_s is None else state.set_back_s - asleep_s,
    )


def _stage(age_s: float, rules: SupplyRules) -> Stage:
    if age_s > rules.fail_s:
        return "failed"
    if age_s > rules.hold_s:
        return "held"
    return "stale" if age_s > rules.stale_s else "fresh"


def _never_known(state: SupplyState, rules: SupplyRules, now_s: float) -> Supply:
    waited_s = 0.0 if state.began_s is None else max(0.0, now_s - state.began_s)
    stage = _stage(waited_s, rules)
    if stage == "fresh":
        stage = "stale"
    power_w = rules.fallback_w if stage == "failed" else None
    problem = state.problem or "the plant was not heard of yet"
    return Supply(power_w, stage, None, problem, is_on_battery=state.is_on_battery)


def _held_w(state: SupplyState, rules: SupplyRules, age_s: float) -> float:
    lowest_w = min((power_w for _, power_w in state.late), default=math.inf)
    base_w = min(state.believed_w or 0.0, lowest_w)
    if age_s > rules.fail_s:
        return min(base_w, rules.fallback_w)
    left = max(0.0, 1.0 - rules.step_down_per_min * (age_s - rules.hold_s) / 60.0)
    return min(base_w, max(base_w * left, rules.fallback_w))


def _timed(state: SupplyState, rules: SupplyRules, now: datetime, now_s: float) -> SupplyState:
    """Notices that the wall clock was set back: what is old looks young by it then."""
    offset_s = now.timestamp() - now_s
    is_set_back = state.offset_s is not None and offset_s < state.offset_s - min(1.0, rules.ahead_s)
    return state._replace(
        began_s=now_s if state.began_s is None else state.began_s,
        offset_s=offset_s,
        set_back_s=now_s if is_set_back else state.set_back_s,
    )


def _ahead(now: datetime, rules: SupplyRules) -> datetime:
    return datetime.fromtimestamp(now.timestamp() + rules.ahead_s, now.tzinfo)


def _standing(state: SupplyState, reading: Reading, rules: SupplyRules) -> Reading:
    """What has tripped must not be held for a wrong sign: a small one is of its own consumption."""
    whole_w = state.proven_w if rules.rated_w is None else rules.rated_w
    is_standstill = -STANDSTILL * whole_w < reading.generation_w < 0
    return reading._replace(generation_w=0.0) if is_standstill else reading


def _impossible(reading: Reading, rules: SupplyRules, now: datetime) -> tuple[str, str] | None:
    """What no plant says, whatever it said before."""
    found = _impossible_power(reading, rules)
    if found is not None:
        return found
    if reading.confidence is not None and not reading.confidence > rules.confidence_min:
        return CONFIDENCE, f"a confidence of {reading.confidence:g} is not above {rules.confidence_min:g}"
    if reading.sourced_at > _ahead(now, rules):
        ahead_s = (reading.sourced_at - now).total_seconds()
        return FUTURE, f"its time is {ahead_s:.0f} s in the future; check the clocks of this host and of the plant"
    return None


def _impossible_power(reading: Reading, rules: SupplyRules) -> tuple[str, str] | None:
    power_w = reading.generation_w
    for name, value in (
        ("generation", power_w),
        ("consumption", reading.consumption_w),
        ("export", reading.exported_w),
    ):
        if value is not None and not math.isfinite(value):
            return NOT_FINITE, f"its {name} of {value} is no number"
    if power_w < 0:
        return NEGATIVE, f"a generation of {_watts(power_w)} is negative"
    if rules.rated_w is not None and power_w > rules.rated_w * RATED_SLACK:
        whole = f"the plant's {_watts(rules.rated_w)}; check plant.unit and plant.rated"
        return ABOVE_RATED, f"a generation of {_watts(power_w)} is more than {whole}"
    return None


def _is_repeated(last: Reading | None, reading: Reading, now: datetime, rules: SupplyRules) -> bool:
    """The same once more, or with a new time on it. A time that only a wrong clock let pass says nothing."""
    if last is None or last.sourced_at > _ahead(now, rules):
        return False
    is_same = reading.id is not None and reading.id == last.id and reading.generation_w == last.generation_w
    return is_same or reading.sourced_at == last.sourced_at


def _repeated(state: SupplyState, reading: Reading, now_s: float) -> SupplyState:
    """No news. But where the same moment is now said to be a lower one, that is believed."""
    state = state._replace(judgement=REPEATED)
    if not state.rejected_in_a_row:
        state = state._replace(problem=None)
    if state.believed_w is None or state.last is None or reading.generation_w >= state.believed_w:
        return state
    return _noted(state._replace(last=reading), reading.generation_w, now_s)


def _hard_to_believe(state: SupplyState, reading: Reading, rules: SupplyRules) -> tuple[str, str] | None:
    """Beside what was believed before."""
    last_w, power_w = state.believed_w, reading.generation_w
    if last_w is None or state.last is None:
        return None
    if last_w > 0 and power_w > 0 and _is_flip(max(power_w, last_w) / min(power_w, last_w)):
        return UNIT_FLIP, f"{_watts(power_w)} after {_watts(last_w)}: has the feed changed its unit?"
    # Where no rated power bounds it, a thousandfold is one also of what the plant gave before it tripped.
    if rules.rated_w is None and state.proven_w > 0 and power_w >= state.proven_w * FLIP / 10:
        most = f"{_watts(power_w)}, where it gave {_watts(state.proven_w)} at most"
        return UNIT_FLIP, f"{most}: has the feed changed its unit? Where it is true, set plant.rated"
    if rules.ramp_per_min is None or power_w <= last_w:
        return None
    # Neither a long silence nor what was not believed meanwhile is a leave to jump.
    before = state.last.sourced_at if state.doubt is None else max(state.doubt.last_at, state.last.sourced_at)
    passed_s = (reading.sourced_at - before).total_seconds()
    passed_s = min(max(passed_s, rules.poll_s), max(rules.stale_s, rules.poll_s))
    whole_w = state.proven_w if rules.rated_w is None else rules.rated_w
    steady_w = last_w + rules.ramp_per_min * whole_w * passed_s / 60.0
    unsteady_w = state.late[-1][1] + UNSTEADY * whole_w if state.late else 0.0
    if power_w > max(steady_w, unsteady_w):
        return RAMP, f"{_watts(power_w)} after {_watts(last_w)} is a steeper rise than plant.ramp allows"
    return None


def _watts(power_w: float) -> str:
    """Without an exponent, which nobody compares with what a display shows."""
    return f"{power_w:.0f} W" if abs(power_w) >= 10 else f"{power_w:g} W"


def _is_flip(ratio: float) -> bool:
    return FLIP / FLIP_SLACK <= ratio <= FLIP * FLIP_SLACK


def _doubted(
    state: SupplyState, reading: Reading, found: tuple[str, str], rules: SupplyRules, now: _Now
) -> SupplyState:
    """Rejected, unless it is the last one of several in a row: then as far as all of them have said it."""
    believed_w = state.believed_w or 0.0
    doubt, power_w = state.doubt, reading.generation_w
    if doubt is None or (doubt.lowest_w > believed_w) != (power_w > believed_w):
        doubt = Doubt(reading.sourced_at, reading.sourced_at, reading.id, power_w)
    elif reading.sourced_at > doubt.last_at and (reading.id is None or reading.id != doubt.last_id):
        lowest_w = min(doubt.lowest_w, power_w)
        doubt = Doubt(doubt.first_at, reading.sourced_at, reading.id, lowest_w, doubt.times + 1)
    is_lasting = (doubt.last_at - doubt.first_at).total_seconds() >= rules.hold_s * LASTING
    if doubt.times < rules.agreeing or not is_lasting or not _may_agree(state, reading, found[0], rules, now.s):
        return _rejected(state, *found)._replace(doubt=doubt)
    return _accepted(state, reading, min(doubt.lowest_w, power_w), rules, now)


def _may_agree(state: SupplyState, reading: Reading, reason: str, rules: SupplyRules, now_s: float) -> bool:
    """A fall may, and a steep rise. A thousandfold may become as much as the plant has given before; more only where
    plant.rated bounds it, and what was believed is no yard-stick: it was said too rarely, or too long ago.
    """
    if reading.generation_w < (state.believed_w or 0.0) or reason == RAMP:
        return True
    if reading.generation_w <= state.proven_w * RATED_SLACK:
        return True
    is_old = state.sourced_s is None or now_s - state.sourced_s > rules.fail_s
    return rules.rated_w is not None and (is_old or len(state.recent_w) < rules.agreeing)


def _rejected(state: SupplyState, reason: str, problem: str) -> SupplyState:
    return state._replace(
        rejected_total=state.rejected_total + 1,
        rejected_in_a_row=state.rejected_in_a_row + 1,
        judgement=reason,
        problem=f"not believed: {problem}",
        doubt=None,
    )


def _accepted(state: SupplyState, reading: Reading, believed_w: float, rules: SupplyRules, now: _Now) -> SupplyState:
    recent_w = (*state.recent_w, believed_w)[-max(1, rules.agreeing) :]
    proven_w = max(state.proven_w, min(recent_w)) if len(recent_w) >= rules.agreeing else state.proven_w
    sourced_s = now.s - _age_s(state, reading, rules, now)
    state = state._replace(
        last=reading,
        sourced_s=sourced_s,
        rejected_in_a_row=0,
        problem=None,
        judgement=ACCEPTED,
        recent_w=recent_w,
        proven_w=proven_w,
        doubt=None,
        is_on_battery=reading.is_on_battery,
        late=tuple((at_s, power_w) for at_s, power_w in state.late if at_s > now.s - rules.fail_s),
    )
    return _noted(state, believed_w, now.s)


def _age_s(state: SupplyState, reading: Reading, rules: SupplyRules, now: _Now) -> float:
    """By the wall clock, as the source's time is. Where that was set back of late, what the other clock says of the
    reading before counts too: for a while only, since the new time may well be the right one.
    """
    age_s = max(0.0, (now.at - reading.sourced_at).total_seconds())
    is_doubtful = state.set_back_s is not None and now.s - state.set_back_s < rules.fail_s
    if not is_doubtful or state.sourced_s is None or state.last is None:
        return age_s
    news_s = (reading.sourced_at - state.last.sourced_at).total_seconds()
    return max(age_s, now.s - state.sourced_s - max(0.0, news_s))


def _noted(state: SupplyState, believed_w: float, now_s: float) -> SupplyState:
    late = state.late
    if late and now_s - late[-1][0] < LATE_STEP_S:
        late = (*late[:-1], (late[-1][0], min(late[-1][1], believed_w)))
    else:
        late = (*late, (now_s, believed_w))
    return state._replace(believed_w=believed_w, late=late[-LATE_MAX:])
