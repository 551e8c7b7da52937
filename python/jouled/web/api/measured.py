"""What the description says of the routes that are served without a store: what is measured now."""

from __future__ import annotations

from typing import Any

from jouled.web.api.examples import example
from jouled.web.query import INTERVAL_MAX_S, ROWS_MAX
from jouled.wire import LEVELS, SORTS, Counters, Level, Snapshot, Zone
from jouled.wire.stream import KEPT

KINDS = (Snapshot, Level, Zone, Counters)
TAG = "measured"

_LEVELS = {"type": "string", "description": f"Some of {', '.join(LEVELS)}, by comma."}
_SORT = {"type": "string", "enum": list(SORTS), "default": SORTS[0]}
_LIMIT = {"type": "integer", "minimum": 0, "maximum": ROWS_MAX, "default": ROWS_MAX}
_SELECTION = {"level": _LEVELS, "sort": _SORT, "limit": _LIMIT}
_STREAM = {
    **_SELECTION,
    "interval": {"type": "number", "minimum": 0, "maximum": INTERVAL_MAX_S, "default": 0, "description": "Seconds."},
    "topics": {"type": "string", "description": f"Some of snapshots, {', '.join(KEPT)}, caps, balance, by comma."},
    "site": {"type": "string", "maxLength": 128},
    "device": {"type": "string", "maxLength": 128},
    "after": {"type": "integer", "minimum": 0, "description": "The last id that was seen; also as Last-Event-ID."},
}


def paths(components: dict[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
    one_level = {**_SELECTION, "level": {"type": "string", "enum": list(LEVELS)}}
    zones = {"anyOf": [{"type": "array", "items": _ref("Zone")}, _ref("Counters")]}
    now = {"now": {"type": "string", "enum": ["0", "1"], "default": "0", "description": "1: the counters, read now."}}
    stream = _got("stream_live", "Each new snapshot, and what the books take in, as events", _STREAM, None, errors)
    stream["responses"]["200"]["content"] = {
        "text/event-stream": {"schema": {"type": "string"}, "example": "id: 7\nevent: snapshot\ndata: {}\n\n"}
    }
    stream["description"] = "The same by WebSocket."
    return {
        "/api/v1/snapshot": {
            "get": _got(
                "get_snapshot", "The host after the last interval", _SELECTION, (_ref("Snapshot"), components), errors
            )
        },
        "/api/v1/zones": {"get": _got("list_zones", "Its hardware zones", now, (zones, components), errors)},
        "/api/v1/workloads": {
            "get": _got(
                "list_workloads",
                "One level of its workloads",
                one_level,
                (_ref("Level"), components),
                errors,
                required=("level",),
            )
        },
        "/api/v1/stream": {"get": stream},
    }


def _got(
    name: str,
    summary: str,
    parameters: dict[str, Any],
    answer: tuple[Any, dict[str, Any]] | None,
    errors: dict[str, Any],
    *,
    required: tuple[str, ...] = (),
) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done."}
    if answer is not None:
        schema, components = answer
        success["content"] = {"application/json": {"schema": schema, "example": example(schema, components)}}
    return {
        "operationId": name,
        "summary": summary,
        "description": summary,
        "tags": [TAG],
        "security": [{"token": []}, {}],
        "parameters": [
            {"name": key, "in": "query", "required": key in required, "schema": schema}
            for key, schema in parameters.items()
        ],
        "responses": {"200": success, **errors},
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
