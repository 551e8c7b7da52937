"""The hands of the keeper of caps: looks at limits, compares them with the journal, writes and gives back.

All of it blocks on files of the kernel and on the disk: it runs in a thread, one call at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import NamedTuple, Protocol

from jouled.balance.leases import Held
from jouled.balance.limit_plan import LimitPlan, bounds, plan
from jouled.balance.limits import LimitZone
from jouled.balance.shown_limits import label_of
from jouled.balance.writes import Write
from jouled.config.caps import Caps as Settings
from jouled.control.caps.drift import Drift
from jouled.control.caps.findings import Findings
from jouled.control.caps.squeezing import Squeezer, Step
from jouled.control.caps.turns import KeptLeases, Outcome, Place, Wanted
from jouled.errors import ConflictError, UnsupportedError, one_line
from jouled.journal import Entry, Journal, JournalError
from jouled.journal.files import read_attribute
from jouled.journal.page import is_same
from jouled.loads.writing import Applied
from jouled.wire.caps import CapPlan, CapWrite

# A lease that only became longer is written down again when it is longer by so much: renewing one every
# few seconds must not keep the disk busy.
RENEWAL_S = 60.0


class Rapl(Protocol):
    """As `loads.rapl.Rapl`."""

    def read(self) -> tuple[LimitZone, ...]: ...
    def apply(
        self, writes: Iterable[Write], on_write: Callable[[Applied], None] | None = None
    ) -> tuple[Applied, ...]: ...


class Seen(NamedTuple):
    """The latest look, for whoever asks for a plan meanwhile."""

    zones: tuple[LimitZone, ...] = ()
    originals: Mapping[str, int] = MappingProxyType({})


class LimitHands:
    """Power limits by RAPL. `journal` is None where nothing is ever written: in a dry run.

    `gives_back_only` is for a daemon that may not cap any more, and finds what an earlier one has left.
    """

    def __init__(
        self,
        settings: Settings,
        rapl: Rapl,
        journal: Journal | None,
        *,
        sysfs: str = "/sys",
        procfs: str = "/proc",
        squeezer: Squeezer | None = None,
        gives_back_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._rapl = rapl
        self._journal = journal
        self._squeezer = squeezer
        self._gives_back_only = gives_back_only
        self._drift = None if journal is None else Drift(journal, sysfs=sysfs, procfs=procfs, clock=clock)
        self._seen = Seen()
        self._failing: dict[str, str] = {}
        self._kept: tuple[Held, ...] = ()
        self._is_over = False
        # What the latest turn of a dry run would have written.
        self._said: tuple[Write, ...] = ()

    def __repr__(self) -> str:
        return f"<LimitHands {self._rapl!r} {self._journal!r}>"

    # ---- one turn ----

    def turn(self, wanted: Wanted) -> Outcome:
        """Looks, compares, writes and reads back. Raises JournalError where nothing may be written, and nothing was."""
        if self._is_over:
            raise ConflictError("the daemon is stopping, and caps nothing any more")
        found = Findings(self._failing)
        zones = self._rapl.read()
        if self._drift is not None:
            self._drift.look(found, has_slept=wanted.has_slept)
        self._seen = Seen(zones, originals_of(self._entries))
        if self._squeezer is not None:
            self._squeezer.read(self._entries)
        if wanted.node_w is None or self._gives_back_only:
            has_changed = self._give_all_back(found)
        else:
            has_changed = self._limit(wanted, wanted.node_w, zones, found)
        if has_changed:
            before, zones = zones, self._rapl.read()
            found.compare(before, zones)
            self._seen = Seen(zones, originals_of(self._entries))
            if self._squeezer is not None:
                self._squeezer.read(self._entries)
        return self._outcome(zones, found)

    def _outcome(self, zones: tuple[LimitZone, ...], found: Findings) -> Outcome:
        try:
            allowed = bounds(zones, self._seen.originals)
        except UnsupportedError as error:
            allowed = None
            found.problems.append(str(error))
        return Outcome(
            zones,
            slices=() if self._squeezer is None else self._squeezer.states(self._entries),
            entries=self._entries,
            happenings=tuple(found.happenings),
            problems=found.all_problems(),
            least_w=None if allowed is None else allowed.min_w,
            most_w=None if allowed is None else allowed.max_w,
            can_limit=allowed is not None or self._has_slices,
            writes=found.writes,
            failed=tuple(place_of(path, zones) for path in found.failed),
            foreign=tuple(place_of(path, zones) for path in found.foreign),
            unrestored=found.unrestored,
            holding=self._holding(found),
        )

    def _holding(self, found: Findings) -> int:
        failed = set(found.failed)
        return sum(
            entry.path not in failed and entry.ceded_to is None and not is_same(entry.wrote, entry.original)
            for entry in self._entries
        )

    def _limit(self, wanted: Wanted, node_w: float, zones: tuple[LimitZone, ...], found: Findings) -> bool:
        """Writes what follows from `node_w`. Returns whether anything was written."""
        step = Step() if self._squeezer is None else self._squeezer.step(node_w, wanted.power, self._entries)
        limits: tuple[Write, ...] = ()
        if step.wants_limits:
            with suppress(UnsupportedError):  # it is said with the bounds
                planned = self._plan(node_w, zones, wanted.power.packages_w if wanted.power is not None else None)
                found.problems.extend(planned.problems)
                limits = planned.writes
        limits = self._not_ceded(limits)
        if self._journal is None:
            self._say_dry((*step.writes, *limits), found)
            return False
        has_written = self._write(step.writes, limits, wanted, zones, found)
        freed = [*step.freed, *(() if step.wants_limits else self._limit_paths())]
        if freed:
            found.restored(self._journal.restore(freed))
        return has_written or bool(freed)

    def _not_ceded(self, writes: Iterable[Write]) -> tuple[Write, ...]:
        ceded = {entry.path for entry in self._entries if entry.ceded_to is not None}
        return tuple(write for write in writes if write.path not in ceded)

    def _limit_paths(self) -> list[str]:
        """Of what is journalled, the power limits."""
        return [entry.path for entry in self._entries if entry.identity is not None]

    def _slice_paths(self) -> list[str]:
        return [entry.path for entry in self._entries if entry.identity is None]

    def _write(
        self,
        slices: Sequence[Write],
        limits: Sequence[Write],
        wanted: Wanted,
        zones: tuple[LimitZone, ...],
        found: Findings,
    ) -> bool:
        """Only what is in the journal, on the disk, is written."""
        assert self._journal is not None  # noqa: S101  (a dry run comes not so far)
        begun = self._journal.begin((*slices, *limits))
        found.problems.extend(begun.problems)
        found.failed.extend(write.path for write in (*slices, *limits) if write not in begun.writes)
        self._keep_policy(zones)
        if self._squeezer is not None:
            found.wrote(self._squeezer.cgroups.apply([one for one in begun.writes if one in slices], self._note))
        found.wrote(self._rapl.apply([one for one in begun.writes if one in limits], self._note))
        self._keep_leases(wanted, found)
        return bool(begun.writes)

    def _note(self, applied: Applied) -> None:
        """Into the journal, what the kernel holds: a write that failed must not look like somebody else's later."""
        assert self._journal is not None  # noqa: S101  (as above)
        held = applied.held
        if held is None:
            try:
                held = read_attribute(applied.write.path).strip()
            except OSError:
                return  # the zone is gone, or reads no more: the next look says which
        self._journal.wrote(applied.write.path, held)

    def _say_dry(self, writes: tuple[Write, ...], found: Findings) -> None:
        if writes != self._said:
            self._said = writes
            found.would_write(writes)

    def _give_all_back(self, found: Findings) -> bool:
        """Returns whether there was anything to give back."""
        self._said = ()
        if self._squeezer is not None:
            self._squeezer.forget()
        if self._journal is None or not (self._journal.entries or self._journal.leases):
            return False
        had_entries = bool(self._journal.entries)
        if had_entries:
            found.restored(self._journal.restore())
        self._forget_leases(found)
        return had_entries

    # ---- what is kept for the next life ----

    def _keep_policy(self, zones: tuple[LimitZone, ...]) -> None:
        """Raises JournalError. After a kill somebody must know what to leave, and cannot plan any more."""
        assert self._journal is not None  # noqa: S101  (as above)
        safe: list[Write] = []
        if self.settings.on_exit == "safe" and self.settings.safe_w is not None:
            asked: Mapping[str, int] = {}
            with suppress(UnsupportedError):  # slices alone: there is no safe cap
                asked = self._plan(self.settings.safe_w, zones, None).asked
            safe = [
                Write(entry.path, entry.what, str(asked[entry.path]), entry.identity)
                for entry in self._entries
                if entry.path in asked
            ]
        self._journal.keep_policy(self.settings.on_exit, safe)

    def _keep_leases(self, wanted: Wanted, found: Findings) -> None:
        if self._journal is None or _is_as_kept(self._kept, wanted.kept.held):
            return
        try:
            self._journal.keep_leases(wanted.kept.shown, wanted.kept.at)
        except JournalError as error:
            found.problems.append(str(error))
        else:
            self._kept = wanted.kept.held

    def _forget_leases(self, found: Findings) -> None:
        assert self._journal is not None  # noqa: S101  (as above)
        try:
            self._journal.keep_leases(())
        except JournalError as error:
            found.problems.append(str(error))
        else:
            self._kept = ()

    # ---- plans ----

    def planned(self, node_w: float) -> CapPlan:
        """What would be written for it, by the latest look. Touches no file: it may be called meanwhile."""
        zones = self._seen.zones
        made = self._plan(node_w, zones, None)
        now = {
            f"{zone.directory}/constraint_{limit.number}_power_limit_uw": limit.power_uw
            for zone in zones
            for limit in zone.constraints
        }
        writes = tuple(
            CapWrite(write.path, write.what, _shown(now.get(write.path), write), write.value) for write in made.writes
        )
        return CapPlan(node_w, made.expected_w, writes, made.problems)

    def _plan(self, node_w: float, zones: Sequence[LimitZone], loads_w: Mapping[int, float] | None) -> LimitPlan:
        """Raises UnsupportedError where nothing can be limited."""
        return plan(
            zones,
            node_w,
            division=self.settings.division,
            loads_w=loads_w,
            originals=self._seen.originals,
            held=held_of(self._entries),
            is_in_force=True,
        )

    @property
    def _has_slices(self) -> bool:
        return self._squeezer is not None and any(one.path is not None for one in self._squeezer.slices)

    @property
    def _entries(self) -> tuple[Entry, ...]:
        return () if self._journal is None else self._journal.entries

    # ---- the end ----

    def leave(self, kept: KeptLeases) -> tuple[str, ...]:
        """What `on_exit` says. Returns what could not be done; nothing is written by `turn` any more."""
        self._is_over = True
        if self._journal is None:
            return ()
        found = Findings(self._failing)
        on_exit = "restore" if self._gives_back_only else self.settings.on_exit
        if on_exit == "restore" or (on_exit == "hold" and not (self._journal.entries or kept.held)):
            self._give_all_back(found)
            if self.settings.lapse_w is not None and not self._gives_back_only:
                self._keep_missed(kept, found)
        elif on_exit == "hold":
            self._leave_as_it_is("hold", kept, found)
        else:
            self._leave_safe(kept, found)
        self._journal.close()
        return found.all_problems()

    def _keep_missed(self, kept: KeptLeases, found: Findings) -> None:
        """Nobody gave these caps up: where they are not asked for again the next life falls back."""
        assert self._journal is not None  # noqa: S101  (as above)
        leases = tuple(lease for lease in kept.shown if lease.on_lapse is None)
        if not leases:
            return
        try:
            self._journal.keep_leases(leases, kept.at)
        except JournalError as error:
            found.problems.append(f"{error}; the next start does not know which caps were asked for")

    def _leave_as_it_is(self, what: str, kept: KeptLeases, found: Findings) -> None:
        assert self._journal is not None  # noqa: S101  (as above)
        try:
            self._journal.keep_leases(kept.shown, kept.at)
            self._journal.leave("safe" if what == "safe" else "hold")
        except JournalError as error:
            found.problems.append(f"{error}; the caps stay, and the next start may not know for how long")

    def _leave_safe(self, kept: KeptLeases, found: Findings) -> None:
        """Where the safe cap cannot be written as a whole, what was prepared of it is."""
        assert self._journal is not None  # noqa: S101  (as above)
        assert self.settings.safe_w is not None  # noqa: S101  (the settings were checked)
        wanted = Wanted(self.settings.safe_w, kept=kept)
        try:
            zones = self._rapl.read()
            planned = self._plan(self.settings.safe_w, zones, None)
            self._write((), self._not_ceded(planned.writes), wanted, zones, found)
        except UnsupportedError as error:
            found.problems.append(str(error))
        except JournalError as error:
            found.problems.append(str(error))
            found.restored(self._journal.restore(is_safe=True))
        if squeezed := self._slice_paths():
            # The safe cap is one of power limits: nobody would give a slice its time back for as long as it holds.
            found.restored(self._journal.restore(squeezed))
        if self._journal.entries:
            self._leave_as_it_is("safe", kept, found)

    def close(self) -> None:
        """Lets the journal go, and with it the limits to another daemon."""
        if self._journal is not None:
            self._journal.close()


def _is_as_kept(before: Sequence[Held], now: Sequence[Held]) -> bool:
    """Whether what is on the disk is near enough."""
    if [one._replace(until_s=0.0) for one in before] != [one._replace(until_s=0.0) for one in now]:
        return False
    return all(abs(one.until_s - other.until_s) < RENEWAL_S for one, other in zip(before, now, strict=True))


def originals_of(entries: Iterable[Entry]) -> dict[str, int]:
    return {entry.path: int(entry.original) for entry in entries if entry.original.strip().isdigit()}


def held_of(entries: Iterable[Entry]) -> dict[str, tuple[int, int]]:
    """What was asked of each file, and what was then read back from it."""
    return {
        entry.path: (int(entry.wrote), int(entry.held))
        for entry in entries
        if entry.held is not None and entry.wrote.strip().isdigit() and entry.held.strip().isdigit()
    }


def place_of(path: str, zones: Iterable[LimitZone]) -> Place:
    """The zone that a limit's file belongs to, by its class and index; of a slice "slice" and its name."""
    directory = path.rpartition("/")[0]
    if directory.endswith(".slice"):
        return "slice", one_line(directory.rpartition("/")[2])
    for zone in zones:
        if zone.directory == directory:
            return label_of(zone.name, zone.package)
    return one_line(directory.rpartition("/")[2]), ""


def _shown(now_uw: int | None, write: Write) -> str:
    if write.path.endswith("/enabled"):
        return "0"
    return "" if now_uw is None else str(now_uw)
