"""HTTP out: every request has a deadline and a size limit, and ends in bytes or in an error that says the fix."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import NamedTuple, NoReturn, Self

import httpx2
import trio

import jouled
from jouled.errors import JouledError, one_line

DEADLINE_S = 30.0
BYTES_MAX = 8 * 1024 * 1024
CONNECTIONS_MAX = 8
TRIES = 3
PAUSE_S = 1.0
# A provider that asks for more is left alone until the next refresh.
PAUSE_MAX_S = 10.0
REDIRECTS_MAX = 3
EXCERPT_CHARS = 120
# Of a body that was refused.
REFUSED_BYTES_MAX = 64 * 1024


class SignalError(JouledError):
    """What is outside did not give what was asked for. `retry_after_s` is when it wants to be asked again.

    Of an answer that was refused, `status` and how its body begins: some say there what the status does not.
    """

    retry_after_s: float | None = None
    status: int | None = None
    body: bytes = b""


class UnreachableError(SignalError):
    """No whole answer: no such name, no connection, no certificate that holds, or too slow."""


class RejectedError(SignalError):
    """401 and 403: the token, or what it may ask for."""


class MissingError(SignalError):
    """404, 410, and 204: there is no such thing, or not yet."""


class QuestionError(SignalError):
    """Any other 4xx: what was asked makes no sense there."""


class BusyError(SignalError):
    """429: asked too often."""


class TroubleError(SignalError):
    """5xx: theirs to mend."""


class AnswerError(SignalError):
    """An answer that is not what it should be; nothing of it is used."""


# Trying once more may help against these only.
PASSING = (UnreachableError, BusyError, TroubleError)


class Answer(NamedTuple):
    """What came, unpacked; `where` is how errors about it begin."""

    status: int
    body: bytes
    where: str
    retry_after_s: float | None = None


class Http:
    """A client for one part of the settings, `room`; its errors name that, `address`, where it goes, and `token`.

    Certificates are verified. A redirect is followed on the same host only: tokens must not wander.
    `transport` stands for the network in tests.
    """

    def __init__(
        self,
        room: str,
        *,
        address: str | None = None,
        token: str | None = None,
        deadline_s: float = DEADLINE_S,
        bytes_max: int = BYTES_MAX,
        tries: int = TRIES,
        connections_max: int = CONNECTIONS_MAX,
        pause_s: float = PAUSE_S,
        jitter: Callable[[], float] = random.random,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._room = room
        self._address = address or f"{room}.url"
        self._token = token or f"{room}.token"
        self._deadline_s = deadline_s
        self._bytes_max = bytes_max
        self._tries = tries
        self._pause_s = pause_s
        self._jitter = jitter
        self._client = httpx2.AsyncClient(
            headers={"user-agent": f"jouled/{jouled.__version__}", "accept-encoding": "gzip, identity"},
            timeout=None,  # the deadline is around everything, also around slow bytes
            limits=httpx2.Limits(max_connections=connections_max, max_keepalive_connections=2, keepalive_expiry=5.0),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
            await self._client.aclose()

    async def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        busy_s: float | None = None,
    ) -> Answer:
        """The answer of status 200, after some tries. Raises SignalError.

        `busy_s` is for how long who says 429 is left alone, unless the answer says how long.
        """
        for again in range(1, self._tries):
            try:
                return await self._get(url, params, headers, auth, busy_s)
            except PASSING as error:
                pause_s = self._pause_s * 2 ** (again - 1) * (0.5 + self._jitter())
                if error.retry_after_s is not None:
                    if error.retry_after_s > PAUSE_MAX_S:
                        raise
                    pause_s = max(pause_s, error.retry_after_s)
            await trio.sleep(pause_s)
        return await self._get(url, params, headers, auth, busy_s)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Whatever it says, without a second try: whoever posts has its own. Raises SignalError for no answer."""
        return await self.ask("POST", url, body=body, headers=headers)

    async def ask(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Answer:
        """Whatever it says, once: what a device was told may have been done although no answer came, so whoever
        asks looks first. Redirects are answers. Raises UnreachableError, AnswerError, QuestionError.
        """
        request = self._request(method, url, params=params, headers=headers, content=body)
        response, answer = await self._exchange(request, auth)
        wait_s = retry_after_s(response.headers.get("retry-after"), datetime.now(UTC))
        return Answer(response.status_code, answer, _place(request), wait_s)

    async def _get(
        self,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        auth: tuple[str, str] | None,
        busy_s: float | None,
    ) -> Answer:
        request = self._request("GET", url, params=params, headers=headers)
        where = _place(request)
        for _ in range(REDIRECTS_MAX + 1):
            response, body = await self._exchange(request, auth)
            if response.status_code == 200:
                return Answer(200, body, where)
            target = response.next_request
            if target is None:
                self._refuse(response, body, where, busy_s)
            elif not _is_same_place(request.url, target.url):
                raise QuestionError(f"{where}: sent on to {target.url.host}; set {self._address} to where it is now")
            else:
                request, where = target, _place(target)
        raise QuestionError(f"{where}: sent on more than {REDIRECTS_MAX} times; set {self._address} to where it is")

    def _request(self, method: str, url: str, **parts: object) -> httpx2.Request:
        try:
            return self._client.build_request(method, url, **parts)  # type: ignore[arg-type]  # one of few, all typed above
        except (httpx2.InvalidURL, ValueError) as error:
            raise QuestionError(f"{url}: {error}; mend {self._address}") from error

    async def _exchange(self, request: httpx2.Request, auth: tuple[str, str] | None) -> tuple[httpx2.Response, bytes]:
        where = _place(request)
        try:
            with trio.fail_after(self._deadline_s):
                response = await self._client.send(request, auth=auth, stream=True)
                try:
                    return response, await self._read(response, where)
                finally:
                    await response.aclose()
        except trio.TooSlowError:
            raise UnreachableError(
                f"{where}: no whole answer within {self._deadline_s:g} s; it is tried again later"
            ) from None
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise QuestionError(f"{where}: {error}; mend {self._address}") from error
        except (httpx2.HTTPError, OSError) as error:
            raise UnreachableError(f"{where}: {_words(error)}; check {self._address} and the network") from error

    async def _read(self, response: httpx2.Response, where: str) -> bytes:
        """Bounded before and after it is unpacked: a small body may hold a large one."""
        raw = bytearray()
        # The generators of the library end cleanly only from within: by the next bytes that do not come.
        with trio.CancelScope() as enough:
            async for chunk in response.aiter_raw(64 * 1024):
                if enough.cancel_called or len(raw) + len(chunk) > self._bytes_max:
                    enough.cancel()
                else:
                    raw += chunk
        body = None if enough.cancel_called else unpacked(bytes(raw), response.headers, self._bytes_max, where)
        if body is None:
            raise AnswerError(f"{where}: more than {self._bytes_max} bytes; ask for less, or check {self._address}")
        return body

    def _refuse(self, response: httpx2.Response, body: bytes, where: str, busy_s: float | None) -> NoReturn:
        status, room = response.status_code, self._room
        said = f"{where}: {status}{_excerpt(body)}"
        error: SignalError
        if is_html(body) and status in {202, 401, 403, 429, 503}:  # 202: a challenge, not an acceptance
            error = RejectedError(f"{said}; a page for browsers came instead: ask its operator, or set {self._address}")
        elif status in {401, 403}:
            error = RejectedError(f"{said}; check {self._token} and what it may ask for")
        elif status in {204, 404, 410}:
            error = MissingError(f"{said}; it has no such zone or nothing yet: check {room}.zone")
        elif status in {408, 425}:
            error = UnreachableError(f"{said}; it is tried again later")
        elif status == 429:
            error = BusyError(f"{said}; asked too often: make {room}.refresh longer")
        elif status >= 500:
            error = TroubleError(f"{said}; their trouble: it is tried again later")
        else:
            error = QuestionError(f"{said}; it does not understand the question: check {room}.zone and {self._address}")
        wait_s = retry_after_s(response.headers.get("retry-after"), datetime.now(UTC))
        error.retry_after_s = busy_s if wait_s is None and status == 429 else wait_s
        error.status, error.body = status, body[:REFUSED_BYTES_MAX]
        raise error


def unpacked(raw: bytes, headers: Mapping[str, str], bytes_max: int, where: str) -> bytes | None:
    """None for what is larger than `bytes_max`. Raises AnswerError for what cannot be unpacked."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"identity", ""} or not raw:
        return raw
    if encoding not in {"gzip", "x-gzip"}:
        raise AnswerError(f"{where}: the answer is packed as {one_line(encoding)[:40]}, which nobody asked for")
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        body = unpacking.decompress(raw, bytes_max + 1)
    except zlib.error as error:
        raise AnswerError(f"{where}: the compressed answer is broken: {error}; it is tried again later") from error
    if len(body) > bytes_max:
        return None
    if not unpacking.eof:
        raise AnswerError(f"{where}: the compressed answer is broken off; it is tried again later")
    return body


def retry_after_s(text: str | None, now: datetime) -> float | None:
    """Of the header, which holds seconds or a date. None for none, and for one that makes no sense."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text.strip()[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())


def is_html(body: bytes) -> bool:
    return body[:512].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"


def _words(error: BaseException) -> str:
    """Of the innermost error that has some: the library's own are often empty."""
    words = ""
    inner: BaseException | None = error
    while inner is not None:
        words = str(inner) or words
        # Of several addresses each has its own trouble: the first says enough.
        group = inner if isinstance(inner, BaseExceptionGroup) else None
        inner = inner.__cause__ or inner.__context__ if group is None else group.exceptions[0]
    return one_line(words or type(error).__name__)


def _excerpt(body: bytes) -> str:
    if not body or is_html(body):
        return ""
    text = one_line(" ".join(body[: 4 * EXCERPT_CHARS].decode("utf-8", "replace").split()))
    return f" {text[:EXCERPT_CHARS]!r}"


def _place(request: httpx2.Request) -> str:
    """Without the query, which is long, and without anything secret."""
    return f"{request.method} {request.url.copy_with(query=None, username=None, password=None)}"


def _is_same_place(asked: httpx2.URL, sent_to: httpx2.URL) -> bool:
    is_same = (asked.scheme, asked.port) == (sent_to.scheme, sent_to.port)
    return asked.host == sent_to.host and (is_same or sent_to.scheme == "https")
