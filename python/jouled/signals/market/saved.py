"""Files that somebody has put down for a provider to read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from jouled.http import AnswerError, MissingError, UnreachableError


def read(path: Path, bytes_max: int, *, missing: str, too_large: str) -> bytes:
    """All of it. The sentences say what to do about a file that is not there, or is too large to be one.

    Raises MissingError where there is none, UnreachableError where it cannot be read, AnswerError for too large a one.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreachableError(f"read {path}: not a file; put one there")
            body = file.read(bytes_max + 1)
    except FileNotFoundError:
        raise MissingError(f"read {path}: {missing}") from None
    except OSError as error:
        raise UnreachableError(f"read {path}: {error.strerror}; make it readable by jouled") from error
    if len(body) > bytes_max:
        raise AnswerError(f"{path}: more than {bytes_max} bytes; {too_large}")
    return body


def _open_at_once(path: str, flags: int) -> int:
    """A pipe would wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)
