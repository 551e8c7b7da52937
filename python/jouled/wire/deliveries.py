"""Deliveries of events to the webhook and the command."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

DeliveryState = Literal["pending", "delivered", "dead"]


class Delivery(Struct, frozen=True):
    """One event for one target. `dead` was given up after its last try, or because the receiver said no.

    `next_at` is the time of the next try while it is pending, else null.
    """

    seq: int
    event_id: str
    event_type: str
    target: str
    state: str
    attempts: int
    next_at: datetime | None
    last_error: str | None
