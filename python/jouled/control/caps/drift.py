"""Whether what was written still holds: zones that went away, and others who write the same limits."""

from __future__ import annotations

import errno
from collections.abc import Callable

from jouled.control.caps.findings import Findings
from jouled.control.caps.turns import Happening
from jouled.control.caps.writers import suspects
from jouled.errors import one_line
from jouled.journal import Entry, Journal
from jouled.journal.files import read_attribute
from jouled.journal.give_back import locate

# The third time that another program has written a limit, it is left to that one.
FOREIGN_MAX = 3
# Who wrote something else once a day is no one to fight with: after so long of peace the count begins anew.
PEACE_S = 3600.0
# What the kernel says of a zone that was unplugged, and of a slice that has ended.
GONE = {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR}


class Drift:
    """Compares the kernel's files with the journal, in the journal's thread. `clock` is one that nobody sets."""

    def __init__(self, journal: Journal, *, sysfs: str, procfs: str, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._sysfs = sysfs
        self._procfs = procfs
        self._clock = clock
        self._gone: set[str] = set()
        # When another program was seen to have written a path.
        self._seen_s: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Drift of {self._journal!r}>"

    def look(self, found: Findings, *, has_slept: bool) -> None:
        for entry in self._journal.entries:
            value = self._value(entry, found)
            if value is None or entry.ceded_to is not None:
                continue
            if entry.is_ours(value):
                self._be_at_peace(entry)
            elif not has_slept:
                self._found_foreign(entry, value, found)

    def _value(self, entry: Entry, found: Findings) -> str | None:
        """None where the zone is away, or does not tell; a zone that comes back is no foreign write."""
        try:
            path = locate(entry, self._sysfs)
            value = read_attribute(path) if path is not None else None
        except ValueError as error:  # of a journal that was written below another sysfs
            found.problems.append(str(error))
            return None
        except OSError as error:
            if error.errno not in GONE:
                found.problems.append(f"read {one_line(entry.path)}: {str(error.strerror).lower()}; see dmesg")
                return None
            value = None
        if value is None:
            self._say_gone(entry, found)
        elif entry.path in self._gone:
            self._gone.discard(entry.path)
            what = one_line(entry.what)
            found.happenings.append(Happening("zone_back", "info", entry.path, f"{what} is there again"))
            return None
        return value

    def _say_gone(self, entry: Entry, found: Findings) -> None:
        what = one_line(entry.what)
        note = f"{what} is gone: nothing limits it, and nothing can be given back until it returns"
        found.problems.append(note)
        if entry.path not in self._gone:
            self._gone.add(entry.path)
            found.happenings.append(Happening("zone_gone", "warning", entry.path, note))

    def _be_at_peace(self, entry: Entry) -> None:
        seen_s = self._seen_s.get(entry.path)
        if seen_s is not None and self._clock() - seen_s >= PEACE_S:
            del self._seen_s[entry.path]
            self._journal.take_back(entry.path)

    def _found_foreign(self, entry: Entry, value: str, found: Findings) -> None:
        self._seen_s[entry.path] = self._clock()
        times = self._journal.found_foreign(entry.path)
        who = suspects(self._procfs)
        found.foreign.append(entry.path)
        said = f"{one_line(entry.what)}: {_shown(entry, value)} instead of {_shown(entry, entry.held or entry.wrote)}"
        if times < FOREIGN_MAX:
            note = f"{said}, by {who}; written again"
            found.happenings.append(Happening("cap_foreign", "warning", entry.path, note))
            return
        note = f"{said}, by {who}, {times} times now: it is left to that one until the cap is lifted"
        found.happenings.append(Happening("cap_ceded", "critical", entry.path, note))
        # All of the zone: two limits of one zone from two writers make no sense together.
        directory = entry.path.rpartition("/")[0]
        for other in self._journal.entries:
            if other.path.rpartition("/")[0] == directory:
                self._journal.cede(other.path, who)


def _shown(entry: Entry, value: str) -> str:
    text = one_line(value.strip())
    if entry.path.endswith("_power_limit_uw") and text.isascii() and text.isdigit():
        return f"{int(text) / 1e6:g} W"
    return text
