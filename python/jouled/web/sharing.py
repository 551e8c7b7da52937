"""The stream's part in what daemons share: wakes it, and takes the latest readings from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from jouled.config.books import Redis
from jouled.sharing import Relay
from jouled.sharing.relay import Latest
from jouled.web.broadcast import Broadcast
from jouled.wire.stream import Item

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def open_relay(settings: Redis, broadcast: Broadcast) -> Relay:
    """Raises ConfigError."""
    relay = Relay(settings, broadcast.wake)
    broadcast.on_written = relay.written

    def remember(items: Sequence[Item]) -> None:
        bodies = [msgspec.json.decode(item.body) for item in items if item.topic == "readings"]
        relay.remember(latest_readings(bodies))
        # Of a large batch a message shows only the last ones.
        if any(body.get("count", 0) > len(body["readings"]) for body in bodies):
            relay.doubt()

    broadcast.on_items = remember
    return relay


def latest_readings(bodies: Sequence[dict[str, Any]]) -> dict[str, Latest]:
    """By meter, of all readings that these messages show."""
    found: dict[str, Latest] = {}
    for body in bodies:
        for reading in body["readings"]:
            at_us = _microseconds(reading)
            known = found.get(reading["meter_id"])
            if known is None or at_us >= known.at_us:
                found[reading["meter_id"]] = Latest(at_us, msgspec.json.encode(reading))
    return found


def _microseconds(reading: dict[str, Any]) -> int:
    return int((msgspec.convert(reading["timestamp"], datetime) - EPOCH).total_seconds() * 1_000_000)
