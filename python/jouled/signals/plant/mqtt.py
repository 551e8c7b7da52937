"""Readings that a broker of MQTT passes on; the messages of one topic. Needs the extra `mqtt` (paho-mqtt)."""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import trio

from jouled.balance.site.supply import Reading
from jouled.config.plant import Pointers
from jouled.errors import ConfigError, one_line
from jouled.http import AnswerError, MissingError, UnreachableError
from jouled.signals.plant.pointed import parse
from jouled.signals.plant.protocol import BYTES_MAX, DEADLINE_S, Secrets

if TYPE_CHECKING:
    from paho.mqtt.client import Client

PORTS = {"mqtt": 1883, "mqtts": 8883}
KEEPALIVE_S = 30
RECONNECT_S, RECONNECT_MAX_S = 1, 30
# The broker is told that we go; one that does not answer is left.
GOODBYE_S = 1.0


class _Message(NamedTuple):
    body: bytes
    # By the clock that nobody can set.
    arrived_s: float
    is_retained: bool


class Mqtt:
    """The library has a thread of its own, which connects again by itself. What it brings is only put down here; all
    else is done by whoever asks.
    """

    def __init__(
        self,
        url: str,
        topic: str,
        pointers: Pointers,
        unit: str,
        secrets: Secrets,
        *,
        user: str | None = None,
        ca: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        self.where = f"{url} {topic}"
        self._host, self._port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        self._topic = topic
        self._pointers = pointers
        self._unit = unit
        self._client = _client(user, secrets.password, _tls(ca) if parts.scheme == "mqtts" else None)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._is_started = False
        # Set in the library's thread, read in Trio's: each is one assignment.
        self._message: _Message | None = None
        self._problem: str | None = "not connected yet"
        self._token: trio.lowlevel.TrioToken | None = None
        self._news = trio.Event()
        # The latest that was read, and of which message.
        self._reading: Reading | None = None
        self._read: _Message | None = None

    def __repr__(self) -> str:
        return f"<Mqtt {self.where}>"

    async def fetch(self, now: datetime) -> Reading:
        """What came last; the first time it is waited for."""
        if not self._is_started:
            self._start()
        if self._message is None:
            with trio.move_on_after(DEADLINE_S):
                await self._news.wait()
        message = self._message
        if message is not None and message is not self._read:
            self._reading, self._read = None, message
            self._reading = self._parsed(message, now)
        if self._problem is not None:
            raise UnreachableError(f"{self.where}: {self._problem}; check plant.url and the broker")
        if self._reading is None:
            raise MissingError(
                f"{self.where}: no message yet that can be used; check plant.topic, and who writes to it"
            )
        return self._reading

    async def aclose(self) -> None:
        if self._is_started:
            self._client.disconnect()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE_S):
                await trio.to_thread.run_sync(self._client.loop_stop, abandon_on_cancel=True)

    def _start(self) -> None:
        self._is_started = True
        self._token = trio.lowlevel.current_trio_token()
        self._client.connect_async(self._host, self._port, keepalive=KEEPALIVE_S)
        self._client.loop_start()

    def _parsed(self, message: _Message, now: datetime) -> Reading:
        if len(message.body) > BYTES_MAX:
            raise AnswerError(f"{self.where}: a message of more than {BYTES_MAX} bytes; nothing of it is used")
        arrived_at = now - timedelta(seconds=max(0.0, time.monotonic() - message.arrived_s))
        return parse(message.body, self.where, self._pointers, self._unit, arrived_at)

    # From here on in the library's thread, where nothing may be raised.

    def _on_connect(self, client: Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            self._problem = f"the broker refuses: {one_line(str(reason))}; check plant.user and plant.password"
        else:
            self._problem = None
            # Each time anew: the broker forgets who went.
            client.subscribe(self._topic, qos=1)

    def _on_connect_fail(self, _: Client, __: Any) -> None:
        self._problem = "no connection"

    def _on_disconnect(self, _: Client, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        # Who was refused is sent away too: that was said.
        if self._problem is None:
            self._problem = f"the connection has ended: {one_line(str(reason))}"

    def _on_message(self, _: Client, __: Any, message: Any) -> None:
        # What a broker has kept came some time ago: where it does not say when itself, nobody knows.
        if message.retain and self._pointers.timestamp is None:
            return
        self._message = _Message(bytes(message.payload), time.monotonic(), message.retain)
        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._news.set)


def _client(user: str | None, password: str | None, tls: ssl.SSLContext | None) -> Client:
    try:
        from paho.mqtt.client import Client as OpenClient
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError:
        raise ConfigError("plant.kind: mqtt needs paho-mqtt; install jouled[mqtt]") from None
    client = OpenClient(CallbackAPIVersion.VERSION2)
    client.reconnect_delay_set(RECONNECT_S, RECONNECT_MAX_S)
    if user is not None:
        client.username_pw_set(user, password)
    if tls is not None:
        client.tls_set_context(tls)
    return client


def _tls(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"plant.ca: read {ca}: {error.strerror or error}; name a file of certificates") from error
