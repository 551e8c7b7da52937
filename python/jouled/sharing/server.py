"""The Redis server: every call has a deadline, and an outage is said once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from jouled.errors import ConfigError
from jouled.log import log

T = TypeVar("T")

# A server on the same network answers within a millisecond; nothing here waits for one that does not.
DEADLINE_S = 0.5
# After a failure nobody asks again for so long; each time twice that.
PAUSE_S = 0.5
PAUSE_MAX_S = 15.0


class AwayError(Exception):
    """The server did not answer; it was said, and everything goes on without it."""


class Server:
    """One server. Its methods block, for `DEADLINE_S` at most; each is called in a thread."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError where the package is missing, or the URL is none."""
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise ConfigError("redis.url needs a package that is not installed; pip install jouled[redis]") from None
        self.place = _without_secret(url)
        try:
            self.client: Any = redis.Redis.from_url(
                url,
                socket_timeout=DEADLINE_S,
                socket_connect_timeout=DEADLINE_S,
                retry=Retry(NoBackoff(), 0),
                client_name="jouled",
            )
        except ValueError as error:
            raise ConfigError(
                f"redis.url {self.place}: {error}; write redis://HOST:PORT/0, rediss:// or unix://"
            ) from None
        self._failures: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self.is_away = False
        self._since_s = 0.0
        self._pause_s = PAUSE_S
        self.again_at_s = 0.0

    def __repr__(self) -> str:
        return f"<Server {self.place}{' away' if self.is_away else ''}>"

    def do(self, call: Callable[[Any], T]) -> T:
        """Raises AwayError."""
        try:
            result = call(self.client)
        except self._failures as error:
            self._went_away(error)
            raise AwayError from error
        self._came_back()
        return result

    @property
    def pause_s(self) -> float:
        """How long to leave it alone."""
        return max(0.0, self.again_at_s - time.monotonic())

    def close(self) -> None:
        self.client.close()

    def _went_away(self, error: Exception) -> None:
        now_s = time.monotonic()
        if now_s < self.again_at_s and self.is_away:
            return  # several calls were under way when it went
        if not self.is_away:
            self.is_away, self._since_s, self._pause_s = True, now_s, PAUSE_S
            log.warning(f"redis at {self.place}: {_reason(error)}; the daemon goes on without it")
        self.again_at_s = now_s + self._pause_s
        self._pause_s = min(self._pause_s * 2, PAUSE_MAX_S)

    def _came_back(self) -> None:
        if self.is_away:
            self.is_away = False
            log.info(f"redis at {self.place} is back", away=f"{time.monotonic() - self._since_s:.0f}s")


def _without_secret(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "the URL that was given"
    return f"{parts.scheme}://{host}{parts.path}"


def _reason(error: Exception) -> str:
    return str(error).rstrip(".").lower() or type(error).__name__
