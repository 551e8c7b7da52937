"""What the operator may set of the plant that feeds this site: where its feed is, and what of it is believed."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Struct, field

from jouled.config.about import DAY_S, about
from jouled.config.books import is_http, refuse_plain
from jouled.config.refused import RefusedError
from jouled.config.units import Seconds, Watts, shown

PLANT_KINDS = Literal["none", "aggregator", "http", "file", "mqtt", "mock"]
POWER_UNITS = Literal["W", "kW", "MW"]
OVER_HTTP = {"aggregator", "http"}
# What tells each kind where to ask.
NEEDED = {"aggregator": "url", "http": "url", "mqtt": "url", "file": "file"}
KEPT_ELSEWHERE = '"credential:NAME", "file:/PATH" or "env:NAME"'


class Pointers(Struct, frozen=True, forbid_unknown_fields=True):
    """Where in a JSON document each thing is, as JSON pointers (RFC 6901)."""

    generation: Annotated[
        str | None,
        about(
            "What the plant gives.", absent="/generation, or the whole of it, a number", example="/plant/generation_kw"
        ),
    ] = None
    timestamp: Annotated[
        str | None,
        about(
            "When that was measured: ISO 8601 with its zone, or seconds or milliseconds since 1970.",
            absent="/timestamp, or when the file was written, or the message came; http has to have one",
            example="/plant/measured_at",
        ),
    ] = None
    consumption: Annotated[
        str | None, about("What others draw of it.", absent="not told", example="/plant/house_kw")
    ] = None
    exported: Annotated[str | None, about("What goes to the grid.", absent="not told", example="/plant/export_kw")] = (
        None
    )
    confidence: Annotated[
        str | None, about("How sure the feed is, from 0 to 1.", absent="not told", example="/trust/score")
    ] = None
    battery: Annotated[
        str | None,
        about("Whether the site runs on its battery: true or false.", absent="not told", example="/on_battery"),
    ] = None
    id: Annotated[str | None, about("The feed's own name of a reading.", absent="none", example="/id")] = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and (problem := pointer_problem(value)):
                raise RefusedError((name,), problem)


class Plant(Struct, frozen=True, forbid_unknown_fields=True):
    """The feed of the plant."""

    kind: Annotated[PLANT_KINDS, about("Where its power is read.")] = "none"
    url: Annotated[
        str | None,
        about(
            "The feed's address; a broker's is mqtt://HOST.",
            absent="none",
            example="https://plant.example/api/readings",
        ),
    ] = None
    file: Annotated[
        str | None,
        about(
            "Where others write the latest reading: JSON, or lines of CSV.",
            absent="none",
            example="/run/plant/reading.json",
            allowed="a file",
        ),
    ] = None
    topic: Annotated[str | None, about("The topic at the broker.", absent="none", example="plant/hydro-1/power")] = None
    id: Annotated[str | None, about("The plant's name at the feed.", absent="none", example="hydro-1")] = None
    key: Annotated[
        str | None,
        about("Its bearer key.", absent="none", example="credential:plant", allowed=KEPT_ELSEWHERE),
    ] = None
    user: Annotated[str | None, about("Who asks, where it wants a password.", absent="nobody", example="jouled")] = None
    password: Annotated[
        str | None, about("That password.", absent="none", example="credential:plant", allowed=KEPT_ELSEWHERE)
    ] = None
    ca: Annotated[
        str | None,
        about(
            "Who vouches for a broker's certificate.",
            absent="those that the system trusts",
            example="/etc/jouled/plant-ca.pem",
            allowed="a file of PEM",
        ),
    ] = None
    unit: Annotated[
        POWER_UNITS | None,
        about(
            "What its numbers are in, whatever its fields are called: a wrong one is a thousandfold.",
            absent="none; a feed has to have one",
            example="kW",
        ),
    ] = None
    rated_w: Annotated[
        Watts | None,
        about("What the plant gives at most: more is not believed.", absent="not known", example=200_000.0, least=1),
    ] = field(default=None, name="rated")
    ramp: Annotated[
        float,
        about(
            "How steeply it can rise, as a part of plant.rated per minute; a steeper rise is believed once three"
            " readings in a row have said it. Falls are believed at once.",
            least=0.001,
            most=100,
        ),
    ] = 0.5
    confidence: Annotated[
        float, about("A reading is believed only if the feed is surer than that.", least=0, most=1)
    ] = 0.8
    poll_s: Annotated[Seconds, about("Time between two questions.", least=0.1, most=3600)] = field(
        default=15.0, name="poll"
    )
    stale_s: Annotated[
        Seconds | None,
        about("An older reading raises no load.", absent="three times plant.poll", example=90.0, least=0.1, most=DAY_S),
    ] = field(default=None, name="stale")
    hold_s: Annotated[
        Seconds, about("An older reading is no longer believed: what it said is stepped down.", least=1, most=DAY_S)
    ] = field(default=120.0, name="hold")
    fail_s: Annotated[
        Seconds, about("After so long without a reading balance.fallback holds.", least=1, most=DAY_S)
    ] = field(default=600.0, name="fail")
    step_down: Annotated[
        float, about("What is held is stepped down by this part of it per minute.", least=0, most=1)
    ] = 0.05
    seed: Annotated[int, about("Of the mock's noise: the same seed gives the same day.", least=0, most=2**31)] = 0
    # A table of its own, which in a file comes after all the others.
    pointers: Annotated[Pointers, about("Where in the answer each thing is.")] = field(default_factory=Pointers)

    def __post_init__(self) -> None:
        for name in ("key", "password"):
            secret = getattr(self, name)
            if secret is not None:
                refuse_plain(name, secret)
        if self.kind == "none":
            return
        self._check_place()
        self._check_who()
        if self.kind == "http":
            for name in ("generation", "timestamp"):
                if getattr(self.pointers, name) is None:
                    raise RefusedError(("pointers", name), "is missing: http needs to know where that is")
        if self.kind != "mock" and self.unit is None:
            raise RefusedError(
                ("unit",), "is missing: write what the feed's numbers are in, W, kW or MW", others=(("kind",),)
            )
        self._check_times()

    def _check_place(self) -> None:
        need = NEEDED.get(self.kind)
        if need is not None and getattr(self, need) is None:
            raise RefusedError((need,), f"is missing: {self.kind} needs it", others=(("kind",),))
        if self.kind in OVER_HTTP and not is_http(self.url or ""):
            raise RefusedError(("url",), "this is no address; write https://HOST/PATH", others=(("kind",),))
        if self.url is not None and "@" in urlsplit(self.url).netloc:
            raise RefusedError(("url",), "a user or a password does not belong there, where everybody may read it")
        if self.kind == "mqtt":
            if not is_broker(self.url or ""):
                raise RefusedError(
                    ("url",), "this is no broker; write mqtt://HOST or mqtts://HOST", others=(("kind",),)
                )
            if not self.topic or "#" in self.topic or "+" in self.topic or "\0" in self.topic:
                raise RefusedError(("topic",), "mqtt needs one topic, without + and #", others=(("kind",),))
        if self.kind == "aggregator" and not self.id:
            raise RefusedError(("id",), "is missing: an aggregator has many plants", others=(("kind",),))

    def _check_who(self) -> None:
        if (self.user is None) != (self.password is None):
            name = "password" if self.password is None else "user"
            raise RefusedError((name,), "is missing: a user and a password go together")
        if self.key is not None and self.user is not None:
            raise RefusedError(("key",), "and plant.user are both given; a feed wants one of them", others=(("user",),))
        if self.kind == "aggregator" and self.key is None:
            raise RefusedError(("key",), "is missing: an aggregator wants a bearer key", others=(("kind",),))

    def _check_times(self) -> None:
        if self.fail_s < self.hold_s:
            raise RefusedError(("fail",), "is shorter than plant.hold", others=(("hold",),))
        if self.hold_s < 2 * self.poll_s:
            raise RefusedError(
                ("hold",), "is shorter than two of plant.poll: it would hold between two answers", others=(("poll",),)
            )
        if self.stale_s is not None and not self.poll_s < self.stale_s <= self.hold_s:
            raise RefusedError(("stale",), "must be longer than plant.poll, and at most plant.hold")


def pointer_problem(text: str) -> str | None:
    """What is wrong with a JSON pointer; None where nothing is."""
    is_escaped = all(part[:1] in {"0", "1"} for part in text.split("~")[1:])
    if (text and not text.startswith("/")) or not is_escaped or len(text) > 256:
        return f"{shown(text)} is no JSON pointer; write /NAME/NAME, with ~1 for a slash and ~0 for a ~"
    return None


def is_broker(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in {"mqtt", "mqtts"} and bool(parts.hostname) and port != 0 and parts.path in {"", "/"}
