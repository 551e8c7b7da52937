"""Whose a node's name is: two daemons that record under one name would double its energy."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

# A daemon records once a minute: of one that has not for so long nobody need think that it still does.
SILENT = timedelta(minutes=10)
# One that does not go on within it, while it is watched, has ended.
WATCHED = timedelta(seconds=150)

Verdict: TypeAlias = Literal["ours", "unsure", "taken"]


class Holder(NamedTuple):
    """Who recorded last under the name: which life of which daemon, and its latest part. `machine` is None
    where it has no name of its own.
    """

    run: str
    part: int
    machine: str | None
    at: datetime


class Claim:
    """One daemon's, in one of its lives. Judging twice in the same state says the same: a transaction may be
    done again.
    """

    def __init__(self, run: str, machine: str | None) -> None:
        self._run = run
        self._machine = machine
        self._seen: Holder | None = None
        self._seen_at: datetime | None = None
        self._verdict: Verdict = "ours"

    def __repr__(self) -> str:
        return f"<Claim of {self._run}: {self._verdict}>"

    def judge(self, holder: Holder | None, now: datetime) -> Verdict:
        """A life of before on the same machine has ended: this one was started after it. A life on another
        machine may go on, and one that does has the name.
        """
        if holder is None or holder.run == self._run:
            return "ours"
        if self._seen is None or self._seen_at is None:
            is_elsewhere = None not in {holder.machine, self._machine} and holder.machine != self._machine
            verdict: Verdict = "unsure" if is_elsewhere and abs(now - holder.at) < SILENT else "ours"
            return self._note(holder, now, verdict)
        if (holder.run, holder.part) != (self._seen.run, self._seen.part):
            return self._note(holder, now, "taken")
        if abs(now - self._seen_at) >= WATCHED:
            self._verdict = "ours"
        return self._verdict

    def _note(self, holder: Holder, now: datetime, verdict: Verdict) -> Verdict:
        self._seen, self._seen_at, self._verdict = holder, now, verdict
        return verdict
