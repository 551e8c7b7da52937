"""How each load was before it was changed: on the disk before the first order, for whoever gives it back."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import Any, Literal, Self

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from jouled.balance.site.words import Order
from jouled.journal import JournalError, files
from jouled.journal.files import FILE, HeldError
from jouled.loads.actuator import Original
from jouled.wire.balance import Setting

# In the state directory.
DIRECTORY = "balance"
VERSION = 1
# What the thread is called while it writes.
THREAD = "jouled balance"
# A load has a hundred bytes or a few; a larger original is no state of a device.
LOADS_MAX = 10_000
BYTES_MAX = 16 * 1024 * 1024
# Behind a write that hangs no others are begun.
_WRITERS = trio.CapacityLimiter(1)
ORIGINAL_BYTES_MAX = 1024
REASON_CHARS = 200


class Told(Struct, frozen=True):
    """Why it was told: its decision may not have reached the books when the daemon died."""

    order: str
    kind: Literal["shed", "raise", "restore"]
    before_point: str | None
    before_w: float | None
    is_urgent: bool
    reason: str


class Kept(Struct, frozen=True):
    """One load: how it was found, and what it was told last, which it may have done or not."""

    load: str
    kind: str
    name: str
    original: dict[str, Any]
    taken_at: datetime
    # Where it answered then.
    address: str | None = None
    point: str | None = None
    power_w: float | None = None
    ordered_at: datetime | None = None
    told: Told | None = None
    # Why the latest attempt to give it back failed.
    problem: str | None = None


class Page(Struct, frozen=True):
    """What the file holds: loads in the order of their first change."""

    version: int = VERSION
    loads: tuple[Kept, ...] = ()
    settings: tuple[Setting, ...] = ()
    # What a daemon that ended well left behind on purpose; None is that it was killed, or runs.
    left: Literal["hold", "restore", "safe"] | None = None


def told_of(order: Order) -> Told:
    return Told(order.id, order.kind, order.before_point, order.before_w, order.is_urgent, order.reason[:REASON_CHARS])


def directory_of(state_dir: str) -> str:
    return f"{state_dir}/{DIRECTORY}"


async def in_own_thread(work: Callable[[], None]) -> None:
    """A disk that hangs hangs alone; what was begun is not waited for at the end."""
    await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=_WRITERS, thread_name=THREAD)


class Originals:
    """`<state_dir>/balance`, held alone by `open`, or only looked at by `read`.

    Changes are made at once and here; `save` makes all of them durable, many with one write.
    """

    def __init__(
        self,
        directory: str,
        page: Page,
        lock: ExitStack | None = None,
        in_thread: Callable[[Callable[[], None]], Awaitable[None]] = in_own_thread,
    ) -> None:
        """As `open` and `read` make it."""
        self.directory = directory
        self._in_thread = in_thread
        self._loads = {kept.load: kept for kept in page.loads}
        self._settings = page.settings
        self.left = page.left
        self._lock = lock
        # Changes are counted, so that a late write of an earlier state is none.
        self._made = 0
        self._saved = 0
        self._turn = trio.Lock()
        self._mutex = threading.Lock()

    @classmethod
    def open(cls, directory: str, in_thread: Callable[[Callable[[], None]], Awaitable[None]] = in_own_thread) -> Self:
        """Take the lock, for as long as this is open. Raises HeldError, which names who has it, and JournalError."""
        files.make_directory(directory)
        with ExitStack() as stack:
            try:
                stack.enter_context(files.locked(directory, "jouled"))
            except HeldError as error:
                who = "another jouled" if error.pid is None else f"jouled (process {error.pid})"
                raise HeldError(
                    f"{directory}: {who} balances the loads; stop it, or give this one a state_dir of its own",
                    error.pid,
                ) from error
            return cls(directory, load(directory), stack.pop_all(), in_thread)

    @classmethod
    def read(cls, directory: str) -> Self:
        """Look at it, beside whoever holds it. Raises JournalError."""
        return cls(directory, load(directory))

    def __repr__(self) -> str:
        return f"<Originals {self.directory} of {len(self._loads)} loads>"

    def close(self) -> None:
        """Let the lock go. What is kept stays."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    @property
    def loads(self) -> tuple[Kept, ...]:
        """In the order of their first change."""
        return tuple(self._loads.values())

    @property
    def settings(self) -> tuple[Setting, ...]:
        return self._settings

    def of(self, load_id: str) -> Kept | None:
        return self._loads.get(load_id)

    # ---- changes, which `save` makes durable ----

    def put(self, kept: Kept) -> None:
        """Raises JournalError for what is no state of a device, or where there are too many."""
        size = len(msgspec.json.encode(kept.original))
        if size > ORIGINAL_BYTES_MAX:
            raise JournalError(f"{kept.load}: its state has {size} bytes, of which {ORIGINAL_BYTES_MAX} can be kept")
        if kept.load not in self._loads and len(self._loads) >= LOADS_MAX:
            raise JournalError(f"{kept.load}: {LOADS_MAX} loads are kept already, which is the most")
        self._loads[kept.load] = kept
        # From now on a kill is a kill.
        self.left = None
        self._made += 1

    def note_order(
        self, load_id: str, point: str | None, power_w: float, at: datetime, told: Told | None = None
    ) -> None:
        """What it is told now; the original stays what it was."""
        kept = self._loads.get(load_id)
        if kept is not None:
            self._loads[load_id] = replace(kept, point=point, power_w=power_w, ordered_at=at, told=told, problem=None)
            self.left = None
            self._made += 1

    def drop(self, load_id: str) -> None:
        """It is as it was found."""
        if self._loads.pop(load_id, None) is not None:
            self._made += 1

    def note_problem(self, load_id: str, problem: str) -> None:
        kept = self._loads.get(load_id)
        if kept is not None:
            self._loads[load_id] = replace(kept, problem=problem)
            self._made += 1

    def keep_settings(self, settings: Iterable[Setting]) -> None:
        self._settings = tuple(settings)
        self._made += 1

    def leave(self, what: Literal["hold", "restore", "safe"]) -> None:
        self.left = what
        self._made += 1

    async def save(self) -> None:
        """What was changed before this is on the disk when it returns. Raises JournalError."""
        wanted = self._made
        async with self._turn:
            if self._saved >= wanted:
                return
            number, content = self._made, self._encoded()
            await self._in_thread(partial(self._write, number, content))

    def save_now(self) -> None:
        """As `save`, in this thread."""
        self._write(self._made, self._encoded())

    def _encoded(self) -> bytes | None:
        page = Page(loads=self.loads, settings=self._settings, left=self.left)
        return None if page == Page(left=page.left) else msgspec.json.format(msgspec.json.encode(page), indent=1)

    def _write(self, number: int, content: bytes | None) -> None:
        if self._lock is None:
            raise JournalError(f"write {self.directory}/{FILE}: it was only opened to be read")
        with self._mutex:
            if number <= self._saved:
                return
            if not files.is_there(self.directory):
                files.make_directory(self.directory)
            files.save(self.directory, content)
            self._saved = number


def load(directory: str) -> Page:
    """Raises JournalError for a file that cannot be read, or that is none of ours: it is never taken for none."""
    content = files.load(directory, BYTES_MAX)
    if content is None:
        return Page()
    path = f"{directory}/{FILE}"
    if len(content) > BYTES_MAX:
        raise JournalError(f"read {path}: it is larger than {BYTES_MAX} bytes; look at it, then move it away")
    try:
        page = msgspec.json.decode(content, type=Page)
    except msgspec.MsgspecError as error:
        raise JournalError(
            f"read {path}: {error}; set the loads by hand by what can be read of it, then move it away"
        ) from error
    if page.version != VERSION:
        raise JournalError(f"read {path}: it is of version {page.version}; install the jouled that wrote it")
    return page


def is_left(state_dir: str) -> bool:
    """Whether an earlier life has left loads changed."""
    try:
        return bool(load(directory_of(state_dir)).loads)
    except JournalError:
        return True


__all__ = ["Kept", "Original", "Originals", "directory_of", "is_left", "load"]
