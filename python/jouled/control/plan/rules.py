"""The settings of the plan as the rules that its pure functions take."""

from __future__ import annotations

from datetime import time, timedelta
from decimal import Decimal

from jouled.balance.cheapest_hours import Need
from jouled.balance.planner import Rules
from jouled.balance.strategies import Range, StaticCap, Threshold
from jouled.books.tariff import Charge, Tariff
from jouled.config import Config
from jouled.config.plan import Plan, cap_of, charge_of


def rules_of(config: Config) -> Rules:
    """Of settings that have been checked."""
    plan, tariff = config.plan, config.tariff
    energy_wh = plan.cheapest.energy_wh
    need = None
    if energy_wh is not None:
        need = Need(energy_wh, time.fromisoformat(plan.cheapest.deadline), plan.cheapest.continuous)
    return Rules(
        plan.strategies,
        Tariff(
            config.market.timezone,
            tuple(Charge(*charge_of(text)) for text in tariff.charges),
            _decimal(tariff.tax_pct) / 100,
            None if tariff.billing_s is None else timedelta(seconds=tariff.billing_s),
        ),
        plan.missing,
        plan.reference,
        plan.reference_w,
        plan.rank_over,
        _threshold(plan),
        need,
        tuple(StaticCap(*cap_of(text)) for text in plan.static),
    )


def least_w(plan: Plan, caps_min_w: float) -> float:
    """The lowest budget, of what may be asked for at least."""
    return max(caps_min_w, plan.min_w or 0.0)


def range_of(plan: Plan, caps_min_w: float, caps_max_w: float | None) -> Range | None:
    """Of what may be asked for. None where nobody knows what the most is."""
    known = [highest_w for highest_w in (plan.max_w, caps_max_w) if highest_w is not None]
    min_w = least_w(plan, caps_min_w)
    # Hardware that has less than the lowest budget has only that one.
    return Range(min_w, max(min_w, min(known))) if known else None


def _threshold(plan: Plan) -> Threshold:
    prices = (plan.threshold.below, plan.threshold.above, plan.threshold.limit)
    below, above, limit = (None if price is None else _decimal(price) for price in prices)
    return Threshold(below, above, limit, plan.threshold.negative)


def _decimal(number: float) -> Decimal:
    """The digits that were written, not those of the binary number."""
    return Decimal(repr(float(number)))
