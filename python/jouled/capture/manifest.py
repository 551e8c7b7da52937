"""What a capture says about itself, and what files alone cannot say: who looked, and what was refused."""

from __future__ import annotations

from msgspec import Struct

FORMAT = 1


class Manifest(Struct, frozen=True):
    """The file `manifest.json` of a capture. Paths are relative to the host's root: `proc/42/stat`."""

    format: int = FORMAT
    jouled: str = ""
    captured_seconds: float = 0.0
    """When the first state was taken, UTC."""
    interval_seconds: float | None = None
    """Between the two states, by the host's own uptime; None where there is one state only."""
    kernel: str = ""
    machine: str = ""
    is_anonymous: bool = False
    errors: dict[str, str] = {}
    """Files that are there and could not be read, and the kernel's word for it: `EACCES`."""
    modes: dict[str, str] = {}
    """Who may read what counts energy: `0400 root:root`."""
    links: dict[str, str] = {}
    """Symbolic links, which an archive of plain files does not hold."""
    gone: tuple[str, ...] = ()
    """What the second state has no more."""
    left_out: dict[str, int] = {}
    """How many of what kind a limit has cut."""
