"""An instant on the wire: RFC 3339 with a zone; without one nobody knows when that is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

from msgspec import Meta

Instant: TypeAlias = Annotated[datetime, Meta(tz=True, examples=["2026-03-01T12:00:00Z"])]
