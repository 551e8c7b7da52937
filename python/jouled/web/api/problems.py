"""Every error as `{error, message, detail}` with the status that tells what to do."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException, ValidationException
from sqlalchemy.exc import IntegrityError

from jouled.errors import BooksError, ConflictError, JouledError, NotFoundError
from jouled.log import Once, log
from jouled.wire.mistakes import explained
from jouled.wire.problems import CODES, Problem

# Each in words of its own, and not as often as clients ask.
_REFUSED = Once()


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


def of_store(_: Request[Any, Any, Any], error: JouledError) -> Response[Problem]:
    return answer(503, str(error), headers={"retry-after": "5"})


def of_integrity(_: Request[Any, Any, Any], error: IntegrityError) -> Response[Problem]:
    """Two asked for the same at once, or one for what refers to nothing: the tables refuse it."""
    _REFUSED.warning(f"the store's tables refused a write: {error.orig}")
    return answer(409, "this is at odds with what is in the books already, or refers to what is not")


def of_range(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    # A client can cause it, so it is said once: our own bounds should have refused it, with its place and its fix.
    _REFUSED.warning(f"the store's tables refused a value: {error}")
    return answer(422, "a number or a text is outside of what the books can hold")


def of_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    if error.status_code >= 500:
        return of_defect(request, error)
    return answer(error.status_code, _sentence(request, error), error.extra or None, error.headers)


def of_defect(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Ours to mend: the log says what, the client only that."""
    log.error("a request failed", exc_info=error)
    return answer(500, "a defect of jouled; its log says more")


def _sentence(request: Request[Any, Any, Any], error: HTTPException) -> str:
    """Litestar's own words leave out what the client needs."""
    if error.status_code == 404:
        return f"there is no {request.scope['path'][:256]}; /api/v1/openapi.json says what there is"
    if error.status_code == 405:
        return f"{request.scope['method'][:16]} is not what this can do; it can {(error.headers or {}).get('allow')}"
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        said = [f"{entry.get('key', 'body')}: {_entry(request, entry)}" for entry in error.extra]
        return "; ".join(said).replace("data: 'data'", "there is no body")
    return error.detail


def _entry(request: Request[Any, Any, Any], entry: dict[str, Any]) -> str:
    """What is wrong with one parameter, with the values that it may have."""
    fields = request.route_handler.parsed_fn_signature.parameters
    by_name = {getattr(field.kwarg_definition, "query", None) or name: field for name, field in fields.items()}
    field = by_name.get(entry.get("key", ""))
    message = str(entry["message"])
    return message if field is None else explained(msgspec.ValidationError(message), field.raw)
