"""What the journal's file holds: originals in the order of their first writing, and the leases behind them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from jouled.wire.caps import Lease

VERSION = 1
# A thousand limits with room; what is larger is no journal of ours.
BYTES_MAX = 1024 * 1024
ENTRIES_MAX = 1024

Policy: TypeAlias = Literal["restore", "hold", "safe"]

# Whoever owns the state directory writes the journal, and root may be the one to restore from it. So it can
# never be made to write anything but a number into a file of one of these names.
ATTRIBUTE = re.compile(
    r"(constraint_[0-9]{1,2}_(power_limit_uw|time_window_us)|enabled|cpu\.max|cpu\.cfs_(quota|period)_us)", re.ASCII
)
VALUE = re.compile(r"\s*(max|-?[0-9]{1,20})(\s+[0-9]{1,20})?\s*", re.ASCII)
# The first two fields of an entry, as `encoded` writes them: for a file that was cut.
_FIRST_FIELDS = re.compile(r'"path":\s*("(?:[^"\\]|\\.)*"),\s*"original":\s*("(?:[^"\\]|\\.)*")')


class Entry(Struct, frozen=True):
    """One attribute of the kernel that was, or was about to be, written."""

    path: str
    # Its exact bytes before the first write, each as the character of its number (latin-1).
    original: str
    # For people: "package-0 long_term (intel-rapl:0)".
    what: str
    # The value of the latest intention: it may have been written, or not.
    wrote: str
    # What the kernel held after that; None while nobody has looked.
    held: str | None = None
    # What it held by an earlier write, which stays where the latest one never came to be.
    earlier: str | None = None
    # The zone's `name` file and its content, by which a zone is found again under another number.
    identity: tuple[str, str] | None = None
    # Where there is no such name: the file's inode, by which a slice that was made anew is known.
    inode: int | None = None
    # How often another program was seen to have written it, and to whom it was left in the end.
    foreign: int = 0
    ceded_to: str | None = None
    # Its value under the safe cap, for whoever cleans up after a daemon that was killed.
    safe: str | None = None
    # Why the latest attempt to give it back failed.
    problem: str | None = None

    def is_ours(self, value: str) -> bool:
        """Whether this is something that jouled has written."""
        return any(known is not None and is_same(value, known) for known in (self.wrote, self.held, self.earlier))


class Page(Struct, frozen=True):
    """All of the file."""

    version: int
    # None where the kernel does not tell.
    boot_id: str | None
    # Who wrote it, for people: "jouled".
    holder: str
    policy: Policy = "restore"
    # What a daemon that ended well left behind on purpose; None where it gave everything back, or was killed.
    left: Literal["hold", "safe"] | None = None
    entries: tuple[Entry, ...] = ()
    leases: tuple[Lease, ...] = ()
    # When they were written down, by the wall clock.
    leases_at: datetime | None = None

    @property
    def is_empty(self) -> bool:
        return not self.entries and not self.leases


class _Version(Struct):
    version: int


def encoded(page: Page) -> bytes:
    """With line breaks: an operator may have to read it."""
    return msgspec.json.format(msgspec.json.encode(page), indent=1) + b"\n"


def decoded(content: bytes) -> Page:
    """Raises ValueError, which says what is wrong with it."""
    if len(content) > BYTES_MAX:
        raise ValueError(f"larger than {BYTES_MAX} bytes")
    try:
        version = msgspec.json.decode(content, type=_Version).version
        if version != VERSION:
            raise ValueError(f"of version {version}, and this jouled knows {VERSION}")
        page = msgspec.json.decode(content, type=Page)
    except msgspec.DecodeError as error:
        raise ValueError(f"no journal of jouled: {error}") from error
    if len(page.entries) > ENTRIES_MAX:
        raise ValueError(f"of more than {ENTRIES_MAX} entries")
    for entry in page.entries:
        values = (entry.original, entry.wrote, *((entry.safe,) if entry.safe is not None else ()))
        for value in values:
            check(entry.path, value)
        check_identity(entry.path, entry.identity)
    return page


def check(path: str, value: str) -> None:
    """Raises ValueError for what is no limit, or no value of one."""
    if not path.startswith("/") or "/../" in path or ATTRIBUTE.fullmatch(path.rpartition("/")[2]) is None:
        raise ValueError(f"{path!r} is no file of a limit")
    if VALUE.fullmatch(value) is None:
        raise ValueError(f"{path}: {value[:80]!r} is no value of a limit")


def check_identity(path: str, identity: tuple[str, str] | None) -> None:
    """Raises ValueError where a limit is not to be known by the name of its own zone: root would read any file."""
    if identity is not None and identity[0] != f"{path.rpartition('/')[0]}/name":
        raise ValueError(f"{identity[0]!r} is not the name of the zone of {path}")


def readable(content: bytes) -> list[tuple[str, str]]:
    """Of a file that is no journal any more: what can be read of paths and their originals."""
    found = []
    for match in _FIRST_FIELDS.finditer(content.decode(errors="replace")):
        try:
            path, original = (msgspec.json.decode(text, type=str) for text in match.groups())
            check(path, original)
        except ValueError:  # msgspec's errors are such
            continue
        found.append((path, original.strip()))
    return found


def is_same(one: str, other: str) -> bool:
    """Whether two values mean the same: the kernel puts a newline behind, and may leave zeros out."""
    return _parts(one) == _parts(other)


def _parts(value: str) -> list[int | str]:
    return [int(part) if re.fullmatch(r"-?[0-9]{1,20}", part, re.ASCII) else part for part in value.split()]
