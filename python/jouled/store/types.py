"""Column types that both engines keep exactly: instants and money as integers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Integer, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A millionth of the currency's unit: exact for prices per kWh of six decimals.
MICRO = Decimal("0.000001")

# SQLite numbers rows by itself only where the key is an INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")
Document = JSON().with_variant(JSONB(), "postgresql")


def microseconds(at: datetime) -> int:
    """Since 1970 in UTC. Raises ValueError for an instant without a zone: nobody knows when that is."""
    if at.tzinfo is None:
        raise ValueError(f"{at} has no zone; instants are kept in UTC")
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def instant(at_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=at_us)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds since 1970 in UTC: both engines sort and subtract them."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ARG002  (the shape is given)
        return None if value is None else microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else instant(value)


class Money(TypeDecorator[Decimal]):
    """A Decimal of six places, kept as millionths: SQLite's numbers are binary."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:  # noqa: ARG002  (the shape is given)
        return None if value is None else int((value / MICRO).to_integral_value())

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else value * MICRO
