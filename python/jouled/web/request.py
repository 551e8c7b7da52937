"""A request, as the routes see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from functools import cached_property
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from jouled.web.negotiate import takes_gzip
from jouled.web.peer import Peer

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# Where refusals are JSON, and where alone bodies are taken.
API = "/api/"
# No route knows half as many.
PARAMETERS_MAX = 10


class RefusedError(Exception):
    """The request cannot be answered: a status, a sentence, and what would be allowed."""

    def __init__(
        self,
        status: int,
        words: str,
        allowed: Collection[str] = (),
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.allowed = tuple(allowed)
        self.headers = headers


class Request:
    """The parts of an ASGI scope that matter here."""

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope.get("method", "GET")  # a WebSocket has none
        self.path: str = scope["path"]
        self.peer: Peer = scope["state"]["peer"]
        self.scope = scope

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"

    def header(self, name: bytes) -> str:
        """All lines of this header; a header may be given several times."""
        headers = self.scope["headers"]
        return ",".join(value.decode("latin-1") for key, value in headers if key.lower() == name)

    @property
    def head_bytes(self) -> int:
        """About what the request line and the headers took on the wire."""
        lines = sum(len(key) + len(value) + 4 for key, value in self.scope["headers"])
        return len(self.scope.get("raw_path", b"")) + len(self.scope.get("query_string", b"")) + lines

    @cached_property
    def takes_gzip(self) -> bool:
        return takes_gzip(self.header(b"accept-encoding"))

    def parameters(self, known: Collection[str]) -> Mapping[str, str]:
        """The query. A parameter with a typing error must not be one ignored, so all must be known."""
        text = bytes(self.scope.get("query_string", b"")).decode("latin-1")
        try:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=PARAMETERS_MAX)
        except ValueError:
            raise RefusedError(400, f"more than {PARAMETERS_MAX} parameters", known) from None
        found: dict[str, str] = {}
        for name, value in pairs:
            if name not in known:
                raise RefusedError(400, f"unknown parameter {name[:100]!r}", known)
            if name in found:
                raise RefusedError(400, f"parameter {name!r} is given twice", known)
            found[name] = value
        return found
