"""The plant's feed as the settings want it, opened, or refused before anything starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jouled.balance.site.supply import SupplyRules
from jouled.config import Config
from jouled.config.plant import Plant
from jouled.control.plant.feed import PlantFeed
from jouled.log import log
from jouled.signals.plant import registry

if TYPE_CHECKING:
    from jouled.store import Store

LOCAL = {"localhost", "127.0.0.1", "::1"}


def open_plant(
    config: Config, store: Store | None, clock: Callable[[], datetime], environ: Mapping[str, str] = os.environ
) -> PlantFeed | None:
    """None where no feed is set. Raises ConfigError for a key that cannot be read, or a library that is not there."""
    settings = config.plant
    if settings.kind == "none":
        return None
    source = registry.open_source(settings, environ)
    for notice in notices(settings):
        log.warning(f"plant: {notice}")
    return PlantFeed(source, rules_of(config), name=name_of(settings), clock=clock, store=store)


def rules_of(config: Config) -> SupplyRules:
    """What of a feed is believed, by the settings."""
    plant = config.plant
    return SupplyRules(
        poll_s=plant.poll_s,
        rated_w=plant.rated_w,
        ramp_per_min=plant.ramp,
        confidence_min=plant.confidence,
        hold_s=plant.hold_s,
        fail_s=plant.fail_s,
        step_down_per_min=plant.step_down,
        fallback_w=config.balance.fallback_w or 0.0,
        stale_after_s=plant.stale_s,
    )


def name_of(settings: Plant) -> str:
    return settings.id or settings.kind


def notices(settings: Plant) -> list[str]:
    """What may be meant so, and should be known."""
    found = []
    if settings.kind == "mock":
        found.append("its readings are made up; they are of no plant")
    elif settings.rated_w is None:
        found.append("plant.rated is not set: a feed in the wrong unit is noticed only by what it said before")
    parts = urlsplit(settings.url or "")
    is_bare = parts.scheme in {"http", "mqtt"} and parts.hostname not in LOCAL
    if is_bare and (settings.key or settings.password):
        found.append("its secret goes over the network in clear; use https or mqtts")
    return found


def check(config: Config, environ: Mapping[str, str] = os.environ) -> None:
    """Whether the daemon would start with it. Asks nobody. Raises ConfigError."""
    if config.plant.kind != "none":
        registry.open_source(config.plant, environ)
