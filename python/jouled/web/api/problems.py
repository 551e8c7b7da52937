"""Every error as `{error, message, detail}` with the status that tells what to do."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException

from jouled.errors import BooksError, ConflictError, NotFoundError, StoreError
from jouled.log import log
from jouled.wire.problems import Problem

CODES = {
    400: "invalid_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "unprocessable",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}


def answer(status: int, message: str, detail: Any = None, headers: dict[str, str] | None = None) -> Response[Problem]:
    return Response(
        Problem(CODES.get(status, "error"), message, detail),
        status_code=status,
        headers=headers,
        media_type=MediaType.JSON,
    )


def of_books(_: Request[Any, Any, Any], error: BooksError) -> Response[Problem]:
    if isinstance(error, NotFoundError):
        return answer(404, str(error))
    return answer(409 if isinstance(error, ConflictError) else 422, str(error))


def of_store(_: Request[Any, Any, Any], error: StoreError) -> Response[Problem]:
    return answer(503, str(error), headers={"retry-after": "5"})


def of_http(_: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    return answer(error.status_code, error.detail, error.extra, error.headers)


def of_defect(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Ours to mend: the log says what, the client only that."""
    log.error("a request failed", exc_info=error)
    return answer(500, "a defect of jouled; its log says more")
