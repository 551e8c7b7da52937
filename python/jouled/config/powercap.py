"""The variables of powercap, a program of the market's volumes: with compat = ["powercap"] they are settings.

They stand between the file and JOULED_*. Each does what powercap's own manual says it does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from jouled.config.market import zone_problem
from jouled.config.units import shown
from jouled.errors import ConfigError

WORD = "powercap"
UW_OF_W = 1_000_000
POWER_MAX_UW = 1_000_000 * UW_OF_W
WHOLE = re.compile(r"\d{1,18}", re.ASCII)
CRON_FIELDS = 5
PARAMETERS_MAX = 100
# Its names of the providers, and ours.
PROVIDERS = {"epex": "epex-html", "mock": "mock", "static": "static"}
# What powercap does, and what jouled does with these variables unless the file says otherwise.
STRATEGY = "volume-proportional"
DEAD = "ALPHA"
# Others use these names too: they alone do not tell that somebody has powercap in mind.
COMMON = {"NODE_NAME", "TIMEZONE", DEAD}


class Setting(NamedTuple):
    """A value for a key, and the variable that it came from."""

    path: tuple[str, ...]
    value: Any
    variable: str


def settings(environ: Mapping[str, str], providers: object) -> list[Setting]:
    """What the variables set. `providers` is market.providers as it is without them.

    Raises ConfigError, which names the variable and what is allowed.
    """
    made = []
    for variable, (path, read) in VARIABLES.items():
        text = environ.get(variable, "").strip()
        if text:
            try:
                value = read(text)
            except ValueError as error:
                raise ConfigError(f"{variable}: {error}") from None
            made += [Setting(key, value, variable) for key in path]
    return made + _parameters(environ, providers)


def notices(environ: Mapping[str, str], compat: tuple[str, ...], *, is_capping: bool) -> Iterator[str]:
    """What whoever comes from powercap should know, a line each."""
    there = [name for name in (*VARIABLES, "PROVIDER_PARAMS", DEAD) if environ.get(name, "").strip()]
    if not set(there) - COMMON:
        return
    if WORD not in compat:
        keys = ", ".join(f"{name} as {KEYS[name]}" for name in there if name in KEYS)
        yield f'variables of powercap are set and not used; with compat = ["powercap"] jouled takes {keys}'
        return
    if DEAD in there:
        yield f"{DEAD}: it never did anything in powercap either; remove it"
    if not is_capping:
        yield "no power limit is written unless caps.enabled = true; `joulectl market plan` shows what would hold"


def _microwatts(text: str) -> float:
    if not WHOLE.fullmatch(text) or not UW_OF_W <= int(text) <= POWER_MAX_UW:
        raise ValueError(f"{shown(text)} is no power; allowed: whole microwatts from {UW_OF_W} to {POWER_MAX_UW}")
    return int(text) / UW_OF_W


def _seconds(text: str) -> float:
    if not WHOLE.fullmatch(text) or not 1 <= int(text) <= 86_400:
        raise ValueError(f"{shown(text)} is no time; allowed: whole seconds from 1 to 86400")
    return float(text)


def _timezone(text: str) -> str:
    problem = zone_problem(text)
    if problem is not None:
        raise ValueError(problem)
    return text


def _mode(text: str) -> str:
    if text.lower() not in {"max", "average"}:
        raise ValueError(f"{shown(text)} is not known; allowed: max, average")
    return text.lower()


def _provider(text: str) -> list[str]:
    if text.lower() not in PROVIDERS:
        raise ValueError(f"{shown(text)} is not known; allowed: {', '.join(PROVIDERS)}")
    return [PROVIDERS[text.lower()]]


def _cron(text: str) -> str:
    if len(text.split()) != CRON_FIELDS:
        raise ValueError(f'{shown(text)} is no time of cron; allowed: five fields, as "0 0 * * *"')
    return text


def _parameters(environ: Mapping[str, str], providers: object) -> list[Setting]:
    """PROVIDER_PARAMS belong to the provider, which DATA_PROVIDER names, or the settings do."""
    text = environ.get("PROVIDER_PARAMS", "").strip()
    if not text:
        return []
    named = environ.get("DATA_PROVIDER", "").strip().lower()
    first = PROVIDERS.get(named) or (providers[0] if isinstance(providers, list | tuple) and providers else None)
    if first is None:
        raise ConfigError(f"PROVIDER_PARAMS: whose they are is not known; set DATA_PROVIDER to {', '.join(PROVIDERS)}")
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        table = None
    if (
        not isinstance(table, dict)
        or len(table) > PARAMETERS_MAX
        or not all(isinstance(value, str) for value in table.values())
    ):
        raise ConfigError(
            'PROVIDER_PARAMS: this is no table of text; allowed: JSON as {"market_area": "FR", "auction": "IDA1"}'
        )
    values = {f"{first}.{name}": value for name, value in table.items()}
    return [Setting(("market", "parameters"), values, "PROVIDER_PARAMS")]


VARIABLES: Mapping[str, tuple[tuple[tuple[str, ...], ...], Callable[[str], Any]]] = {
    "NODE_NAME": ((("node", "name"),), str),
    "MAX_SOURCE": ((("plan", "reference_power"),), _microwatts),
    "STABILISATION_TIME": ((("plan", "stabilisation"),), _seconds),
    # The lowest cap, whoever asks, and so the lowest budget.
    "RAPL_MIN_POWER": ((("caps", "min"), ("plan", "min")), _microwatts),
    "TIMEZONE": ((("market", "timezone"),), _timezone),
    "POWER_CALC_MODE": ((("plan", "reference"),), _mode),
    "DATA_PROVIDER": ((("market", "providers"),), _provider),
    "PROVIDER_URL": ((("market", "url"),), str),
    "DATA_REFRESH_CRON": ((("market", "refresh"),), _cron),
}
KEYS = {name: ".".join(paths[-1]) for name, (paths, _) in VARIABLES.items()} | {"PROVIDER_PARAMS": "market.parameters"}
NAMES = frozenset(KEYS)
