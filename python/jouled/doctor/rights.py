"""What the daemon, or who looks, may have of the system."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from jouled.doctor.finding import Code, Finding, Severity
from jouled.doctor.subject import Subject

DAEMON = "jouled"
OTHER_DESCRIPTORS = 128
"""Zones, sockets of scrapers, the log."""


def descriptors(subject: Subject) -> Iterator[Finding]:
    """Each process costs a descriptor that tells of its end, and each cgroup one for its counter."""
    tree = subject.tree
    pid = next((str(pid) for pid, comm in subject.comms.items() if comm == DAEMON), "self")
    found = re.search(r"^Max open files\s+(\d+)", tree.text(f"proc/{pid}/limits") or "", re.MULTILINE)
    if not found:
        return
    limit, processes = int(found[1]), len(subject.comms)
    # Each of the two tables takes half of the limit.
    if limit / 2 < processes + OTHER_DESCRIPTORS / 2:
        yield Finding(
            Code.DESCRIPTOR_LIMIT,
            Severity.WARNING,
            f"{limit} open files are allowed, and {processes} processes are to be watched",
            "Beyond half of it ends of processes are noticed one scan later and cgroups are told by their processes.",
            f"LimitNOFILE={max(65536, 4 * processes)} in the unit, or ulimit -n {max(65536, 4 * processes)}",
        )


CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (descriptors,)
