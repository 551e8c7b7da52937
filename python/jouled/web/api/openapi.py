"""The description of the API, OpenAPI 3.1, made of the routes themselves and of the bodies' structs.

Litestar would make one as well; its schemas of msgspec's structs lose bounds and what may be null.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from types import UnionType
from typing import Any, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar._kwargs import KwargsModel
from litestar.enums import ParamType
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute
from litestar.types import Empty

import jouled
from jouled.books.scopes import SCOPES
from jouled.web.api import measured
from jouled.web.api.examples import example
from jouled.web.api.scopes import READING, wanted
from jouled.wire.problems import CODES, Problem

REF = "#/components/schemas/{name}"
BOUNDS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
WORDS = {
    400: "It is malformed, of the wrong type, or names an unknown parameter or field.",
    401: "There is no token, or one that is not valid (any more).",
    403: "The token has not the scope, or a page of another site asks.",
    404: "There is no such thing.",
    409: "It is at odds with what is there, or its state does not allow this.",
    413: "The body is larger than the listener takes.",
    415: "The body is not application/json.",
    422: "It is well-formed, but it cannot be.",
    429: "Too often; Retry-After says when to come again.",
    431: "The head is larger than the listener takes.",
    503: "The store is away; Retry-After says when to come again.",
}
READ_ERRORS = (400, 401, 403, 404, 422, 429, 431, 503)
WRITE_ERRORS = (400, 401, 403, 404, 409, 411, 413, 415, 422, 429, 431, 503)
TOKEN = "token"  # noqa: S105  (the name of a scheme)
ABOUT = """The books of a host or site: readings, carbon, budgets, loads and decisions, and what is measured now.

Instants are RFC 3339 with a zone. Reading is open on loopback and on the Unix socket. A write needs the Unix
socket, or a bearer token with the route's scope; `joulectl token create` makes one:

{scopes}
"""


def document(app: Litestar) -> dict[str, Any]:
    """All routes of the application, and the measured ones, which are served beside it."""
    operations = [_Operation(route, handler, model) for route, handler, model in _handlers(app)]
    kinds = [kind for operation in operations for kind in operation.kinds]
    _, components = msgspec.json.schema_components([*kinds, *measured.KINDS, Problem], ref_template=REF)
    components = {name: _mended(schema) for name, schema in components.items()}
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = operation.described(components)
    paths.update(measured.paths(components, {str(status): _reference(status) for status in (400, 401, 503)}))
    tags = sorted({tag for item in paths.values() for operation in item.values() for tag in operation["tags"]})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jouled",
            "version": jouled.__version__,
            "description": ABOUT.format(scopes="\n".join(f"- `{name}`: {what}" for name, what in SCOPES.items())),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in tags],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": components,
            "responses": {f"Problem{status}": _problem(status) for status in {*READ_ERRORS, *WRITE_ERRORS}},
            "securitySchemes": {TOKEN: {"type": "http", "scheme": "bearer", "description": "A token of the store."}},
        },
    }


def _handlers(app: Litestar) -> Iterator[tuple[HTTPRoute, HTTPRouteHandler, KwargsModel]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, model) in route.route_handler_map.items():
                if method != "OPTIONS" and handler.resolve_include_in_schema():
                    yield route, handler, model


class _Operation:
    """One method of one path."""

    def __init__(self, route: HTTPRoute, handler: HTTPRouteHandler, model: KwargsModel) -> None:
        self.path = route.path_format
        self.method = next(iter(handler.http_methods))
        self._handler = handler
        self._model = model
        body = handler.parsed_data_field
        self._body = None if body is None else body.raw
        returned = handler.parsed_fn_signature.return_type.raw
        is_opaque = returned is None or (
            inspect.isclass(get_origin(returned) or returned) and issubclass(get_origin(returned) or returned, Response)
        )
        self._returned = None if is_opaque else returned
        self.kinds = [kind for whole in (self._body, self._returned) if whole is not None for kind in _kinds(whole)]

    def described(self, components: dict[str, Any]) -> dict[str, Any]:
        scope = wanted(self._handler, self.method)
        summary, _, rest = inspect.cleandoc(self._handler.fn.__doc__ or self._handler.handler_name).partition("\n\n")
        needs = "" if self.method in READING else f"Needs the scope `{scope}`."
        operation: dict[str, Any] = {
            "operationId": self._handler.handler_name,
            "summary": " ".join(summary.split()).removesuffix("."),
            "description": "\n\n".join(filter(None, (rest, needs))) or summary,
            "tags": sorted(
                self._handler.resolve_tags() if hasattr(self._handler, "resolve_tags") else self._handler.tags or ()
            ),
            "security": [{TOKEN: []}, {}] if self.method in READING else [{TOKEN: [scope]}],
            "responses": {str(self._handler.status_code): self._success(components), **self._errors()},
        }
        if parameters := [*self._parameters()]:
            operation["parameters"] = parameters
        if self._body is not None:
            operation["requestBody"] = {
                "required": True,
                "content": {"application/json": _content(self._body, components)},
            }
        return operation

    def _success(self, components: dict[str, Any]) -> dict[str, Any]:
        if self._returned is None:
            media = str(self._handler.media_type or "application/json")
            return {"description": "Done.", **({} if self._handler.status_code == 204 else {"content": {media: {}}})}
        return {"description": "Done.", "content": {"application/json": _content(self._returned, components)}}

    def _errors(self) -> dict[str, Any]:
        errors = READ_ERRORS if self.method in READING else WRITE_ERRORS
        return {str(status): _reference(status) for status in errors}

    def _parameters(self) -> Iterator[dict[str, Any]]:
        fields = self._handler.parsed_fn_signature.parameters
        asked = [
            *self._model.expected_path_params,
            *self._model.expected_query_params,
            *self._model.expected_header_params,
        ]
        places = {ParamType.PATH: "path", ParamType.QUERY: "query", ParamType.HEADER: "header"}
        for known in sorted(asked, key=lambda known: (known.param_type != ParamType.PATH, known.field_name)):
            field = fields.get(known.field_name)
            if field is None or known.param_type not in places:
                continue
            schema = _mended(_bare(field.raw if get_origin(field.raw) else field.annotation))
            marker = field.kwarg_definition
            described: dict[str, Any] = {"name": known.field_alias, "in": places[known.param_type]}
            if isinstance(marker, ParameterKwarg):
                bounds = {word: getattr(marker, name, None) for name, word in BOUNDS.items()}
                schema |= {word: bound for word, bound in bounds.items() if bound is not None}
                if marker.description:
                    described["description"] = marker.description
            if field.default not in {Empty, None, ...} and isinstance(field.default, str | int | float):
                schema["default"] = field.default
            is_required = known.param_type == ParamType.PATH or known.is_required
            yield {
                **described,
                "required": is_required,
                "schema": schema,
                **({} if known.field_alias == "cursor" else {"example": example(schema, {}, known.field_alias)}),
            }


def _bare(kind: Any) -> dict[str, Any]:
    """Of a parameter: it is left out, or is a value; null it cannot be."""
    if hasattr(kind, "__metadata__"):
        inner = [part for part in kind.__metadata__ if isinstance(part, msgspec.Meta)]
        schema = _bare(kind.__origin__)
        return (
            schema
            if not inner
            else schema
            | {
                word: value
                for word, value in msgspec.json.schema(_rebuilt(kind.__origin__, inner)).items()
                if word != "anyOf"
            }
        )
    parts = [part for part in get_args(kind) if part is not type(None)]
    if type(None) in get_args(kind) and len(parts) == 1:
        return _bare(parts[0])
    return {"type": "string", "format": "date-time"} if kind is datetime else msgspec.json.schema(kind)


def _rebuilt(kind: Any, inner: list[msgspec.Meta]) -> Any:
    from typing import Annotated

    parts = [part for part in get_args(kind) if part is not type(None)]
    return Annotated[parts[0] if type(None) in get_args(kind) and len(parts) == 1 else kind, *inner]


def _kinds(kind: Any) -> tuple[Any, ...]:
    """Of an answer that is one struct or another, which msgspec itself has no schema for, each of them."""
    parts = get_args(kind) if isinstance(kind, UnionType) else ()
    are_structs = all(inspect.isclass(part) and issubclass(part, msgspec.Struct) for part in parts)
    return parts if parts and are_structs else (kind,)


def _content(kind: Any, components: dict[str, Any]) -> dict[str, Any]:
    schemas, _ = msgspec.json.schema_components(_kinds(kind), ref_template=REF)
    mended = [_mended(schema) for schema in schemas]
    schema = mended[0] if len(mended) == 1 else {"anyOf": mended}
    return {"schema": schema, "example": example(schema, components)}


def _mended(schema: Any) -> Any:
    """As our encoder writes it: an amount is a number. Texts of docstrings lose their indentation."""
    if isinstance(schema, list):
        return [_mended(part) for part in schema]
    if not isinstance(schema, dict):
        return float(schema) if isinstance(schema, Decimal) else schema
    mended = {name: _mended(part) for name, part in schema.items()}
    if mended.get("format") == "decimal":
        mended = {**{name: part for name, part in mended.items() if name != "format"}, "type": "number"}
    if isinstance(mended.get("description"), str):
        mended["description"] = inspect.cleandoc(mended["description"])
    # Python's `$` without what msgspec needs to mean the end: JSON Schema's regular expressions mean it anyway.
    if isinstance(mended.get("pattern"), str):
        mended["pattern"] = re.sub(r"\(\?!\\n\)", "", mended["pattern"])
    return mended


def _reference(status: int) -> dict[str, str]:
    return {"$ref": f"#/components/responses/Problem{status}"}


def _problem(status: int) -> dict[str, Any]:
    said = {"error": CODES[status], "message": WORDS.get(status, "It is refused.")}
    content = {"application/json": {"schema": {"$ref": REF.format(name="Problem")}, "example": said}}
    headers = {"retry-after": {"schema": {"type": "string"}, "description": "Seconds."}} if status in {429, 503} else {}
    return {"description": said["message"], "content": content, **({"headers": headers} if headers else {})}
