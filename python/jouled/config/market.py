"""What the operator may set of the market: who tells prices."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Struct, field

from jouled.config.about import DAY_S, about
from jouled.config.books import is_http, refuse_plain
from jouled.config.refused import RefusedError
from jouled.config.units import Seconds, shown


def zone_problem(name: str) -> str | None:
    """What is wrong with the name of a zone of time; None where nothing is."""
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # unknown, a path, a directory
        return f"{shown(name)} is no zone of time; write one of the IANA database, as Europe/Berlin"
    return None


def cron_problem(line: str) -> str | None:
    """What is wrong with five fields of cron; None where nothing is."""
    from cronsim import CronSim, CronSimError

    form = 'write minute, hour, day, month, weekday, as "0 14 * * *"'
    if len(line.split()) != 5:
        return f"{shown(line)} has not five fields; {form}"
    try:
        next(CronSim(line, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        return f"{shown(line)}: {str(error).lower()}; {form}"
    except StopIteration:
        return f"{shown(line)} names a date that never comes; {form}"
    return None


class Market(Struct, frozen=True, forbid_unknown_fields=True):
    """Where day-ahead prices come from."""

    providers: Annotated[
        tuple[str, ...],
        about(
            "Who is asked, in this order: the next one where one fails.",
            absent="nobody",
            example=("energy-charts", "entsoe"),
            allowed="a list of names; `joulectl market providers` shows them",
        ),
    ] = ()
    zone: Annotated[str, about("The bidding zone.", example="FR")] = "DE-LU"
    timezone: Annotated[
        str, about("The zone of time of this site, in which days are shown and charges hold.", example="Europe/Paris")
    ] = "Europe/Berlin"
    parameters: Annotated[
        dict[str, str],
        about(
            "What a provider wants to know besides, as PROVIDER.NAME; a secret as credential:NAME or file:/PATH.",
            absent="none",
            example={"entsoe.token": "credential:entsoe"},
            allowed='a table of "PROVIDER.NAME" = "VALUE"',
        ),
    ] = {}
    url: Annotated[
        str | None, about("The first provider's address.", absent="its public one", example="https://prices.example")
    ] = None
    refresh: Annotated[
        str | None,
        about(
            "When to ask besides the times of publication, as five fields of cron in the site's time.",
            absent="at no other time",
            example="0 14 * * *",
        ),
    ] = None
    keep_s: Annotated[
        Seconds,
        about("How old a persisted series may be to stand in for one that cannot be fetched.", least=0, most=7 * DAY_S),
    ] = field(default=36 * 3600.0, name="keep")

    def __post_init__(self) -> None:
        if self.url is not None and not is_http(self.url):
            raise RefusedError(("url",), "this is no address; write https://HOST")
        if self.url is not None and "@" in urlsplit(self.url).netloc:
            raise RefusedError(("url",), "a user or a password does not belong there, where everybody may read it")
        if problem := zone_problem(self.timezone):
            raise RefusedError(("timezone",), problem)
        if self.refresh is not None and (problem := cron_problem(self.refresh)):
            raise RefusedError(("refresh",), problem)
        for name, value in self.parameters.items():
            if name.rpartition(".")[2] in {"token", "password"}:
                refuse_plain(("parameters", name), value)
