"""Events and open alerts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

Severity = Literal["info", "warning", "critical"]


class Event(Struct, frozen=True):
    """Something that happened, once: `dedup_key` names the condition that began."""

    id: str
    type: str
    severity: str
    timestamp: datetime
    note: str
    dedup_key: str
    site_id: str | None = None
    device_id: str | None = None
    meter_id: str | None = None
    value: float | None = None


class Alert(Struct, frozen=True):
    """A condition that is still open; `event_id` is the event with which it began."""

    dedup_key: str
    type: str
    severity: str
    event_id: str
    since: datetime
    note: str
    site_id: str | None = None
    device_id: str | None = None
    meter_id: str | None = None
    value: float | None = None
