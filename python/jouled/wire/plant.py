"""What the plant said. Fields with `total_` and `available_power` are in kW, as PowerHive has them; the sources too,
which there are in MW. What ends in its unit is in that.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class PlantReading(Struct, frozen=True, kw_only=True):
    """One reading, believed or not, and what the supply was by then.

    `available_power` is what is generated less what others draw of it, never below zero, and null where nothing is known of
    that; `recorded_at` is when it came, `sourced_at` the time of its oldest source. `stage` and `supply_watts` are those of
    that moment in history, and of now in `latest`, as `age_seconds` is.
    """

    id: int
    plant_id: str
    total_generation: float | None
    total_container_consumption: float | None
    available_power: float | None
    generation_sources: dict[str, float]
    consumption_sources: dict[str, float]
    recorded_at: datetime
    sourced_at: datetime
    collected_at: datetime | None
    exported: float | None
    confidence: float | None
    accepted: bool
    judgement: str
    problem: str | None
    stage: str
    supply_watts: float | None
    # Null in history.
    age_seconds: float | None = None
