"""Events go out by HTTP POST, signed, at least once.

A receiver verifies the signature over the timestamp and the bytes of the body, refuses what is old, and
remembers ids: the same event may come twice, for instance when its answer was lost.

    expected = hmac.new(secret, timestamp.encode() + b"." + body, "sha256").hexdigest()
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from jouled.books.deliveries import Failure
from jouled.errors import one_line
from jouled.http import Http, SignalError
from jouled.wire.events import Event

# A receiver that hangs keeps the events behind this one waiting for so long.
DEADLINE_S = 10.0
# Such answers may be others tomorrow; any other 4xx says that this event is not wanted.
PASSING = {408, 425, 429}


class Webhook:
    """`secret` None sends unsigned."""

    target: Literal["webhook"] = "webhook"

    def __init__(self, http: Http, url: str, secret: bytes | None, clock: Callable[[], datetime]) -> None:
        self._http = http
        self._url = url
        self._secret = secret
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Webhook {'un' if self._secret is None else ''}signed>"

    async def carry(self, event: Event) -> Failure | None:
        body = msgspec.json.encode(event)
        try:
            answer = await self._http.post(self._url, body, self._headers(event, body))
        except SignalError as error:
            return Failure(str(error))
        if 200 <= answer.status < 300:
            return None
        said = one_line(answer.body[:200].decode("utf-8", "replace"))
        is_final = 400 <= answer.status < 500 and answer.status not in PASSING
        return Failure(f"{answer.where}: {answer.status} {said}".strip(), is_final, answer.retry_after_s)

    def _headers(self, event: Event, body: bytes) -> dict[str, str]:
        timestamp = str(int(self._clock().timestamp()))
        headers = {
            "content-type": "application/json",
            "Jouled-Event": event.type,
            "Jouled-Event-Id": event.id,
            "Jouled-Timestamp": timestamp,
        }
        if self._secret is not None:
            headers["Jouled-Signature"] = signature(self._secret, timestamp, body)
        return headers


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    return f"sha256={hmac.new(secret, timestamp.encode() + b'.' + body, 'sha256').hexdigest()}"
