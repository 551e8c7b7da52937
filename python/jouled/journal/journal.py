"""The journal: what was there before, on the disk before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import Literal, NamedTuple, Self

from msgspec.structs import replace

from jouled.balance.writes import Write
from jouled.errors import one_line
from jouled.journal import files
from jouled.journal.files import FILE, JournalError
from jouled.journal.give_back import Restored, give_back
from jouled.journal.intent import intend
from jouled.journal.page import Entry, Page, Policy, check, encoded, is_same
from jouled.journal.reading import Found, read
from jouled.wire.caps import Lease


class Begun(NamedTuple):
    """Which writes may be done now; the others' originals cannot be read, and a line each says why."""

    writes: tuple[Write, ...]
    problems: tuple[str, ...] = ()


class Journal:
    """`<state_dir>/caps`, held alone by `open`, or only looked at by `read`.

    For one thread at a time. What a method says of the disk is so when it returns; where it raises
    JournalError, nothing has changed, neither on the disk nor here.
    """

    def __init__(self, directory: str, found: Found, sysfs: str, lock: ExitStack | None = None) -> None:
        """As `open` and `read` make it."""
        self.directory = directory
        # Below it lies all that may be written.
        self.sysfs = sysfs
        # What an earlier boot had left: dropped, for its limits are no more.
        self.voided = found.voided
        self._page = found.page
        self._on_disk = found.on_disk
        self._lock = lock
        # The latest zone that was begun under a path: numbers of zones may change.
        self._names: dict[str, str | None] = {}
        if lock is not None and self.voided:
            # Where it cannot be written now it is dropped again the next time.
            self._try_to_save()

    @classmethod
    def open(
        cls,
        directory: str,
        *,
        procfs: str = "/proc",
        sysfs: str = "/sys",
        holder: str = "jouled",
        guards: Sequence[str] = (),
    ) -> Self:
        """Take the lock, for as long as this is open, and read what an earlier life has left.

        `guards` are directories such as `/sys/class/powercap`, locked too against a daemon with another state
        directory. Raises HeldError, which names who holds it, and JournalError.
        """
        files.make_directory(directory)
        with ExitStack() as stack:
            stack.enter_context(files.locked(directory, holder, guards, procfs))
            found = read(directory, procfs=procfs, sysfs=sysfs, holder=holder)
            return cls(directory, found, sysfs, stack.pop_all())

    @classmethod
    def read(cls, directory: str, *, procfs: str = "/proc", sysfs: str = "/sys", holder: str = "jouled") -> Self:
        """Look at it, beside whoever holds it; nothing can be changed. Raises JournalError."""
        return cls(directory, read(directory, procfs=procfs, sysfs=sysfs, holder=holder), sysfs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Journal {self.directory} of {len(self.entries)} originals>"

    def close(self) -> None:
        """Let the lock go. What is journalled stays."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    # ---- what it holds ----

    @property
    def is_there(self) -> bool:
        """Whether there is a file: something was left, limits or leases."""
        return self._on_disk is not None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """In the order of their first writing."""
        return self._page.entries

    @property
    def leases(self) -> tuple[Lease, ...]:
        return self._page.leases

    @property
    def leases_at(self) -> datetime | None:
        """When the leases were written down, by the wall clock."""
        return self._page.leases_at

    @property
    def policy(self) -> Policy:
        """What is to be left behind, as was kept last."""
        return self._page.policy

    @property
    def left(self) -> Literal["hold", "safe"] | None:
        """What a daemon that ended well left behind on purpose."""
        return self._page.left

    def entry(self, path: str) -> Entry | None:
        """That of the zone which was begun under this path last."""
        index = self._index(path)
        return None if index is None else self._page.entries[index]

    def original(self, path: str) -> str | None:
        """What will be given back, without white space around it; None where nothing was written."""
        entry = self.entry(path)
        return entry.original.strip() if entry is not None else None

    # ---- before and after a write ----

    def begin(self, writes: Iterable[Write]) -> Begun:
        """Make originals and intentions durable. Only what it returns may be written, and only then.

        The original is what the attribute holds now, unless it was written before: then it stays what it was.
        Raises JournalError where it cannot be made durable.
        """
        entries = list(self._page.entries)
        names = dict(self._names)
        allowed, problems = [], []
        for write in writes:
            try:
                intend(entries, write, self.sysfs)
            except (OSError, ValueError) as error:
                why = f"{str(error.strerror).lower()}" if isinstance(error, OSError) else str(error)
                problems.append(f"{one_line(write.path)}: {why}; it is not written, for it could not be given back")
                continue
            names[write.path] = write.identity[1] if write.identity else None
            allowed.append(write)
        self._keep(replace(self._page, entries=tuple(entries), left=None if allowed else self._page.left))
        self._names = names
        return Begun(tuple(allowed), tuple(problems))

    def wrote(self, path: str, held: str) -> None:
        """What the kernel held after the write, as it was read back; also where the write failed. Never raises.

        It only helps to tell our own values from others', so a disk that is full now is no reason to stop.
        """
        index = self._index(path)
        if index is None:
            return
        entry = self._page.entries[index]
        is_news = not is_same(held, entry.wrote)
        self._put(index, replace(entry, held=held.strip(), earlier=None if not is_news else entry.earlier))
        if is_news:
            self._try_to_save()

    def found_foreign(self, path: str) -> int:
        """Count that another program has written this; returns how often by now. Never raises."""
        index = self._index(path)
        if index is None:
            return 0
        entry = self._page.entries[index]
        self._put(index, replace(entry, foreign=entry.foreign + 1))
        self._try_to_save()
        return entry.foreign + 1

    def cede(self, path: str, owner: str) -> None:
        """Leave it to another program: it is not given back while it holds what that one has set. Never raises."""
        index = self._index(path)
        if index is not None:
            self._put(index, replace(self._page.entries[index], ceded_to=owner[:200]))
            self._try_to_save()

    def take_back(self, path: str) -> None:
        """No longer ceded, and its count begins anew. Never raises."""
        index = self._index(path)
        if index is not None:
            self._put(index, replace(self._page.entries[index], ceded_to=None, foreign=0))
            self._try_to_save()

    # ---- what is to be left behind ----

    def keep_leases(self, leases: Iterable[Lease], at: datetime | None = None) -> None:
        """For the next life of the daemon; `at` is what the wall clock shows now. Raises JournalError."""
        self._keep(replace(self._page, leases=tuple(leases), leases_at=at))

    def keep_policy(self, policy: Policy, safe: Iterable[Write] = ()) -> None:
        """What is to be left behind, also by whoever cleans up after a kill. Raises JournalError.

        `safe` are the writes of the safe cap, planned while somebody can; those whose original is not
        journalled yet are not kept, so `begin` comes first.
        """
        values = {write.path: write.value for write in safe}
        entries = tuple(
            replace(entry, safe=values.get(entry.path)) if entry.safe != values.get(entry.path) else entry
            for entry in self._page.entries
        )
        for path, value in values.items():
            check(path, value)
        self._keep(replace(self._page, policy=policy, entries=entries))

    def leave(self, what: Literal["hold", "safe"]) -> None:
        """The daemon ends well and leaves its caps on purpose: nobody is to clean up after it. Raises JournalError."""
        self._keep(replace(self._page, left=what))

    # ---- giving back ----

    def restore(self, paths: Iterable[str] | None = None, *, is_safe: bool = False) -> Restored:
        """Give originals back, the latest first, each by itself, and verify them. Never raises.

        What holds again leaves the journal; what failed stays, with the reason, for the next attempt. With
        `is_safe` what was prepared of the safe cap is written instead, and stays in the journal as well.
        """
        asked = None if paths is None else set(paths)
        items, kept = [], []
        for entry in reversed(self._page.entries):
            if asked is not None and entry.path not in asked:
                kept.append(entry)
                continue
            item = give_back(entry, self.sysfs, is_safe=is_safe)
            items.append(item)
            if item.outcome == "made-safe":
                kept.append(replace(entry, path=item.path, wrote=entry.safe or entry.wrote, held=None, problem=None))
            elif not item.is_done:
                # What is left after our own write is no other program's.
                held = entry.held if item.holds is None else item.holds.strip()
                kept.append(replace(entry, problem=item.problem, held=held))
        left = "safe" if any(item.outcome == "made-safe" for item in items) else None
        self._page = replace(self._page, entries=tuple(reversed(kept)), left=left)
        return Restored(tuple(items), self._try_to_save())

    def would_restore(self, *, is_safe: bool = False) -> Restored:
        """What `restore` would do. Nothing is written, neither to the kernel nor to the disk."""
        items = (give_back(entry, self.sysfs, is_dry_run=True, is_safe=is_safe) for entry in reversed(self.entries))
        return Restored(tuple(items))

    # ---- inside ----

    def _index(self, path: str) -> int | None:
        name = self._names.get(path)
        found = None
        for index, entry in enumerate(self._page.entries):
            if entry.path == path and (name is None or entry.identity is None or entry.identity[1] == name):
                found = index
        return found

    def _put(self, index: int, entry: Entry) -> None:
        entries = list(self._page.entries)
        entries[index] = entry
        self._page = replace(self._page, entries=tuple(entries))

    def _keep(self, page: Page) -> None:
        """On the disk, or as it was before."""
        before, self._page = self._page, page
        try:
            self._save()
        except JournalError:
            self._page = before
            raise

    def _try_to_save(self) -> str | None:
        try:
            self._save()
        except JournalError as error:
            return str(error)
        return None

    def _save(self) -> None:
        if self._lock is None:
            raise JournalError(f"write {self.directory}/{FILE}: it was only opened to be read; open it to change it")
        wanted = None if self._page.is_empty else self._page
        is_lost = wanted is not None and not files.is_there(self.directory)
        if wanted == self._on_disk and not is_lost:
            return
        if is_lost:
            # Somebody has cleaned up below us. The originals are known here alone, and must outlive a kill.
            files.make_directory(self.directory)
        files.save(self.directory, encoded(wanted) if wanted is not None else None)
        self._on_disk = wanted
