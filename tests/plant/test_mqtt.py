"""Readings by MQTT: the real library against a small broker."""

from __future__ import annotations

import gc
import json
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio

from certificates import make_pair
from jouled.balance.site.supply import Reading
from jouled.config.plant import Pointers
from jouled.errors import ConfigError
from jouled.http import AnswerError, MissingError, SignalError, UnreachableError
from jouled.signals.plant import mqtt as mqtt_room
from jouled.signals.plant.mqtt import Mqtt
from jouled.signals.plant.protocol import Secrets
from plant.broker import Broker, Seen

TOPIC = "plant/hydro-1/power"
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
POINTERS = Pointers(generation="/kw", timestamp="/at")


def message(kw: float, at: datetime = NOW) -> bytes:
    return json.dumps({"kw": kw, "at": at.isoformat()}).encode()


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as made:
        yield made


@asynccontextmanager
async def opened(
    url: str, pointers: Pointers = POINTERS, password: str | None = None, **parts: Any
) -> AsyncIterator[Mqtt]:
    source = Mqtt(url, TOPIC, pointers, "kW", Secrets(password=password), **parts)
    try:
        yield source
    finally:
        await source.aclose()


async def until(source: Mqtt, is_so: Callable[[Reading | SignalError], bool]) -> Reading | SignalError:
    """Asked until it is: the library's thread has its own pace."""
    with trio.fail_after(60):
        while True:
            found = await asked(source)
            if is_so(found):
                return found
            await trio.sleep(0.01)
    raise AssertionError("not reached")


async def asked(source: Mqtt) -> Reading | SignalError:
    try:
        return await source.fetch(NOW)
    except SignalError as error:
        return error


async def until_reading(source: Mqtt, is_so: Callable[[Reading], bool] = lambda _: True) -> Reading:
    found = await until(source, lambda found: isinstance(found, Reading) and is_so(found))
    assert isinstance(found, Reading)
    return found


async def subscribed(broker: Broker) -> None:
    """In a thread: it is another one's event."""
    assert await trio.to_thread.run_sync(broker.subscribed.wait, 60)


async def test_a_message_is_a_reading_and_the_next_one_is_the_next(broker: Broker) -> None:
    broker.publish(TOPIC, message(80.0), retain=True)
    async with opened(broker.url) as source:
        first = await until_reading(source)
        assert (first.generation_w, first.sourced_at) == (80_000.0, NOW)
        assert await source.fetch(NOW) is first
        later = NOW + timedelta(seconds=5)
        broker.publish(TOPIC, message(70.0, later))
        found = await until_reading(source, lambda reading: reading is not first)
        assert (found.generation_w, found.sourced_at) == (70_000.0, later)


async def test_what_a_broker_has_kept_is_no_news_where_it_does_not_say_from_when_it_is(broker: Broker) -> None:
    broker.publish(TOPIC, b"80.5", retain=True)
    async with opened(broker.url, Pointers()) as source:
        with trio.move_on_after(0.2):
            await source.fetch(NOW)
        await subscribed(broker)
        broker.publish(TOPIC, b"70.5")
        found = await until_reading(source)
        assert found.generation_w == 70_500.0
        assert NOW - timedelta(seconds=60) < found.sourced_at <= NOW


async def test_a_broker_that_restarts_is_found_again_and_meanwhile_said(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.publish(TOPIC, message(80.0), retain=True)
    async with opened(broker.url) as source:
        await until_reading(source)
        broker.password = "changed"
        broker.drop_all()
        await until(source, lambda found: "the broker refuses" in str(found))
        broker.password = None
        assert (await until_reading(source)).generation_w == 80_000.0


async def test_a_user_and_a_password_are_handed_over_and_in_no_error() -> None:
    with Broker("what-it-wants") as broker:
        broker.publish(TOPIC, message(80.0), retain=True)
        async with opened(broker.url, password="what-it-wants", user="jouled") as source:
            await until_reading(source)
            assert broker.seen[0] == Seen("jouled", "what-it-wants")
            assert "what-it-wants" not in repr(source)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_over_tls_the_broker_must_be_who_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = make_pair(tmp_path, "localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)
    with Broker(tls=context) as broker:
        broker.publish(TOPIC, message(80.0), retain=True)
        async with opened(broker.url, ca=str(pair.cert)) as source:
            assert (await until_reading(source)).generation_w == 80_000.0
        async with opened(broker.url) as source:
            monkeypatch.setattr(mqtt_room, "DEADLINE_S", 0.2)
            with pytest.raises(UnreachableError):
                await source.fetch(NOW)
    # The library leaves the socket of a handshake that failed to the collector, which complains.
    gc.collect()


def test_a_file_of_certificates_that_is_none_is_refused_before_anything_starts(tmp_path: Path) -> None:
    for name in ("missing.pem", "empty.pem"):
        (tmp_path / "empty.pem").write_text("")
        with pytest.raises(ConfigError, match=r"^plant\.ca: read "):
            Mqtt("mqtts://localhost", TOPIC, POINTERS, "kW", Secrets(), ca=str(tmp_path / name))


async def test_a_broker_that_is_not_there_is_an_error_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_room, "DEADLINE_S", 0.2)
    with Broker() as broker:
        url = broker.url
    async with opened(url) as source:
        with pytest.raises(UnreachableError, match=r"check plant\.url and the broker"):
            await source.fetch(NOW)


async def test_a_topic_without_messages_is_said(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(broker.url) as source:
        with trio.move_on_after(0.1):
            await source.fetch(NOW)
        await subscribed(broker)
        monkeypatch.setattr(mqtt_room, "DEADLINE_S", 0.01)
        found = await until(source, lambda found: isinstance(found, MissingError))
        assert "check plant.topic" in str(found)


@pytest.mark.parametrize(
    "body", [b"{", b"", b"\xff", b'{"kw":true,"at":"2026-03-04T12:00Z"}', b'{"kw":80}', b"x" * 300_000]
)
async def test_a_message_that_is_none_is_an_error_once_and_then_nothing_is_known_of_it(
    broker: Broker, body: bytes
) -> None:
    broker.publish(TOPIC, body, retain=True)
    async with opened(broker.url) as source:
        await until(source, lambda found: isinstance(found, AnswerError))
        with pytest.raises(MissingError):
            await source.fetch(NOW)


def test_without_the_library_the_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(ConfigError, match=r"install jouled\[mqtt\]"):
        Mqtt("mqtt://localhost", TOPIC, POINTERS, "kW", Secrets())
