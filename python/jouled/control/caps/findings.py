"""What one turn finds and does, collected as it goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jouled.balance.limits import LimitZone
from jouled.balance.writes import Write
from jouled.control.caps.turns import Happening
from jouled.errors import one_line
from jouled.journal import Restored
from jouled.loads.writing import Applied

# A write to a zone that went away has not failed: there is nothing to limit.
NO_FAILURE = {None, "gone", "dry"}


class Findings:
    """`failing` is kept from turn to turn: path to problem. What is the same as before is no news."""

    def __init__(self, failing: dict[str, str]) -> None:
        self.happenings: list[Happening] = []
        self.problems: list[str] = []
        # Paths.
        self.failed: list[str] = []
        self.foreign: list[str] = []
        # Limits that hold another value than was written.
        self.kept: list[str] = []
        self.writes = 0
        self.unrestored = 0
        self._failing = failing

    def __repr__(self) -> str:
        return f"<Findings [{self.writes} writes, {len(self.problems)} problems]>"

    def wrote(self, done: Iterable[Applied]) -> None:
        """What came of writes; problems of hardware that keeps another value stay as long as it does."""
        for applied in done:
            path = applied.write.path
            if applied.held is not None:
                self.writes += 1
            if applied.reason in NO_FAILURE:
                self._works(path, applied.write.what)
            else:
                self._fails(path, applied.problem or f"write {path}: it failed")
                if applied.held is None:
                    self.failed.append(path)
                elif applied.write.identity is not None:
                    self.kept.append(path)

    def compare(self, before: Sequence[LimitZone], after: Sequence[LimitZone]) -> None:
        """A limit that is as it was took no write, though the kernel said nothing: locked registers are so."""
        if self.kept and before == after:
            self.failed.extend(self.kept)
            self.writes -= len(self.kept)

    def restored(self, restored: Restored) -> None:
        for item in restored.items:
            if item.outcome == "failed":
                self._fails(item.path, f"not given back: {item.problem}")
            elif item.outcome == "already":
                # Nothing was written, so nothing is known of whether it can be.
                self._works(item.path, item.what, "nothing is asked of it any more")
            elif item.outcome in {"restored", "made-safe"}:
                self._works(item.path, item.what)
            elif item.problem is not None and item.outcome == "ceded":
                self.problems.append(item.problem)
        self.writes += sum(item.outcome in {"restored", "made-safe"} for item in restored.items)
        self.unrestored = len(restored.failed)
        if restored.problem is not None:
            self.problems.append(restored.problem)
            self.unrestored += 1

    def would_write(self, writes: Iterable[Write]) -> None:
        shown = "; ".join(f"{write.value} into {write.path} ({write.what})" for write in writes)
        self.happenings.append(Happening("cap_set", "info", "dry run", f"dry run: would write {shown or 'nothing'}"))

    def all_problems(self) -> tuple[str, ...]:
        """Those of this turn, and those that last: hardware that keeps another value is asked once only."""
        return tuple(dict.fromkeys([*self.problems, *self._failing.values()]))

    def _fails(self, path: str, problem: str) -> None:
        if self._failing.get(path) != problem:
            self._failing[path] = problem
            self.happenings.append(Happening("cap_failed", "critical", path, problem))

    def _works(self, path: str, what: str, how: str = "it can be written again") -> None:
        if self._failing.pop(path, None) is not None:
            note = f"{one_line(what)}: {how}"
            self.happenings.append(Happening("cap_recovered", "info", path, note))
