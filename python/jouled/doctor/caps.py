"""Caps of jouled itself: whether one is in force, and whether they can be written and given back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jouled.doctor.daemon import NAMES
from jouled.doctor.finding import Code, Finding, Severity
from jouled.doctor.subject import Subject

IN_FORCE = "jouled_cap_leases"
# By the daemon's own metrics: what is found where one of them counts, how bad it is, why, and the fix.
COUNTED = (
    (
        "jouled_cap_write_errors_total",
        Code.CAPS_UNWRITABLE,
        Severity.WARNING,
        "{count:.0f} writes of power limits failed: caps are switched on and do not hold",
        "The daemon may not write below /sys/class/powercap, or the firmware has locked the limits.",
        "joulectl caps list names the file and the cause; the packaged unit needs the drop-in control-power.conf",
    ),
    (
        "jouled_cap_foreign_writes_total",
        Code.CAPS_FOREIGN,
        Severity.NOTE,
        "{count:.0f} times another program had written a power limit that jouled keeps",
        "Two writers undo each other's limits; after the third time jouled leaves the limit to the other one.",
        "joulectl caps list names it; stop one of the two, and ask for the cap again",
    ),
    (
        "jouled_cap_restore_failures_total",
        Code.CAPS_NOT_RESTORED,
        Severity.ERROR,
        "{count:.0f} attempts to give an original power limit back failed",
        "The host may still be capped though nobody asks for it.",
        "joulectl caps list shows what holds; see journalctl -u jouled, and joulectl caps restore once the daemon is stopped",
    ),
)


def in_force(subject: Subject) -> Iterator[Finding]:
    """A cap explains why a host is slow."""
    count = subject.daemon.sums.get(IN_FORCE, 0.0) if subject.daemon is not None else 0.0
    if count:
        yield Finding(
            Code.CAP_IN_FORCE,
            Severity.NOTE,
            f"{count:.0f} power cap{'' if count == 1 else 's'} of jouled {'is' if count == 1 else 'are'} asked for",
            "The node may draw less than it could. Nothing is measured less.",
            "joulectl caps list shows who asks and why; joulectl caps set none --all lifts them",
        )


def counted(subject: Subject) -> Iterator[Finding]:
    """What went wrong with writing, by the daemon's own count."""
    sums = subject.daemon.sums if subject.daemon is not None else {}
    for name, code, severity, what, why, fix in COUNTED:
        if count := sums.get(name, 0.0):
            yield Finding(code, severity, what.format(count=count), why, fix)


def left_over(subject: Subject) -> Iterator[Finding]:
    """Originals on disk that no daemon looks after."""
    seen = subject.daemon
    # One that runs and does not answer looks after them all the same.
    if seen is not None and seen.left and not NAMES & set(subject.comms.values()):
        yield Finding(
            Code.CAPS_LEFT,
            Severity.WARNING,
            f"{seen.left} holds original power limits, and no daemon runs that would give them back",
            "The daemon was killed, or was told to leave its caps (caps.on_exit); the host may still be capped.",
            "joulectl caps restore (joulectl caps restore --dry-run shows what it would write)",
        )


CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (in_force, counted, left_over)
