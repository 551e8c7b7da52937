"""Adds up a simulated day, step by step."""

from __future__ import annotations

from collections import Counter

from jouled.simulation.names import Strategy
from jouled.simulation.outcome import CHANGES_MAX, Change, Minute, Outcome, Run

JOULES_PER_KWH = 3.6e6
DAY_S = 86_400.0


class Tally:
    """What is counted while a day goes by. Powers of each step hold for `step_s`."""

    def __init__(self, strategy: Strategy, step_s: float, loads: int) -> None:
        self._strategy = strategy
        self._step_s = step_s
        self._loads = loads
        self._steps = 0
        self._over_steps = 0
        self._over_j = 0.0
        self._worst = 0.0
        self._over_row = 0
        self._longest_row = 0
        self._energy_j = 0.0
        self._unserved_j = 0.0
        self._work = 0.0
        self._saturated_steps = 0
        self._cost = 0.0
        self._carbon_g = 0.0
        self._failed = 0
        self._reversals = 0
        self._direction = 0
        self._of_load: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._shed: dict[str, float] = {}
        self._changes: list[Change] = []
        self._minutes: list[Minute] = []
        self._steps_of_minute = max(1, round(60 / step_s))
        self._supply_low = float("inf")
        self._load_high = 0.0
        self._minute_changes = 0
        self._minute_shed_w = 0.0

    def step(
        self, limit_w: float, load_w: float, work: float, target_w: float | None, *, is_saturated: bool = False
    ) -> None:
        self._steps += 1
        self._energy_j += load_w
        self._work += work
        self._saturated_steps += is_saturated
        above_w = load_w - limit_w
        # Half a watt is what adding up floats of a thousand devices cannot err by.
        if above_w > 0.5:
            self._over_steps += 1
            self._over_row += 1
            self._longest_row = max(self._longest_row, self._over_row)
            self._over_j += above_w
            self._worst = max(self._worst, above_w / limit_w if limit_w > 0 else 1.0)
        else:
            self._over_row = 0
            self._unserved_j -= above_w
        self._supply_low = min(self._supply_low, limit_w)
        self._load_high = max(self._load_high, load_w)
        if self._steps % self._steps_of_minute == 0:
            self._close_minute(target_w)

    def cost(self, load_w: float, price_per_kwh: float | None, carbon_g_per_kwh: float | None) -> None:
        """Of one step."""
        kwh = load_w * self._step_s / JOULES_PER_KWH
        self._cost += kwh * (price_per_kwh or 0.0)
        self._carbon_g += kwh * (carbon_g_per_kwh or 0.0)

    def change(self, change: Change) -> None:
        if change.problem is not None:
            self._failed += 1
        else:
            self._of_load[change.load] += 1
            self._minute_changes += 1
            # "band: sentence" for ours; the sentence has numbers, and would be a reason of its own each time.
            reason = change.reason.partition(":")[0]
            self._reasons[reason] += 1
            if change.after_w < change.before_w:
                shed_w = change.before_w - change.after_w
                self._shed[reason] = self._shed.get(reason, 0.0) + shed_w
                self._minute_shed_w += shed_w
        if len(self._changes) < CHANGES_MAX:
            self._changes.append(change)

    def decided(self, delta_w: float) -> None:
        """The sum of what one cycle has ordered."""
        direction = (delta_w > 0) - (delta_w < 0)
        if direction and self._direction and direction != self._direction:
            self._reversals += 1
        self._direction = direction or self._direction

    def run(self, restarts: int, currency: str | None, *, has_carbon: bool) -> Run:
        step_s = self._step_s
        length_s = max(step_s, self._steps * step_s)
        days = length_s / DAY_S
        changes = sum(self._of_load.values())
        outcome = Outcome(
            strategy=self._strategy.name,
            reserve_pct=round(self._strategy.reserve * 100, 6),
            hours=length_s / 3600,
            over_minutes=self._over_steps * step_s / 60,
            over_kwh=self._over_j * step_s / JOULES_PER_KWH,
            worst_pct=self._worst * 100,
            longest_over_s=self._longest_row * step_s,
            energy_kwh=self._energy_j * step_s / JOULES_PER_KWH,
            unserved_kwh=self._unserved_j * step_s / JOULES_PER_KWH,
            work_th_h=self._work * step_s / 3600,
            changes=changes,
            changes_per_day=changes / days,
            changes_per_load_day=changes / days / max(1, self._loads),
            most_changes_of_a_load=max(self._of_load.values(), default=0),
            restarts=restarts,
            failed_changes=self._failed,
            reversals=self._reversals,
            saturated_minutes=self._saturated_steps * step_s / 60,
            cost=None if currency is None else self._cost,
            currency=currency,
            carbon_kg=self._carbon_g / 1000 if has_carbon else None,
            shed_kw={reason: watts / 1000 for reason, watts in sorted(self._shed.items(), key=lambda item: -item[1])},
            changes_by_reason=dict(self._reasons.most_common()),
        )
        return Run(outcome, tuple(self._minutes), tuple(self._changes))

    def _close_minute(self, target_w: float | None) -> None:
        self._minutes.append(
            Minute(self._supply_low, target_w, self._load_high, self._minute_changes, self._minute_shed_w)
        )
        self._supply_low = float("inf")
        self._load_high = 0.0
        self._minute_changes = 0
        self._minute_shed_w = 0.0
