"""The source that the settings name, opened. Each is imported only where it is wanted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jouled.config import secrets
from jouled.config.plant import Plant
from jouled.errors import ConfigError
from jouled.signals.plant.protocol import PlantSource, Secrets

if TYPE_CHECKING:
    import httpx2


def secrets_of(settings: Plant, environ: Mapping[str, str] = os.environ) -> Secrets:
    """Raises ConfigError for what cannot be read."""

    def resolved(name: str, text: str | None) -> str | None:
        if text is None:
            return None
        try:
            found = secrets.resolved(text, environ, what=name)
        except ConfigError as error:
            raise ConfigError(f"plant.{name}: {error}") from error
        if not found:
            raise ConfigError(f"plant.{name}: {text} is empty; put the {name} there")
        if not found.isprintable():
            raise ConfigError(f"plant.{name}: what {text} holds is no {name}: one line of ASCII; write it anew")
        return found

    return Secrets(resolved("key", settings.key), resolved("password", settings.password))


def open_source(
    settings: Plant, environ: Mapping[str, str] = os.environ, transport: httpx2.AsyncBaseTransport | None = None
) -> PlantSource:
    """Asks nobody yet. Raises ConfigError. The settings have been checked: what a kind needs is there."""
    unit, url = settings.unit or "W", settings.url or ""
    kept = secrets_of(settings, environ)
    if settings.kind == "aggregator":
        from jouled.signals.plant.aggregator import Aggregator

        return Aggregator(url, settings.id or "", unit, kept, transport=transport)
    if settings.kind == "http":
        from jouled.signals.plant.http_json import HttpJson

        return HttpJson(url, settings.pointers, unit, kept, user=settings.user, transport=transport)
    if settings.kind == "mqtt":
        from jouled.signals.plant.mqtt import Mqtt

        return Mqtt(url, settings.topic or "", settings.pointers, unit, kept, user=settings.user, ca=settings.ca)
    if settings.kind == "file":
        from jouled.signals.plant.file import FileReading

        return FileReading(Path(settings.file or ""), settings.pointers, unit)
    if settings.kind == "mock":
        from jouled.signals.plant.mock import Mock

        return Mock(settings.rated_w, settings.seed)
    raise ConfigError("plant.kind: none has no feed; set it to the kind of the plant's")
