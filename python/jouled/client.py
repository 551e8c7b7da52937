"""Asks the daemon, over its Unix socket or TCP, with a deadline and a limit on every call.

Only the standard library's `http.client`, so that a program which asks now and then starts fast.
"""

from __future__ import annotations

import base64
import functools
import http.client
import io
import os
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlencode, urlsplit

import msgspec

from jouled import wire
from jouled.errors import JouledError

# Where a daemon listens: its socket first, which knows who asks, then the port every configuration has.
PLACES = ("unix:/run/jouled/jouled.sock", "http://127.0.0.1:9917")
TIMEOUT_S = 10.0
# A snapshot of 60,000 processes; whoever sends more is no daemon of ours.
ANSWER_BYTES_MAX = 64 * 1024 * 1024
# What of a foreign answer goes into an error; our own sentences end with the fix, and are longer.
ERROR_CHARS_MAX = 200
SENTENCE_CHARS_MAX = 1000

Answer = TypeVar("Answer")


class DaemonError(JouledError):
    """The daemon did not give what was asked for; the message names its URL and the fix. `status` is the
    HTTP status of its refusal; None where it did not answer at all, or with something else.
    """

    status: int | None = None


class NotRunningError(DaemonError):
    """Nobody answers there."""


class DeniedError(DaemonError):
    """The daemon is there and this user, or these credentials, may not read."""


class Place(NamedTuple):
    """One address to ask: a socket's path, or a host and port with a path in front of the daemon's own."""

    url: str
    path: str | None = None
    host: str = ""
    port: int = 0
    prefix: str = ""
    is_tls: bool = False
    basic: str | None = None

    @classmethod
    def parse(cls, url: str) -> Place:
        """`unix:/PATH`, `http://[USER:PASSWORD@]HOST:PORT[/PREFIX]` or the same with https."""
        if url.startswith("unix:"):
            path = url.removeprefix("unix:").removeprefix("//")
            if not path.startswith("/") or "\0" in path:
                raise DaemonError(f"{url}: not an address of a socket; write unix:/PATH")
            return cls(f"unix:{path}", path=path)
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise DaemonError(f"{shown(url)}: {error}; write unix:/PATH or http://HOST:PORT") from error
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise DaemonError(f"{shown(url)}: not an address; write unix:/PATH or http://HOST:PORT")
        is_tls = parts.scheme == "https"
        basic = None
        if parts.username is not None:
            basic = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        port = port if port is not None else (443 if is_tls else 80)
        prefix = parts.path.rstrip("/")
        return cls(shown(url), None, parts.hostname, port, prefix, is_tls, basic)


def shown(url: str) -> str:
    """The URL without what must not be read over a shoulder or in a log."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else url


class Clock:
    """What is left of a call's time; a stream's starts anew with every piece that comes."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.is_rolling = False
        self._end_s = time.monotonic() + timeout_s

    def left_s(self) -> float:
        if self.is_rolling:
            return self._timeout_s
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        return left_s


class TimedReader(io.RawIOBase):
    """Reads a socket under a clock: a deadline for each `recv` alone would let a slow sender take for ever."""

    def __init__(self, raw: Any, sock: socket.socket, clock: Clock) -> None:
        self._raw = raw
        self._sock = sock
        self._clock = clock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._clock.left_s())
        count = self._raw.readinto(buffer)
        return None if count is None else int(count)

    def close(self) -> None:
        self._raw.close()
        super().close()


class TimedResponse(http.client.HTTPResponse):
    """An answer whose head and body are read under one clock."""

    def __init__(self, sock: socket.socket, *arguments: Any, clock: Clock, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        self.fp = io.BufferedReader(TimedReader(self.fp.detach(), sock, clock))


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    text: str


def events(lines: Iterable[bytes], bytes_max: int = ANSWER_BYTES_MAX) -> Iterator[Event]:
    """The events of a stream; comments keep it alive and say nothing."""
    name = "message"
    parts: list[bytes] = []
    size = 0
    for line in lines:
        field, _, value = line.rstrip(b"\r\n").partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode(errors="replace")
        elif field == b"data":
            parts.append(value)
            size += len(value)
            if size > bytes_max:
                raise ValueError(f"an event of more than {bytes_max} bytes")
        elif not line.strip():
            if parts:
                yield Event(name, b"\n".join(parts).decode())
            name, parts, size = "message", [], 0


class Client:
    """A daemon to ask. Every call is its own connection, so a client may be shared by threads.

    `url` is `unix:/PATH` or `http(s)://HOST:PORT`; None means the usual places, the first that answers.
    Credentials come from the URL (`user:password@`), else as a bearer token from `$JOULED_TOKEN`.
    Every call ends within `timeout_s` seconds; a stream, when nothing came for so long.
    """

    def __init__(self, url: str | None = None, *, timeout_s: float = TIMEOUT_S, token: str | None = None) -> None:
        self._places = [Place.parse(place) for place in ([url] if url else PLACES)]
        self._timeout_s = timeout_s
        self._token = token or os.environ.get("JOULED_TOKEN") or None

    def __repr__(self) -> str:
        return f"<Client {' or '.join(place.url for place in self._places)}>"

    @property
    def url(self) -> str:
        """The place that answers; before the first answer the one that is asked first."""
        return self._places[0].url

    def snapshot(
        self, levels: Iterable[str] | None = None, sort: str | None = None, limit: int | None = None
    ) -> wire.Snapshot:
        """The host after its latest interval: watts over that interval, joules since each row began.

        `levels` names the levels wanted (all by default), `limit` keeps the first so many rows of each.
        Raises DaemonError.
        """
        return self._json(_path("/api/v1/snapshot", level=_listed(levels), sort=sort, limit=limit), wire.Snapshot)

    def zones(self) -> tuple[wire.Zone, ...]:
        """Every zone, in watts over the latest interval and joules since the daemon first saw it."""
        return self._json("/api/v1/zones", tuple[wire.Zone, ...])

    def counters(self) -> wire.Counters:
        """Every zone's counter in joules, read now (or as lately as this reader may have it)."""
        return self._json("/api/v1/zones?now=1", wire.Counters)

    def workloads(self, level: str, sort: str | None = None, limit: int | None = None) -> wire.Level:
        """One level's workloads and residuals."""
        return self._json(_path("/api/v1/workloads", level=level, sort=sort, limit=limit), wire.Level)

    def ask(self, path: str, kind: type[Answer]) -> Answer:
        """What a path of the books answers. Raises DaemonError."""
        return self._json(path, kind)

    def put(self, path: str, body: object, kind: type[Answer]) -> Answer:
        """Sends `body` as JSON, and returns what is answered. Raises DaemonError, with the daemon's reason."""
        text = self._exchange(path, method="PUT", sent=msgspec.json.encode(body))[1]
        return _decoded(self._places[0], path, text, kind)

    def post(self, path: str, body: object, kind: type[Answer]) -> Answer:
        """As `put`, of what is to be done."""
        text = self._exchange(path, method="POST", sent=msgspec.json.encode(body))[1]
        return _decoded(self._places[0], path, text, kind)

    def patch(self, path: str, body: object, kind: type[Answer]) -> Answer:
        """As `put`, of what is to be another way."""
        text = self._exchange(path, method="PATCH", sent=msgspec.json.encode(body))[1]
        return _decoded(self._places[0], path, text, kind)

    def delete(self, path: str, kind: type[Answer]) -> Answer:
        """Raises DaemonError; its `status` is 404 where there was nothing to delete."""
        return _decoded(self._places[0], path, self._exchange(path, method="DELETE")[1], kind)

    def readiness(self) -> tuple[bool, str]:
        """Whether the numbers are fresh, and the daemon's words for it."""
        status, body = self._get("/readyz", fine=(200, 503))
        return status == 200, body.decode(errors="replace").strip()

    def metrics(self) -> str:
        """The page for Prometheus."""
        return self._get("/metrics")[1].decode(errors="replace")

    def stream(
        self, levels: Iterable[str] | None = None, limit: int | None = None, interval_s: float | None = None
    ) -> Iterator[wire.Snapshot]:
        """Each new snapshot as it comes, until the daemon ends or nothing came for the time-out.

        Raises DaemonError; also where the stream ends, since it has no end of its own.
        """
        interval = None if interval_s is None else f"{interval_s:g}"
        path = _path("/api/v1/stream", level=_listed(levels), limit=limit, interval=interval)
        response, place, clock = self._open(path)
        try:
            if response.status != 200:
                raise _refusal(place, path, response.status, response.read(SENTENCE_CHARS_MAX * 4))
            clock.is_rolling = True
            for event in events(iter(functools.partial(response.readline, ANSWER_BYTES_MAX), b"")):
                if event.name == "snapshot":
                    yield _decoded(place, path, event.text.encode(), wire.Snapshot)
        except TimeoutError as error:
            raise NotRunningError(
                f"{place.url}{path}: nothing came for {self._timeout_s:g} s; see joulectl status"
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DaemonError(f"{place.url}{path}: {_reason(error)}; see joulectl status") from error
        finally:
            response.close()
        raise NotRunningError(f"{place.url}{path}: the daemon ended the stream; see joulectl status")

    def _json(self, path: str, kind: type[Answer]) -> Answer:
        return _decoded(self._places[0], path, self._get(path)[1], kind)

    def _get(self, path: str, fine: tuple[int, ...] = (200,)) -> tuple[int, bytes]:
        return self._exchange(path, fine)

    def _exchange(
        self, path: str, fine: tuple[int, ...] = (200,), *, method: str = "GET", sent: bytes | None = None
    ) -> tuple[int, bytes]:
        response, place, _ = self._open(path, method, sent)
        try:
            body = response.read(ANSWER_BYTES_MAX + 1)
        except TimeoutError as error:
            raise NotRunningError(
                f"{place.url}{path}: no whole answer within {self._timeout_s:g} s; see joulectl status"
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DaemonError(f"{place.url}{path}: {_reason(error)}; is it jouled that listens there?") from error
        finally:
            response.close()
        if len(body) > ANSWER_BYTES_MAX:
            raise DaemonError(
                f"{place.url}{path}: more than {ANSWER_BYTES_MAX} bytes; is it jouled that listens there?"
            )
        if response.status not in fine:
            raise _refusal(place, path, response.status, body)
        return response.status, body

    def _open(
        self, path: str, method: str = "GET", sent: bytes | None = None
    ) -> tuple[http.client.HTTPResponse, Place, Clock]:
        """The first place that answers; the others are not asked again."""
        troubles: list[DaemonError] = []
        for place in self._places:
            try:
                response, clock = self._ask(place, path, method, sent)
            except DaemonError as error:
                # Nobody may write over TCP without a token: the socket's own refusal says more than that one's.
                if method != "GET" and self._token is None and isinstance(error, DeniedError):
                    raise
                troubles.append(error)
                continue
            self._places = [place]
            return response, place, clock
        # A socket that may not be opened says more than a port at which nobody listens.
        denied = [error for error in troubles if isinstance(error, DeniedError)]
        if len(self._places) == 1 or denied:
            raise (denied or troubles)[0]
        raise NotRunningError(
            f"no daemon at {' or '.join(place.url for place in self._places)}; "
            "start it (systemctl start jouled), or name it by --url or JOULED_URL"
        )

    def _ask(
        self, place: Place, path: str, method: str = "GET", sent: bytes | None = None
    ) -> tuple[http.client.HTTPResponse, Clock]:
        clock = Clock(self._timeout_s)
        connection = self._connection(place)
        connection.response_class = functools.partial(TimedResponse, clock=clock)  # type: ignore[assignment]  # called like the class
        try:
            headers = self._headers(place) | ({} if sent is None else {"Content-Type": "application/json"})
            connection.request(method, f"{place.prefix}{path}", sent, headers)
            return connection.getresponse(), clock
        except TimeoutError as error:
            connection.close()
            raise NotRunningError(
                f"{place.url}{path}: no answer within {self._timeout_s:g} s; see the daemon's log"
            ) from error
        except PermissionError as error:
            connection.close()
            raise DeniedError(f"{place.url}: permission denied; run as root or join group jouled") from error
        except (ConnectionError, FileNotFoundError) as error:
            connection.close()
            raise NotRunningError(
                f"{place.url}: {_reason(error)}; start the daemon (systemctl start jouled), or check the address"
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise DaemonError(f"{place.url}: {_reason(error)}; check the address") from error

    def _connection(self, place: Place) -> http.client.HTTPConnection:
        if place.path is not None:
            return UnixConnection(place.path, self._timeout_s)
        if place.is_tls:
            import ssl

            # The system's authorities, or those of $SSL_CERT_FILE, which OpenSSL reads itself.
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(place.host, place.port, timeout=self._timeout_s, context=context)
        return http.client.HTTPConnection(place.host, place.port, timeout=self._timeout_s)

    def _headers(self, place: Place) -> dict[str, str]:
        headers = {"Connection": "close", "User-Agent": "joulectl"}
        if place.basic is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(place.basic.encode()).decode()}"
        elif self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers


def _path(path: str, **query: str | int | None) -> str:
    given = {key: value for key, value in query.items() if value is not None}
    return f"{path}?{urlencode(given, safe=',')}" if given else path


def _listed(levels: Iterable[str] | None) -> str | None:
    return None if levels is None else ",".join(levels)


def _decoded(place: Place, path: str, body: bytes, kind: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # also a ValidationError
        raise DaemonError(f"{place.url}{path}: {error}; is it a jouled of this version that listens there?") from error


class _Words(msgspec.Struct):
    """What the daemon says with a status that is not 200."""

    error: str
    message: str = ""
    detail: Any = None
    # Of a daemon before there were books.
    allowed: list[str] = []

    @property
    def sentence(self) -> str:
        allowed = self.detail.get("allowed", ()) if isinstance(self.detail, dict) else self.allowed
        return (self.message or self.error) + (f"; allowed: {', '.join(map(str, allowed))}" if allowed else "")


def _refusal(place: Place, path: str, status: int, body: bytes) -> DaemonError:
    try:
        said = msgspec.json.decode(body, type=_Words).sentence[:SENTENCE_CHARS_MAX]
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = body.decode(errors="replace").strip()[:ERROR_CHARS_MAX]
    said = said or http.client.responses.get(status, "no reason given")
    where = f"{place.url}{path}: {status}"
    if status == 401:
        refusal: DaemonError = DeniedError(
            f"{where}: {said}; give user:password@ in the URL, or a token in JOULED_TOKEN"
        )
    elif status == 403:
        # The books say themselves what is missing; a listener's gate does not know.
        fix = "" if ";" in said else "; run as root or join group jouled"
        refusal = DeniedError(f"{where}: {said}{fix}")
    else:
        refusal = DaemonError(f"{where}: {said}")
    refusal.status = status
    return refusal


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
