"""An example of a schema: what its fields say themselves, else what their names suggest."""

from __future__ import annotations

from typing import Any

# By a field's name or its last words: values of one small hydro plant.
NAMED: dict[str, Any] = {
    "id": "hydro-plant",
    "facility_id": "hydro-plant",
    "site_id": "hydro-plant",
    "meter_id": "main-meter",
    "device_id": "rack-1",
    "zone_id": "hall-2",
    "circuit_id": "feeder-a",
    "parent_id": "feeder-a",
    "name": "Hydro plant",
    "timezone": "Europe/Berlin",
    "currency": "EUR",
    "unit": "kWh",
    "location": "Lechbruck",
    "count": 1,
    "next_cursor": None,
    "consumption": 12.5,
    "status": "normal",
    "message": "done",
    "reason": "the peak is near",
    "owner": "operator",
    "recurrence_rule": "FREQ=WEEKLY",
    "limit": 100,
}
# Bodies of one small world: in the order of their routes, each is taken as it stands here.
BODIES: dict[str, dict[str, Any]] = {
    "SiteDraft": {
        "name": "Hydro plant",
        "id": "hydro-plant",
        "location": "Lechbruck",
        "timezone": "Europe/Berlin",
        "currency": "EUR",
        "total_capacity": 400,
        "energy_sources": ["grid", "hydro"],
        "carbon_zone": "DE",
        "carbon_kind": "average",
        "price_per_kwh": 0.31,
    },
    "CircuitDraft": {"facility_id": "hydro-plant", "name": "Feeder A", "id": "feeder-a", "limit": 250},
    "SiteZoneDraft": {
        "facility_id": "hydro-plant",
        "name": "Hall 2",
        "capacity": 120,
        "id": "hall-2",
        "circuit_id": "feeder-a",
        "zone_type": "data_center",
        "priority": 5,
        "can_shed_load": True,
        "min_load": 20,
        "max_load": 110,
    },
    "MinerPatch": {"managed": True, "priority": 5, "max_preset": "3200"},
    "ModelPatch": {"max_preset": "3200", "min_preset": "1100"},
    "ScheduledEventDraft": {
        "event_type": "peak_shaving",
        "start_time": "2026-03-02T17:00:00Z",
        "end_time": "2026-03-02T19:00:00Z",
        "estimated_impact": -15,
        "recurrence_rule": "FREQ=WEEKLY",
    },
    "NewDevice": {"id": "rack-1", "name": "Rack 1", "site_id": "hydro-plant", "low_threshold": 20, "target_wh": 1500},
    "DeviceDraft": {"name": "Rack 1", "low_threshold": 25},
    "MeterDraft": {
        "type": "main",
        "name": "Main meter",
        "id": "main-meter",
        "device_id": "rack-1",
        "site_id": "hydro-plant",
        "circuit_id": "feeder-a",
        "zone_id": "hall-2",
        "energy_source": "grid",
    },
    "MeterChange": {"name": "Main meter of hall 2"},
    "PowerDraft": {"voltage": 230.1, "current": 4.2, "timestamp": "2026-03-01T12:00:00Z", "key": "plc-7-000381"},
    "ReadingDraft": {
        "meter_id": "main-meter",
        "facility_id": "hydro-plant",
        "consumption": 1.25,
        "timestamp": "2026-03-01T12:00:00Z",
        "energy_source": "grid",
        "voltage": 230.1,
        "current": 4.2,
        "power_factor": 0.97,
        "frequency": 50.01,
        "quality": "good",
        "metadata": {"shift": "early"},
        "key": "batch-7-row-12",
    },
    "ProcessDraft": {
        "meter_id": "main-meter",
        "facility_id": "hydro-plant",
        "consumption": 0.8,
        "timestamp": "2026-03-01T12:05:00Z",
        "energy_source": "grid",
        "key": "batch-7-row-13",
    },
    "LoadMetricDraft": {
        "facility_id": "hydro-plant",
        "zone_id": "hall-2",
        "timestamp": "2026-03-01T12:00:00Z",
        "window_duration": 60,
        "avg_consumption": 84,
        "peak_consumption": 96,
        "min_consumption": 71,
        "power_factor": 0.93,
        "harmonic_distortion": 3.5,
        "sample_count": 60,
        "key": "hall-2-000381",
    },
    "CapDraft": {"watts": 150, "ttl_seconds": 600, "reason": "the feeder is warm"},
    "DecisionDraft": {
        "facility_id": "hydro-plant",
        "decision_type": "scale_down",
        "reason": "the peak is near",
        "source_zone_id": "hall-2",
        "load_shift_amount": 12.5,
        "priority": 2,
        "key": "peak-2026-03-01",
    },
}
INSTANT = "2026-03-01T12:00:00Z"
LATER = "2026-03-02T12:00:00Z"
ENDS = ("to", "until", "end", "_to", "_end", "end_time", "expires_at")
INSTANTS = ("_at", "start", "from", "timestamp", "_time", "_from", "_to", "since", "until", "_start", "_end")
DEPTH_MAX = 14


def example(schema: Any, components: dict[str, Any], name: str = "", depth: int = 0) -> Any:  # noqa: PLR0911  (a case each)
    """Valid by the schema where the schema says how: patterns are met by an example of their own or by a name."""
    if not isinstance(schema, dict) or depth > DEPTH_MAX:
        return None
    if "$ref" in schema:
        body = schema["$ref"].rpartition("/")[2]
        return BODIES.get(body) or example(components.get(body), components, name, depth + 1)
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["default"] if schema.get("default") in schema["enum"] else schema["enum"][0]
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return None if name in NAMED and NAMED[name] is None else example(schema[word][0], components, name, depth)
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, components, depth)
    if kind == "array":
        several = [example(schema.get("items", {}), components, name.removesuffix("s"), depth + 1)]
        return [] if several == [None] or schema.get("maxItems") == 0 else several
    return _scalar(kind, schema, name)


def _object(schema: dict[str, Any], components: dict[str, Any], depth: int) -> dict[str, Any]:
    named = {name: example(part, components, name, depth + 1) for name, part in schema.get("properties", {}).items()}
    more = schema.get("additionalProperties")
    if isinstance(more, dict) and more and not named:
        return {"grid": example(more, components, "", depth + 1)}
    return named


def _scalar(kind: str | list[str] | None, schema: dict[str, Any], name: str) -> Any:
    if kind == "boolean":
        return schema.get("default", True)
    if kind in {"integer", "number"}:
        return _number(kind == "integer", schema, name)
    if kind == "null":
        return None
    if kind == "string" or kind is None:
        return _text(schema, name) if kind else {}
    return None


def _text(schema: dict[str, Any], name: str) -> str:
    if schema.get("format") == "date-time" or name.endswith(INSTANTS):
        return LATER if name.endswith(ENDS) and name != "created_at" else INSTANT
    if isinstance(schema.get("default"), str):
        return str(schema["default"])
    known = NAMED.get(name)
    text = known if isinstance(known, str) else name or "text"
    return text[: int(schema.get("maxLength", 256))]


def _number(is_whole: bool, schema: dict[str, Any], name: str) -> Any:
    known = NAMED.get(name, schema.get("default"))
    value = known if isinstance(known, int | float) else 10
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    if least is not None and value <= least:
        value = least + 1 if most is None or least + 1 <= most else least
    if most is not None and value >= most:
        value = most if "maximum" in schema else (most + (least or 0)) / 2
    return int(value) if is_whole else value
