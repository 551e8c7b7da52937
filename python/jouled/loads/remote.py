"""What answers over HTTP and can be set: its address, its token, and the one form of what goes wrong."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, TypeVar

import httpx2
import msgspec

from jouled.errors import ConfigError, one_line
from jouled.http import Answer, Http, SignalError
from jouled.loads.protocol import LoadError

T = TypeVar("T")

# A description is some hundred bytes, the state of a large host's caps some ten thousand.
BYTES_MAX = 1024 * 1024
WORDS_MAX = 300


class AwayError(LoadError):
    """It did not answer: nobody knows what it does, nor whether it took what it was told."""


class RefusedLoadError(LoadError):
    """It answered, and did not do it. `status` is that of its answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _Said(msgspec.Struct):
    """The sentence of a refusal, where it has the form of ours or a usual one."""

    message: str | None = None
    error: Any = None


def no_token() -> str | None:
    return None


class Remote:
    """`url` is https://HOST[:PORT][/PREFIX], http:// or unix:/PATH. Certificates are verified, by `ca` (a file)
    or by what the system trusts. `token` is called for the bearer token, and again after it was refused.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        token: Callable[[], str | None] = no_token,
        ca: str | None = None,
        timeout_s: float = 5.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = name
        self.url = url
        self._base = "http://localhost" if url.startswith("unix:") else url
        self._token = token
        self._header: dict[str, str] | None = None
        self._http = Http(
            f"the load {name}",
            address=f"the address of the load {name}",
            token=f"the token of the load {name}",
            deadline_s=timeout_s,
            bytes_max=BYTES_MAX,
            tries=1,
            transport=transport or _transport(name, url, ca),
        )

    def __repr__(self) -> str:
        return f"<Remote {self.name} at {self.url}>"

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """The answer of status 200 or 204, after one try. Raises AwayError and RefusedLoadError."""
        headers = dict(self._headers())
        content = None
        url = f"{self._base.rstrip('/')}{path}" if path else self._base
        if body is not None:
            headers["content-type"] = "application/json"
            content = msgspec.json.encode(body)
        try:
            answer = await self._http.ask(method, url, body=content, headers=headers)
        except SignalError as error:
            raise AwayError(str(error)) from error
        if answer.status in {200, 201, 202, 204}:
            return answer
        if answer.status == 401:
            self._header = None
        raise RefusedLoadError(self._refusal(answer), answer.status)

    async def get(self, path: str, shape: type[T]) -> T:
        """Raises AwayError, RefusedLoadError, and LoadError for what is not of this shape."""
        return self.read(await self.ask("GET", path), shape)

    def read(self, answer: Answer, shape: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.body, type=shape)
        except msgspec.DecodeError as error:
            raise LoadError(
                f"{answer.where}: {one_line(str(error))}; check that the load {self.name} answers there"
            ) from error

    async def aclose(self) -> None:
        await self._http.__aexit__(None, None, None)

    def _headers(self) -> dict[str, str]:
        if self._header is None:
            try:
                token = self._token()
            except ConfigError as error:
                raise LoadError(f"the load {self.name}: {error}") from error
            self._header = {} if token is None else {"authorization": f"Bearer {token}"}
        return self._header

    def _refusal(self, answer: Answer) -> str:
        fix = ""
        if answer.status in {401, 403}:
            fix = f"; check the token of the load {self.name} and its scopes"
        elif answer.status in {404, 405}:
            fix = f"; check the address of the load {self.name}"
        try:
            said = msgspec.json.decode(answer.body, type=_Said)
            words = said.message or (said.error if isinstance(said.error, str) else "")
        except msgspec.DecodeError:
            words = ""
        return f"{answer.where}: {answer.status}{f' {one_line(words)[:WORDS_MAX]}' if words else ''}{fix}"


def _transport(name: str, url: str, ca: str | None) -> httpx2.AsyncBaseTransport | None:
    """Raises ConfigError. None is the usual one."""
    if url.startswith("unix:"):
        return httpx2.AsyncHTTPTransport(uds=url.removeprefix("unix:").removeprefix("//"))
    if ca is None:
        return None
    try:
        return httpx2.AsyncHTTPTransport(verify=ssl.create_default_context(cafile=ca))
    except OSError as error:  # ssl's own are such
        raise ConfigError(f"read {ca}: {error.strerror or error}; put the load {name}'s certificates there") from error
