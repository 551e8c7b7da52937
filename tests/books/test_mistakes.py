"""A mistake in a body is told with what would be right."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jouled.wire.devices import Kind, MeterDraft, PowerBatch
from jouled.wire.mistakes import explained


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (MeterDraft, {"type": "mian"}, "'mian' - at `$.type`; there is battery, generation, main, solar, ups"),
        (MeterDraft, {"type": "ups", "direction": "up"}, "'up' - at `$.direction`; there is consume, produce"),
        (MeterDraft, {"type": "main", "facility_id": "x"}, "field `facility_id`; there is type, name, id, device_id"),
        (PowerBatch, {"readings": [{"quality": "so so"}]}, "`$.readings[0].quality`; there is bad, estimated, good"),
        (PowerBatch, {"readings": [{"wat": 1}]}, "field `wat` - at `$.readings[0]`; there is voltage, current, watt"),
        (dict[str, MeterDraft], {"a": {"type": "x"}}, "; there is battery, generation, main, solar, ups"),
        (dict[Kind, float], {"mian": 1}, "`key` in `$`; there is battery, generation, main, solar, ups"),
        (MeterDraft, {}, "Object missing required field `type`"),
        (Any, b"{", "Input data was truncated"),
    ],
)
def test_names_and_values_that_there_are(kind: Any, body: Any, said: str) -> None:
    text = body if isinstance(body, bytes) else msgspec.json.encode(body)
    with pytest.raises(msgspec.MsgspecError) as raised:
        msgspec.json.decode(text, type=kind)
    assert said in explained(raised.value, kind)
