"""The application: all controllers over one store."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig

import jouled
from jouled.errors import BooksError, StoreError
from jouled.store import Store
from jouled.web.api import problems
from jouled.web.api.parameters import Clock
from jouled.web.api.sites import Sites

CONTROLLERS = (Sites,)


def utc_now() -> datetime:
    return datetime.now(UTC)


def application(store: Store, clock: Clock = utc_now) -> Litestar:
    return Litestar(
        route_handlers=[Router("/api/v1", route_handlers=list(CONTROLLERS))],
        dependencies={
            "store": Provide(lambda: store, sync_to_thread=False),
            "clock": Provide(lambda: clock, sync_to_thread=False),
        },
        exception_handlers={
            BooksError: problems.of_books,
            StoreError: problems.of_store,
            HTTPException: problems.of_http,
            Exception: problems.of_defect,
        },
        # Amounts are exact in the books and stay so on the wire: a number with all of its digits.
        type_encoders={Decimal: _number},
        openapi_config=OpenAPIConfig(title="jouled", version=jouled.__version__, path="/api/v1"),
        logging_config=None,
    )


def _number(value: Decimal) -> Any:
    return float(value)
