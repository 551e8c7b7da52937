"""A small file that nobody else may read, on the disk before it counts."""

from __future__ import annotations

import os
from pathlib import Path

MODE = 0o600


def write(path: Path, content: bytes) -> None:
    """Replaces it as a whole; written and made durable, its name too, when it returns. Raises OSError."""
    new = path.with_name(f".{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, MODE)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    new.replace(path)
    place = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(place)
    finally:
        os.close(place)
