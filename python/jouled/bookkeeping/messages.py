"""The messages of the stream: written in the transaction of what they tell."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, insert

from jouled.store.schema.events import messages

Topic = Literal["readings", "events", "decisions"]


def post(connection: Connection, topic: Topic, at: datetime, body: Any) -> int:
    """`body` is a struct or a dictionary as the stream sends it. Returns the number to resume from."""
    plain = msgspec.to_builtins(body, builtin_types=())
    done = connection.execute(insert(messages).values(topic=topic, at=at, body=plain))
    assert done.inserted_primary_key is not None  # noqa: S101  (the table numbers its rows)
    return int(done.inserted_primary_key[0])
