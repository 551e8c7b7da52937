"""What an earlier life has left, and what of it still counts."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from jouled.errors import one_line
from jouled.journal.files import FILE, JournalError, boot_id, load, read_attribute
from jouled.journal.give_back import GivenBack, locate
from jouled.journal.page import VERSION, Entry, Page, decoded, is_same, readable
from jouled.journal.places import real_path


class Found(NamedTuple):
    """The journal as it is to go on, and as it lies on the disk (None: no file)."""

    page: Page
    on_disk: Page | None
    # Of another boot, and dropped.
    voided: tuple[GivenBack, ...] = ()


def read(directory: str, *, procfs: str, sysfs: str, holder: str) -> Found:
    """Raises JournalError for a file that cannot be read, or that is no journal: it is never taken for none."""
    boot, content = boot_id(procfs), load(directory)
    if content is None:
        return Found(Page(VERSION, boot, holder), None)
    try:
        page = decoded(content)
    except ValueError as error:
        raise JournalError(_torn(f"{directory}/{FILE}", content, str(error))) from error
    is_of_this_boot = None in (page.boot_id, boot) or page.boot_id == boot
    kept, voided = (page.entries, ()) if is_of_this_boot else _of_another_boot(page.entries, sysfs)
    left = page.left if is_of_this_boot else None
    return Found(replace(page, boot_id=boot, holder=holder, entries=kept, left=left), page, voided)


def _of_another_boot(entries: tuple[Entry, ...], sysfs: str) -> tuple[tuple[Entry, ...], tuple[GivenBack, ...]]:
    """Its slices are gone, and the firmware has set the limits of its zones anew.

    Only a kernel that was started by the one before (kexec) finds the registers as they were: a zone that
    still holds what we wrote is ours to give back.
    """
    kept = tuple(entry for entry in entries if _holds_ours(entry, sysfs))
    why = "it was written before the host was restarted, which has set all limits anew"
    voided = [
        GivenBack(entry.path, entry.what, "void", entry.original, problem=f"{one_line(entry.path)}: {why}")
        for entry in entries
        if entry not in kept
    ]
    return kept, tuple(voided)


def _holds_ours(entry: Entry, sysfs: str) -> bool:
    if entry.identity is None:
        return False
    try:
        path = locate(entry, sysfs)
        value = read_attribute(real_path(path, sysfs)) if path is not None else None
    except OSError:
        return False
    except ValueError:
        return True  # of another sysfs than this one: whoever restores is told
    return value is not None and entry.is_ours(value) and not is_same(value, entry.original)


def _torn(path: str, content: bytes, why: str) -> str:
    """What is wrong with the file, and what can be done by hand with what can be read of it."""
    found = "; ".join(f"{original} into {one_line(file)}" for file, original in readable(content))
    by_hand = f"write by hand {found}" if found else "see joulectl caps list and set the limits by hand"
    return f"read {path}: it is {why}; {by_hand}, or restart the host, then remove it"
