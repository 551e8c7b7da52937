"""The daemon: whether it runs and answers, and what its own metrics say."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jouled.doctor.finding import Code, Finding, Severity
from jouled.doctor.subject import DaemonSeen, Subject

NAMES = frozenset({"jouled"})
MUCH_LATE = 0.01
"""So many ticks may be late on a busy host before it matters."""


def reach(subject: Subject) -> Iterator[Finding]:
    """Whether it answers."""
    seen = subject.daemon
    if seen is None:
        return
    if seen.url is not None:
        yield _answering(seen)
        return
    pids = [pid for pid, comm in subject.comms.items() if comm in NAMES]
    if seen.is_denied:
        yield Finding(
            Code.DAEMON_DENIED,
            Severity.WARNING,
            f"the daemon may not be asked by this user: {seen.trouble}",
            "joulectl and import jouled measure by themselves then, or model.",
            "usermod -aG jouled USER and log in again, or give a token (JOULED_TOKEN)",
        )
    elif pids:
        yield Finding(
            Code.DAEMON_UNREACHABLE,
            Severity.WARNING,
            f"a jouled runs (pid {pids[0]}) and does not answer: {seen.trouble}",
            "It listens elsewhere, or it hangs.",
            "name it: joulectl --url URL doctor; or see journalctl -u jouled",
        )
    else:
        yield Finding(
            Code.DAEMON_ABSENT,
            Severity.NOTE,
            "no daemon runs here",
            "Without it nothing is recorded, and users without rights cannot measure.",
            "systemctl enable --now jouled",
        )


def _answering(seen: DaemonSeen) -> Finding:
    if not seen.is_ready:
        return Finding(
            Code.DAEMON_STALE,
            Severity.ERROR,
            f"the daemon at {seen.url} is not ready: {seen.readiness}",
            "Its numbers are not those of now.",
            "see journalctl -u jouled; the findings here say what hinders it",
        )
    source = f", source {seen.source}" if seen.source else ""
    return Finding(Code.DAEMON, Severity.OK, f"the daemon at {seen.url} answers and is up to date{source}")


def own_metrics(subject: Subject) -> Iterator[Finding]:
    """What it counts of its own troubles."""
    seen = subject.daemon
    if seen is None or not seen.sums:
        return
    ticks = seen.sums.get("jouled_ticks_total", 0.0)
    late = seen.sums.get("jouled_ticks_late_total", 0.0)
    if late and late > MUCH_LATE * (ticks + late):
        yield Finding(
            Code.LATE_TICKS,
            Severity.WARNING,
            f"{late:.0f} of {ticks + late:.0f} ticks came late",
            "An interval that is too long loses short-lived processes and wraps.",
            'a longer --interval (interval = "10s"), or more CPU for the daemon (CPUWeight= in its unit)',
        )
    for name, code, what, why, fix in TROUBLES:
        count = seen.sums.get(name, 0.0)
        if count:
            severity = Severity.WARNING if code in WARNINGS else Severity.NOTE
            yield Finding(code, severity, what.format(count=count), why, fix)


WARNINGS = frozenset({Code.SCAN_ERRORS, Code.READ_ERRORS})
TROUBLES = (
    (
        "jouled_scan_errors_total",
        Code.SCAN_ERRORS,
        "{count:.0f} scans of the daemon failed as a whole",
        "Their energy is booked with the next interval that works.",
        "see journalctl -u jouled for the file; raise LimitNOFILE= where it says too many open files",
    ),
    (
        "jouled_zone_read_errors_total",
        Code.READ_ERRORS,
        "{count:.0f} reads of zones failed",
        "A zone that cannot be read has no watts for that interval.",
        "see jouled_zone_read_errors_total for which, and dmesg for its driver",
    ),
    (
        "jouled_zone_resets_total",
        Code.COUNTER_RESETS,
        "{count:.0f} times a counter started again without having wrapped",
        "Suspend or a driver that was loaded again; such an interval is left out.",
        "nothing to do after a suspend; else see dmesg | grep -i rapl",
    ),
    (
        "jouled_scan_unreadable_total",
        Code.UNREADABLE,
        "{count:.0f} times a process or a cgroup could not be read",
        "Its energy is in the row around it.",
        "run the daemon as root, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH; raise LimitNOFILE=",
    ),
)

CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (reach, own_metrics)
