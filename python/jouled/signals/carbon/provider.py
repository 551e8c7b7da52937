"""The provider that the settings name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from jouled.config.books import WITH_TOKEN, Carbon
from jouled.config.secrets import resolved
from jouled.errors import ConfigError
from jouled.http import Http
from jouled.signals.carbon import electricity_maps, energinet, energy_charts, file, uk, watttime
from jouled.signals.carbon.fetched import Provider, Source


def open_provider(settings: Carbon, http: Http, environ: Mapping[str, str] = os.environ) -> Provider:
    """Raises ConfigError for what cannot be: the daemon does not start with it."""
    name = settings.provider
    if name == "file":
        return file.FileSeries(Path(settings.file or ""), settings.kind)
    source = Source(None if settings.url is None else settings.url.rstrip("/"), _token(settings, environ))
    _check_zone(settings)
    if name == "electricity-maps":
        return electricity_maps.ElectricityMaps(http, source)
    if name == "watttime":
        return watttime.WattTime(http, source)
    if name == "uk-carbon-intensity":
        return uk.UkCarbonIntensity(http, source)
    if name == "energy-charts":
        return energy_charts.EnergyCharts(http, source)
    return energinet.Energinet(http, source)


def _check_zone(settings: Carbon) -> None:
    zone = settings.zone
    if zone is None:
        return
    if settings.provider == uk.NAME:
        uk.check_zone(zone)
    elif settings.provider == energy_charts.NAME:
        energy_charts.check_zone(zone)
    elif settings.provider == energinet.NAME:
        energinet.check_zone(zone)


def _token(settings: Carbon, environ: Mapping[str, str]) -> str | None:
    if settings.provider not in WITH_TOKEN or settings.token is None:
        return None
    token = resolved(settings.token, environ, what="token")
    if not token or not token.isprintable() or (settings.provider == watttime.NAME and ":" not in token):
        form = "USER:PASSWORD" if settings.provider == watttime.NAME else "one line"
        raise ConfigError(f"carbon.token {settings.token}: no token of {settings.provider}; put {form} there")
    return token
