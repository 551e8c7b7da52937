"""An outcome in words and cells, as the table and the page show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jouled.simulation.outcome import Outcome


class Column(NamedTuple):
    """One number of an outcome: its name in a table, its name in words, itself."""

    head: str
    long: str
    text: Callable[[Outcome], str]


def _optional(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _cost(outcome: Outcome) -> str:
    return "-" if outcome.cost is None else f"{outcome.cost:,.2f} {outcome.currency or ''}".rstrip()


COLUMNS = (
    Column("OVER min", "Minutes above supply", lambda one: f"{one.over_minutes:.2f}"),
    Column("OVER kWh", "kWh above supply", lambda one: f"{one.over_kwh:.2f}"),
    Column("WORST %", "Worst instant, % above", lambda one: f"{one.worst_pct:.1f}"),
    Column("LONGEST s", "Longest above, s", lambda one: f"{one.longest_over_s:.0f}"),
    Column("WORK TH·h", "Work, TH·h", lambda one: f"{one.work_th_h:,.0f}"),
    Column("kWh", "Energy, kWh", lambda one: f"{one.energy_kwh:,.0f}"),
    Column("CHANGES/day", "Changes a day", lambda one: f"{one.changes_per_day:,.0f}"),
    Column("/load", "Changes a load and day", lambda one: f"{one.changes_per_load_day:.1f}"),
    Column("FAILED", "Failed changes", lambda one: f"{one.failed_changes:,}"),
    Column("TURNS", "Turns up or down", lambda one: f"{one.reversals:,}"),
    Column("COST", "Cost", _cost),
    Column("CO2 kg", "Carbon, kg", lambda one: _optional(one.carbon_kg, 1)),
)


def cells(outcome: Outcome, columns: Sequence[Column] = COLUMNS) -> list[str]:
    return [outcome.title, *(column.text(outcome) for column in columns)]


def shed_words(outcome: Outcome) -> str:
    """`120.3 kW for emergency, 8.1 kW for reduce`; summed over orders."""
    return ", ".join(f"{kilowatts:,.1f} kW for {reason}" for reason, kilowatts in outcome.shed_kw.items())
