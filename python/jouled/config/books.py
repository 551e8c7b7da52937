"""What the operator may set of the books: where they are kept, for how long, and what feeds them."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Struct, field

from jouled.config.about import DAY_S, YEAR_S, about
from jouled.config.hashes import ELSEWHERE
from jouled.config.refused import RefusedError
from jouled.config.units import Hertz, Seconds, shown

CARBON_PROVIDERS = Literal[
    "factors", "electricity-maps", "watttime", "uk-carbon-intensity", "energy-charts", "energinet", "file"
]
CARBON_KINDS = Literal["average", "marginal"]
# The kinds of intensity that each provider gives; factors have no series.
KINDS = {
    "electricity-maps": ("average",),
    "energinet": ("average",),
    "energy-charts": ("average",),
    "uk-carbon-intensity": ("average",),
    "watttime": ("marginal",),
    "file": ("average", "marginal"),
}
WITH_TOKEN = {"electricity-maps", "watttime"}
STORES = {"sqlite", "postgresql", "postgres", "postgresql+psycopg"}
# Before the longest name of a table: a test counts them, as PostgreSQL cuts names at 63 characters.
PREFIX = re.compile(r"([a-z_][a-z0-9_]{0,15})?")


class Retention(Struct, frozen=True, forbid_unknown_fields=True):
    """How long records are kept; days of them for ever."""

    raw_s: Annotated[Seconds, about("Power readings as they came.", least=3600, most=100 * YEAR_S)] = field(
        default=7 * DAY_S, name="raw"
    )
    minute_s: Annotated[Seconds, about("Records of minutes.", least=3600, most=100 * YEAR_S)] = field(
        default=90 * DAY_S, name="minute"
    )
    quarter_hour_s: Annotated[
        Seconds, about("Records of quarter-hours, and energy readings.", least=DAY_S, most=100 * YEAR_S)
    ] = field(default=5 * YEAR_S, name="quarter_hour")


class Store(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the books are kept."""

    url: Annotated[
        str,
        about(
            "sqlite is a file in state_dir; postgresql://USER@HOST/DATABASE, sqlite:////PATH, or none for no books.",
            flag="--store",
            metavar="URL",
            allowed='"sqlite", "sqlite:////PATH", "postgresql://USER@HOST/DATABASE" or "none"',
        ),
    ] = "sqlite"
    prefix: Annotated[str, about("Stands before every table's name.", absent="none", example="jouled_")] = ""
    top: Annotated[
        int, about("Workloads of each level that are recorded; the rest is one row.", least=0, most=100_000)
    ] = 100
    retention: Annotated[Retention, about("How long records are kept.")] = Retention()

    def __post_init__(self) -> None:
        scheme, colon, _ = self.url.partition("://")
        if self.url not in {"sqlite", "none"} and not (colon and scheme in STORES):
            # Not the whole of it, which may hold a password.
            given = f"{shown(scheme)} is no kind of store" if colon else "this is no URL"
            raise RefusedError(("url",), f"{given}; write sqlite, sqlite:////PATH, postgresql://USER@HOST/DB or none")
        if not PREFIX.fullmatch(self.prefix):
            raise RefusedError(
                ("prefix",), f"{shown(self.prefix)} cannot stand before a name; write up to 16 of a-z, 0-9 and _"
            )


class Node(Struct, frozen=True, forbid_unknown_fields=True):
    """What this host is in the books."""

    name: Annotated[str | None, about("Its name.", absent="the host's", example="rack1-07")] = None
    site: Annotated[str | None, about("The site whose energy it is part of.", absent="none", example="hydro-plant")] = (
        None
    )


class Carbon(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the carbon intensity of electricity comes from."""

    provider: Annotated[CARBON_PROVIDERS, about("The provider; factors are constants by source of energy.")] = "factors"
    zone: Annotated[
        str | None, about("The provider's name of the grid zone.", absent="those of the sites", example="DE")
    ] = None
    kind: Annotated[CARBON_KINDS, about("Average or marginal intensity.")] = "average"
    token: Annotated[
        str | None,
        about(
            "The provider's token, or USER:PASSWORD of WattTime: credential:NAME or file:/PATH.",
            absent="none",
            example="credential:carbon",
            allowed='"credential:NAME" or "file:/PATH"',
        ),
    ] = None
    url: Annotated[
        str | None, about("The provider's address.", absent="its public one", example="https://carbon.example")
    ] = None
    file: Annotated[
        str | None,
        about(
            "The series, for the provider file: CSV or JSON lines.",
            absent="none",
            example="/etc/jouled/intensity.csv",
            allowed="a file",
        ),
    ] = None
    refresh_s: Annotated[Seconds, about("Time between two requests.", least=60, most=DAY_S)] = field(
        default=900.0, name="refresh"
    )

    def __post_init__(self) -> None:
        if self.url is not None and not is_http(self.url):
            raise RefusedError(("url",), "this is no address; write https://HOST")
        if self.token is not None:
            refuse_plain("token", self.token)
        if self.provider == "factors":
            return
        given = KINDS[self.provider]
        if self.kind not in given:
            # Average and marginal intensity answer different questions: one must not stand in for the other.
            others = ", ".join(name for name, kinds in KINDS.items() if self.kind in kinds)
            what = f'{self.provider} gives {given[0]} intensity; set carbon.kind = "{given[0]}", or choose {others}'
            raise RefusedError(("provider",), what, others=(("kind",),))
        if self.provider in WITH_TOKEN and self.token is None:
            raise RefusedError(("provider",), f"{self.provider} needs carbon.token: credential:NAME or file:/PATH")
        if self.provider == "file" and self.file is None:
            raise RefusedError(("provider",), "file needs carbon.file, the series")


class Alerts(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told of events, besides the log and the stream."""

    webhook: Annotated[
        str | None, about("POSTed to, as JSON.", absent="nobody", example="https://alerts.example/jouled")
    ] = None
    secret: Annotated[
        str | None,
        about(
            "Signs what is POSTed (HMAC-SHA256): credential:NAME or file:/PATH.",
            absent="unsigned",
            example="credential:webhook",
            allowed='"credential:NAME" or "file:/PATH"',
        ),
    ] = None
    command: Annotated[
        tuple[str, ...],
        about(
            "Run for each event, which it gets as JSON on its standard input.",
            absent="none",
            example=("/usr/local/bin/on-alert",),
            allowed="a list: the program and its arguments",
        ),
    ] = ()

    def __post_init__(self) -> None:
        if self.webhook is not None and not is_http(self.webhook):
            raise RefusedError(("webhook",), "this is no address; write https://HOST/PATH")
        if self.secret is not None:
            refuse_plain("secret", self.secret)


def is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def refuse_plain(key: str | tuple[str, ...], text: str) -> None:
    """The file is read by more people than may know a secret; it is never shown."""
    if not ELSEWHERE.fullmatch(text):
        path = key if isinstance(key, tuple) else (key,)
        raise RefusedError(path, "is not credential:NAME, file:/PATH or env:NAME; put it into a file, and name that")


class Supplies(Struct, frozen=True, forbid_unknown_fields=True):
    """Batteries and UPSes that are read by themselves."""

    batteries: Annotated[bool, about("Read /sys/class/power_supply.")] = True
    nut: Annotated[
        tuple[str, ...],
        about(
            "UPSes of Network UPS Tools.",
            absent="none",
            example=("su700@127.0.0.1:3493",),
            allowed='a list of "UPS@HOST" or "UPS@HOST:PORT"',
        ),
    ] = ()
    interval_s: Annotated[Seconds, about("Time between two looks.", least=1, most=3600)] = field(
        default=5.0, name="interval"
    )

    def __post_init__(self) -> None:
        seen = set()
        for index, text in enumerate(self.nut):
            try:
                place = ups_place(text)
            except ValueError as error:
                raise RefusedError(("nut", index), str(error)) from None
            if place in seen:
                raise RefusedError(("nut", index), f"{shown(text)} is in the list already; take one of them out")
            seen.add(place)


NUT_PORT = 3493
_UPS = re.compile(r"([A-Za-z0-9_.:-]{1,64})@(\[[0-9A-Fa-f:.]+\]|[^\s:@\[\]]{1,253})(?::([0-9]{1,5}))?")


def ups_place(text: str) -> tuple[str, str, int]:
    """Name, host and port of a UPS. Raises ValueError."""
    found = _UPS.fullmatch(text)
    if found is None or not 0 < int(found[3] or NUT_PORT) < 65536:
        raise ValueError(f"{shown(text)} is no UPS; write UPS@HOST or UPS@HOST:PORT")
    return found[1], found[2].strip("[]"), int(found[3] or NUT_PORT)


class Redis(Struct, frozen=True, forbid_unknown_fields=True):
    """Shares the stream and the latest readings among several daemons of one store."""

    url: Annotated[str | None, about("The server.", absent="none", example="redis://127.0.0.1:6379/0")] = None
    prefix: Annotated[str, about("Stands before every key.")] = "jouled:"


# Percent of capacity, from the lowest to the highest.
BORDERS = {"scale_down": 50, "band_low": 60, "band_high": 80, "scale_up": 85}


class Load(Struct, frozen=True, forbid_unknown_fields=True):
    """When the load of a site or of one of its zones calls for something, and what can do it."""

    band_low_pct: Annotated[
        int, about("Percent of capacity from which on a load is well placed.", least=0, most=100)
    ] = field(default=BORDERS["band_low"], name="band_low")
    band_high_pct: Annotated[
        int, about("Percent of capacity up to which a load is well placed.", least=0, most=100)
    ] = field(default=BORDERS["band_high"], name="band_high")
    scale_up_pct: Annotated[
        int, about("Percent of capacity above which capacity is to be added, or load to be shed.", least=0, most=1000)
    ] = field(default=BORDERS["scale_up"], name="scale_up")
    scale_down_pct: Annotated[
        int, about("Percent of capacity below which capacity may be taken away.", least=0, most=100)
    ] = field(default=BORDERS["scale_down"], name="scale_down")
    stale_s: Annotated[
        Seconds, about("Age at which a load metric says nothing of now any more.", least=1, most=30 * DAY_S)
    ] = field(default=3600.0, name="stale")
    settle_s: Annotated[
        Seconds, about("Time after a decision's execution before its effect is looked for.", least=0, most=DAY_S)
    ] = field(default=60.0, name="settle")
    commands: Annotated[
        tuple[str, ...],
        about(
            "Programs that carry out the decisions about a zone, which they get as JSON on their standard input.",
            absent="none",
            example=("hall-1=/usr/local/bin/shed --hall 1",),
            allowed='a list of "ZONE=/PATH/TO/PROGRAM ARGUMENTS"',
        ),
    ] = ()
    command_timeout_s: Annotated[Seconds, about("How long such a program may take.", least=0.1, most=600)] = field(
        default=30.0, name="command_timeout"
    )

    def __post_init__(self) -> None:
        for lower, upper in pairwise(BORDERS):
            below, above = getattr(self, f"{lower}_pct"), getattr(self, f"{upper}_pct")
            if below > above:
                order = f"the order is {' <= '.join(BORDERS)}"
                # Whichever the operator has set is to blame.
                if below == BORDERS[lower]:
                    what = f"{above} is below load.{lower} {below}; {order}"
                    raise RefusedError((upper,), what, others=((lower,),))
                raise RefusedError((lower,), f"{below} is above load.{upper} {above}; {order}", others=((upper,),))
        seen = set()
        for index, text in enumerate(self.commands):
            try:
                zone, _ = zone_command(text)
            except ValueError as error:
                raise RefusedError(("commands", index), str(error)) from None
            if zone in seen:
                raise RefusedError(("commands", index), f"zone {zone} has a program already; give it one")
            seen.add(zone)


def zone_command(text: str) -> tuple[str, tuple[str, ...]]:
    """The zone and the program with its arguments, which no shell will see. Raises ValueError."""
    zone, _, line = text.partition("=")
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}; write ZONE=/PATH/TO/PROGRAM ARGUMENTS") from None
    if not zone.strip() or not words or not words[0].startswith("/") or "\0" in text:
        raise ValueError(f"{text!r} is no program of a zone; write ZONE=/PATH/TO/PROGRAM ARGUMENTS")
    return zone.strip(), tuple(words)


class ApiSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What one client of the API may do."""

    write_hz: Annotated[Hertz, about("Writes, of each client's address.", least=0.01, most=1_000_000)] = field(
        default=2000.0, name="write_rate"
    )
    read_hz: Annotated[Hertz, about("Reads, of each client's address.", least=0.01, most=1_000_000)] = field(
        default=5000.0, name="read_rate"
    )
    batch: Annotated[int, about("Records in one request.", least=1, most=100_000)] = 10_000
    rows: Annotated[int, about("Rows in one answer.", least=1, most=100_000)] = 1000
