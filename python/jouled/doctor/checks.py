"""All checks, in the order in which a reader wants to hear of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jouled.doctor.billing import CHECKS as BILLING
from jouled.doctor.caps import CHECKS as CAPS
from jouled.doctor.counters import CHECKS as COUNTERS
from jouled.doctor.daemon import CHECKS as DAEMON
from jouled.doctor.finding import Finding
from jouled.doctor.limits import CHECKS as LIMITS
from jouled.doctor.rights import CHECKS as RIGHTS
from jouled.doctor.sources import CHECKS as SOURCES
from jouled.doctor.subject import Subject

CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    *SOURCES,
    *COUNTERS,
    *LIMITS,
    *CAPS,
    *BILLING,
    *RIGHTS,
    *DAEMON,
)


def examine(subject: Subject) -> list[Finding]:
    """Everything that is found, what is well included."""
    return [finding for check in CHECKS for finding in check(subject)]
