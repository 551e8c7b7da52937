"""Which providers there are: jouled's own, and those that other packages bring; none is imported before it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple, cast

from jouled.books.prices import day_bounds
from jouled.config.market import Market
from jouled.config.secrets import resolved
from jouled.errors import ConfigError, JouledError, one_line
from jouled.http import Http
from jouled.signals.market.provider import GROUP, Parameter, Provider, Request

OWN = "jouled"

BUILT_IN: Mapping[str, str] = {
    "energy-charts": "jouled.signals.market.energy_charts:EnergyCharts",
    "awattar": "jouled.signals.market.awattar:Awattar",
    "nordpool": "jouled.signals.market.nordpool:NordPool",
    "smard": "jouled.signals.market.smard:Smard",
    "octopus": "jouled.signals.market.octopus:Octopus",
    "entsoe": "jouled.signals.market.entsoe:Entsoe",
    "epex-html": "jouled.signals.market.epex_html:EpexHtml",
    "csv": "jouled.signals.market.csv_file:CsvFiles",
    "mock": "jouled.signals.market.mock:Mock",
    "static": "jouled.signals.market.static:Static",
}


class Listed(NamedTuple):
    """A provider that can be used, and whose it is: jouled, or another package's name."""

    name: str
    kind: type[Provider]
    origin: str


class Listing(NamedTuple):
    """All that can be used; and of those that cannot why, one line each."""

    providers: tuple[Listed, ...]
    problems: tuple[str, ...]


def names(others: Iterable[EntryPoint] | None = None) -> tuple[str, ...]:
    """Those that market.providers may name: jouled's own first. Imports none of them."""
    return (*BUILT_IN, *(name for name in sorted(_others(others)) if name not in BUILT_IN))


def find(name: str, others: Iterable[EntryPoint] | None = None) -> type[Provider]:
    """The class of that name. Raises ConfigError: unknown, with those that are known; or broken."""
    if name in BUILT_IN:
        module, _, kind = BUILT_IN[name].partition(":")
        return cast("type[Provider]", getattr(import_module(module), kind))
    offered = _others(others)
    if name not in offered:
        known = ", ".join(names(others))
        raise ConfigError(f"market.providers: there is no provider {name!r}; known are {known}")
    return _loaded(offered[name][0])


def listing(others: Iterable[EntryPoint] | None = None) -> Listing:
    """All of them, imported. A broken one of others is a problem and not an error."""
    offered = _others(others)
    found = [Listed(name, find(name, ()), OWN) for name in BUILT_IN]
    said = list(problems(others))
    for name in sorted(offered):
        if name not in BUILT_IN:
            try:
                found.append(Listed(name, _loaded(offered[name][0]), _package(offered[name][0])))
            except ConfigError as error:
                said.append(str(error))
    return Listing(tuple(found), tuple(said))


def problems(others: Iterable[EntryPoint] | None = None) -> tuple[str, ...]:
    """Names that are offered more than once: jouled's own wins, then the first package by name."""
    said = []
    for name, points in sorted(_others(others).items()):
        wins = OWN if name in BUILT_IN else _package(points[0])
        losers = points if name in BUILT_IN else points[1:]
        said += [
            f"market provider {one_line(name)} of {_package(point)} is not used: {wins} has one of that name;"
            f" rename it in {GROUP}"
            for point in losers
        ]
    return tuple(said)


def request_of(
    settings: Market, name: str, environ: Mapping[str, str] = os.environ, others: Iterable[EntryPoint] | None = None
) -> Request:
    """What a provider is opened with by the settings: its parameters checked, secrets read.

    market.url is the first provider's. Raises ConfigError.
    """
    check_names(settings, others)
    parameters = checked(name, find(name, others).parameters, split(settings.parameters, name), environ)
    url = settings.url if settings.providers[:1] == (name,) else None
    return Request(settings.zone, parameters, None if url is None else url.rstrip("/"), settings.timezone)


def open_provider(name: str, request: Request, http: Http, others: Iterable[EntryPoint] | None = None) -> Provider:
    """Raises ConfigError for a name, a zone or a parameter that cannot be, naming what can."""
    kind = find(name, others)
    if kind.zones and request.zone not in kind.zones:
        raise ConfigError(f"market.zone {request.zone!r} is none of {name}; write one of {', '.join(kind.zones)}")
    _refuse_unknown(name, kind.parameters, request.parameters)
    missing = [about for about in kind.parameters if about.default is None and about.name not in request.parameters]
    if missing:
        raise ConfigError(_missing(name, missing[0]))
    try:
        provider = kind.open(request, http)
        # What is of the opened one only: the site's zone of time, a licence of this bidding zone.
        day_bounds(date(2000, 1, 1), provider.timezone)
        _ = provider.notice
    except JouledError:
        raise
    except Exception as error:  # another package's code may raise anything
        if name in BUILT_IN:
            raise
        raise ConfigError(f"market provider {name}: {_words(error)}; ask who wrote it, or leave it out") from error
    return provider


def check_names(settings: Market, others: Iterable[EntryPoint] | None = None) -> None:
    """That each provider, and the provider of each parameter, is known. Raises ConfigError; imports nothing."""
    known = names(others)
    for name in settings.providers:
        if name not in known:
            raise ConfigError(f"market.providers: there is no provider {name!r}; known are {', '.join(known)}")
    for key in settings.parameters:
        name, dot, rest = key.partition(".")
        if not dot or not rest or name not in known:
            raise ConfigError(
                f"market.parameters {key!r}: write PROVIDER.NAME, with PROVIDER one of {', '.join(known)}"
            )


def split(parameters: Mapping[str, str], name: str) -> dict[str, str]:
    """Those of one provider, by their own names."""
    return {key.partition(".")[2]: value for key, value in parameters.items() if key.partition(".")[0] == name}


def checked(
    name: str, known: Sequence[Parameter], given: Mapping[str, str], environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """With defaults filled in and secrets read. Raises ConfigError for what is unknown, missing or not allowed."""
    _refuse_unknown(name, known, given)
    values: dict[str, str] = {}
    for about in known:
        value = given.get(about.name, about.default)
        if value is None:
            raise ConfigError(_missing(name, about))
        if about.allowed and value not in about.allowed:
            raise ConfigError(f"market.parameters {name}.{about.name}: {value!r} cannot be; write {_or(about.allowed)}")
        values[about.name] = _secret(name, about, value, environ) if about.is_secret and value else value
    return values


def _secret(name: str, about: Parameter, value: str, environ: Mapping[str, str]) -> str:
    secret = resolved(value, environ, what=about.name)
    if not secret or not secret.isprintable():
        raise ConfigError(f"market.parameters {name}.{about.name} {value}: it is empty; put one line there")
    return secret


def _refuse_unknown(name: str, known: Sequence[Parameter], given: Mapping[str, str]) -> None:
    for key in given:
        if key not in {about.name for about in known}:
            allowed = ", ".join(about.name for about in known) or "none"
            raise ConfigError(
                f"market.parameters {name}.{one_line(key)}: {name} has no such parameter; it knows {allowed}"
            )


def _missing(name: str, about: Parameter) -> str:
    form = f"{about.name.upper()} as credential:NAME or file:/PATH" if about.is_secret else about.name.upper()
    return f'market.parameters: {name} needs "{name}.{about.name}" = {form}: {about.description}'


def _or(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _others(points: Iterable[EntryPoint] | None) -> dict[str, list[EntryPoint]]:
    """By name; those of one name in the order of their packages, so that the same one wins on every start."""
    offered: dict[str, list[EntryPoint]] = {}
    for point in sorted(entry_points(group=GROUP) if points is None else points, key=_package):
        if point not in offered.setdefault(point.name, []):  # an installation may be found on two paths
            offered[point.name].append(point)
    return offered


def _package(point: EntryPoint) -> str:
    return point.value.partition(".")[0].partition(":")[0] if point.dist is None else point.dist.name


def _loaded(point: EntryPoint) -> type[Provider]:
    try:
        kind = point.load()
    except Exception as error:  # another package's code may raise anything
        raise ConfigError(_broken(point, _words(error))) from error
    wrong = misshapen(kind)
    if wrong is None and kind.name != point.name:
        wrong = f"its name is {kind.name!r}"
    if wrong is not None:
        raise ConfigError(_broken(point, wrong))
    return cast("type[Provider]", kind)


def _broken(point: EntryPoint, why: str) -> str:
    return f"market provider {one_line(point.name)} of {_package(point)} cannot be used: {why}; mend {point.value}"


def _words(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")[:300]


def misshapen(kind: Any) -> str | None:
    """What of a provider's class is not as it should be; None where all is."""
    if not isinstance(kind, type):
        return "it is no class"
    for attribute, shape in (("name", str), ("description", str), ("parameters", tuple), ("zones", tuple)):
        if not isinstance(getattr(kind, attribute, None), shape):
            return f"its {attribute} is no {shape.__name__}"
    if not all(isinstance(about, Parameter) for about in kind.parameters):  # type: ignore[attr-defined]  # checked above
        return "its parameters are not of jouled.signals.market.provider.Parameter"
    if not isinstance(getattr(kind, "published", None), time):
        return "its published is no time"
    if not callable(getattr(kind, "open", None)) or not callable(getattr(kind, "fetch", None)):
        return "it has no open or no fetch"
    return None
