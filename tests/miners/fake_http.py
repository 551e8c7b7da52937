"""What a fake device is asked and answers, and the faults that any of them can have."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Answer(NamedTuple):
    """`content` goes out as JSON, bytes as they are. `is_lost`: it was done, and nobody hears of it."""

    status: int = 200
    content: Any = None
    is_lost: bool = False

    @property
    def packed(self) -> bytes:
        if isinstance(self.content, bytes):
            return self.content
        return b"" if self.content is None else json.dumps(self.content).encode()


@dataclass
class Faults:
    """Set by a test while the device is up."""

    # Nobody listens at its address.
    is_gone: bool = False
    # It takes the connection and says nothing.
    hangs: bool = False
    # In seconds of the wall.
    late_s: float = 0.0
    # Does what it is told to do by anything but GET, and drops the connection.
    loses_answers: bool = False
    # The web server is up, and what is behind it is not.
    is_page: bool = False
    # Says yes to a preset or a target, and keeps the old one.
    ignores_orders: bool = False
    # As it is, but another answers in its place.
    mac: str | None = None
    # Routes that its firmware has not.
    missing: set[str] = field(default_factory=set)
