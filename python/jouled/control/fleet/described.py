"""What a load is, as the store keeps it: what an earlier daemon knew counts until the load answers."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from jouled.balance.site.words import Timing
from jouled.loads.actuator import Description, Preset


class _Preset(Struct):
    name: str
    power_w: float
    work: float
    is_tuned: bool = True
    pretty: str = ""


class _Timing(Struct):
    dead_s: float
    settle_s: float
    pause_s: float | None = None
    restart_s: float = 0.0


class _Described(Struct):
    name: str
    timing: _Timing
    model: str | None = None
    firmware: str | None = None
    presets: tuple[_Preset, ...] = ()
    can_be_off: bool = False
    rated_w: float | None = None


def kept(description: Description) -> dict[str, Any]:
    """As JSON, by names: a later version may know more of them."""
    wanted = {field.name for field in msgspec.structs.fields(_Described)}
    found = {name: value for name, value in description._asdict().items() if name in wanted}
    found["timing"] = description.timing._asdict()
    found["presets"] = [preset._asdict() for preset in description.presets]
    return found


def read(document: dict[str, Any] | None, load_id: str, kind: str, address: str | None) -> Description | None:
    """None for what another version has written otherwise: the load says it anew."""
    if document is None:
        return None
    try:
        said = msgspec.convert(document, _Described)
    except msgspec.ValidationError:
        return None
    return Description(
        load_id,
        kind,
        said.name,
        Timing(said.timing.dead_s, said.timing.settle_s, said.timing.pause_s, said.timing.restart_s),
        model=said.model,
        firmware=said.firmware,
        address=address,
        presets=tuple(Preset(one.name, one.power_w, one.work, one.is_tuned, one.pretty) for one in said.presets),
        can_be_off=said.can_be_off,
        rated_w=said.rated_w,
    )
