"""What is about to be written, and the original that it goes with."""

from __future__ import annotations

from msgspec.structs import replace

from jouled.balance.writes import Write
from jouled.journal.files import inode_of, read_attribute
from jouled.journal.give_back import holds_name, locate
from jouled.journal.page import ENTRIES_MAX, Entry, check, check_identity, is_same
from jouled.journal.places import real_path


def intend(entries: list[Entry], write: Write, sysfs: str) -> None:
    """Adds the write to what is journalled. Raises OSError and ValueError where it must not be done."""
    check(write.path, write.value)
    check_identity(write.path, write.identity)
    real = real_path(write.path, sysfs)
    if write.identity is not None and not holds_name(*write.identity):
        raise ValueError(f"it is no longer a file of {write.identity[1]}")
    original = read_attribute(real)
    check(write.path, original)
    inode = inode_of(write.path) if write.identity is None else None
    index = _journalled(entries, write, inode, sysfs)
    if index is None:
        if len(entries) >= ENTRIES_MAX:
            raise ValueError(f"more than {ENTRIES_MAX} limits are journalled")
        entries.append(
            Entry(write.path, original, write.what, write.value, identity=write.identity, inode=inode),
        )
        return
    entry = entries[index]
    entries[index] = replace(
        entry,
        path=write.path,
        what=write.what,
        identity=write.identity,
        wrote=write.value,
        held=None,
        # By the kernel's word if there is one: it is what stays where this write never comes to be.
        earlier=entry.held or entry.wrote if not is_same(entry.wrote, write.value) else entry.earlier,
    )


def _journalled(entries: list[Entry], write: Write, inode: int | None, sysfs: str) -> int | None:
    """The entry whose original this attribute has, though it may have been another number's then."""
    for index, entry in enumerate(entries):
        if entry.path != write.path:
            continue
        if write.identity is None and entry.inode not in {None, inode}:
            # The slice was made anew since; the limit of the one before is gone.
            del entries[index]
            return None
        if (entry.identity or (None, None))[1] == (write.identity or (None, None))[1]:
            return index
    if write.identity is None:
        return None
    for index, entry in enumerate(entries):
        # Found by its name where it is now, which is where this write goes.
        if entry.identity is None or entry.identity[1] != write.identity[1]:
            continue
        if locate(entry, sysfs) == write.path:
            return index
    return None
