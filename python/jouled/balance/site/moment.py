"""What every look at a load needs: the time, the rules, and where to say what happened."""

from __future__ import annotations

from typing import Literal, NamedTuple

from jouled.balance.site.rules import Rules
from jouled.balance.site.words import Happening


class Moment(NamedTuple):
    """One cycle's. `happenings` is added to."""

    now_s: float
    rules: Rules
    happenings: list[Happening]

    def tell(self, kind: str, severity: Literal["info", "warning", "critical"], source: str, note: str) -> None:
        self.happenings.append(Happening(kind, severity, source, note))
