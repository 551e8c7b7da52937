"""What begins or ends between two cycles, each said once."""

from __future__ import annotations

from jouled.balance.site.memory import BalanceState
from jouled.balance.site.words import Happening, Supply, Verdict

SITE = "site"


def changes_of(before: BalanceState, after: BalanceState, verdict: Verdict, supply: Supply | None) -> list[Happening]:
    """Of the site; what befalls a load is said where it is seen."""
    told = []
    load = f"the loads draw {verdict.load_w:.0f} W"
    is_emergency, was_emergency = verdict.band == "emergency", before.band == "emergency"
    if is_emergency and not was_emergency:
        of = "" if verdict.budget_w is None else f" of {verdict.budget_w:.0f} W that {verdict.limited_by} allows"
        told.append(Happening("emergency", "critical", SITE, f"{load}{of}"))
    if was_emergency and not is_emergency:
        told.append(Happening("emergency_over", "info", SITE, load))
    if after.is_saturated and not before.is_saturated:
        told.append(Happening("saturated", "critical", SITE, f"nothing is left to shed: {verdict.explanation}"))
    if before.is_saturated and not after.is_saturated:
        told.append(Happening("saturated_over", "info", SITE, load))
    if after.is_without_actuator and not before.is_without_actuator:
        told.append(Happening("no_actuator", "warning", SITE, "none of the loads can be set now"))
    if before.is_without_actuator and not after.is_without_actuator:
        told.append(Happening("actuator_back", "info", SITE, "there are loads that can be set again"))
    if supply is not None and after.told_stage != before.told_stage:
        told += _of_supply(before, supply)
    return told


def _of_supply(before: BalanceState, supply: Supply) -> list[Happening]:
    if supply.stage == "fresh":
        is_news = before.told_stage is not None
        return [Happening("supply_fresh", "info", SITE, "the plant is heard of again")] if is_news else []
    age = "never" if supply.age_s is None else f"{supply.age_s:.0f} s ago"
    note = f"the plant was heard of {age}" + (f": {supply.problem}" if supply.problem else "")
    severity = "critical" if supply.stage == "failed" else "warning"
    return [Happening(f"supply_{supply.stage}", severity, SITE, note)]  # type: ignore[arg-type]
