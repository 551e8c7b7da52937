"""What the operator may set of the books: where they are kept, for how long, and what feeds them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct, field

from jouled.config.about import DAY_S, YEAR_S, about
from jouled.config.units import Hertz, Seconds

CARBON_PROVIDERS = Literal[
    "factors", "electricity-maps", "watttime", "uk-carbon-intensity", "energy-charts", "energinet", "file"
]
CARBON_KINDS = Literal["average", "marginal"]


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


class Node(Struct, frozen=True, forbid_unknown_fields=True):
    """What this host is in the books."""

    name: Annotated[str | None, about("Its name.", absent="the host's", example="rack1-07")] = None
    site: Annotated[str | None, about("The site whose energy it is part of.", absent="none", example="hydro-plant")] = (
        None
    )


class Carbon(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the carbon intensity of electricity comes from."""

    provider: Annotated[CARBON_PROVIDERS, about("The provider; factors are constants by source of energy.")] = "factors"
    zone: Annotated[str | None, about("The provider's name of the grid zone.", absent="none", example="DE")] = None
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
    url: Annotated[str | None, about("The provider's address.", absent="its public one")] = None
    file: Annotated[
        str | None, about("The series, for the provider file: CSV or JSON lines.", absent="none", allowed="a file")
    ] = None
    refresh_s: Annotated[Seconds, about("Time between two requests.", least=60, most=DAY_S)] = field(
        default=900.0, name="refresh"
    )


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


class Redis(Struct, frozen=True, forbid_unknown_fields=True):
    """Shares the stream and the latest readings among several daemons of one store."""

    url: Annotated[str | None, about("The server.", absent="none", example="redis://127.0.0.1:6379/0")] = None
    prefix: Annotated[str, about("Stands before every key.")] = "jouled:"


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
