"""What is simulated: a TOML file of plant, fleet, faults, limits and market, checked key by key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Struct, field

from jouled.config.about import DAY_S, about
from jouled.config.refused import KeyPath, RefusedError
from jouled.config.units import Seconds, Watts
from jouled.simulation.families import TABLES
from jouled.simulation.names import refuse_unknown
from jouled.simulation.traces import YEAR_LEAST, YEAR_MOST

FeedFault = Literal["silent", "frozen", "negative", "thousandfold", "future", "flapping", "doubtful"]
DeviceFault = Literal["away", "thermal", "dead"]
UNITS_MAX = 2000
# A month: noise is drawn for each step.
HOURS_MAX = 31 * 24


class Trip(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the plant that stops at once, and comes back at once."""

    at_s: Annotated[Seconds, about("When it begins.")] = field(name="at")
    for_s: Annotated[Seconds, about("How long it lasts.")] = field(name="for")
    drop_w: Annotated[Watts, about("How much is lost.")] = field(name="drop")
    spread_s: Annotated[Seconds, about("How much earlier or later it may be, by chance.")] = field(
        name="spread", default=0.0
    )


class Ramp(Struct, frozen=True, forbid_unknown_fields=True):
    """A slow change of the plant that stays."""

    at_s: Annotated[Seconds, about("When it begins.")] = field(name="at")
    over_s: Annotated[Seconds, about("How long it takes.")] = field(name="over")
    to_w: Annotated[Watts, about("The mean that it leads to.")] = field(name="to")


class Lie(Struct, frozen=True, forbid_unknown_fields=True):
    """A time in which the plant's feed does not say what is."""

    kind: Annotated[FeedFault, about("What it says instead.")]
    at_s: Annotated[Seconds, about("When it begins.")] = field(name="at")
    for_s: Annotated[Seconds, about("How long it lasts.")] = field(name="for")


class Plant(Struct, frozen=True, forbid_unknown_fields=True):
    """What the site is supplied with: a sine with noise, or a recorded trace."""

    mean_w: Annotated[Watts, about("The middle of its sine.")] = field(name="mean", default=140_000.0)
    swing_w: Annotated[Watts, about("How far the sine goes up and down in a period.")] = field(
        name="swing", default=25_000.0
    )
    period_s: Annotated[Seconds, about("The period of the sine.", least=60, most=366 * DAY_S)] = field(
        name="period", default=DAY_S
    )
    noise_w: Annotated[Watts, about("The standard deviation of its noise, which returns to the sine.")] = field(
        name="noise", default=3000.0
    )
    noise_s: Annotated[Seconds, about("How long a deviation lasts.", least=1, most=DAY_S)] = field(
        name="noise_time", default=600.0
    )
    rated_w: Annotated[Watts | None, about("What it gives at most: more is not believed.", least=1, most=1e12)] = field(
        name="rated", default=None
    )
    poll_s: Annotated[Seconds, about("How often it is read.", least=1, most=3600)] = field(name="poll", default=15.0)
    lag_s: Annotated[Seconds, about("How old what it says is.", most=3600, least=0)] = field(name="lag", default=0.0)
    trace: Annotated[str | None, about("A CSV file with timestamp and watts, instead of the sine.")] = None
    trip: Annotated[tuple[Trip, ...], about("Sudden losses.")] = ()
    ramp: Annotated[tuple[Ramp, ...], about("Slow changes.")] = ()
    fault: Annotated[tuple[Lie, ...], about("Times in which its feed is wrong.")] = ()


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """Devices of one kind."""

    count: Annotated[int, about("How many.", least=1, most=UNITS_MAX)]
    family: Annotated[str | None, about("A built-in table of presets: s19, older or newer.")] = None
    name: Annotated[str | None, about("What they are called.")] = None
    presets: Annotated[
        tuple[tuple[float, float], ...] | None, about("Pairs of watts and TH/s, instead of a family's.")
    ] = None
    priority: Annotated[int, about("A higher one keeps its power for longer.", least=0, most=1000)] = 5
    can_be_off: Annotated[bool, about("It may be switched off.")] = True
    dead_s: Annotated[Seconds, about("From an order until something happens.", least=0, most=3600)] = field(
        name="dead", default=2.0
    )
    pause_s: Annotated[Seconds, about("The same, for being switched off.", least=0, most=3600)] = field(
        name="pause", default=2.0
    )
    restart_s: Annotated[Seconds, about("How long a change stops its work.", least=0, most=3600)] = field(
        name="restart", default=60.0
    )
    ramp_s: Annotated[Seconds, about("How long it then takes to its full power.", least=0, most=3600)] = field(
        name="ramp", default=60.0
    )
    standby_w: Annotated[Watts, about("What it draws when it is off or restarts.")] = field(name="standby", default=0.0)


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that happens to devices, chosen by chance."""

    kind: Annotated[DeviceFault, about("It does not answer, holds itself lower, or has failed.")]
    at_s: Annotated[Seconds, about("When it begins.")] = field(name="at")
    for_s: Annotated[Seconds, about("How long it lasts.")] = field(name="for")
    devices: Annotated[int, about("How many it happens to.", least=1, most=UNITS_MAX)] = 1


class Habits(Struct, frozen=True, forbid_unknown_fields=True):
    """What every device does now and then. Parts of one."""

    rejects: Annotated[float, about("The part of orders that is refused.", least=0, most=1)] = 0.0
    forgets: Annotated[float, about("The part of orders that is taken and not done.", least=0, most=1)] = 0.0
    bias: Annotated[
        float, about("Standard deviation of how much more one draws than its table.", least=0, most=0.2)
    ] = 0.0
    drift: Annotated[float, about("How much more it draws in the heat of the day.", least=0, most=0.2)] = 0.0


class Window(Struct, frozen=True, forbid_unknown_fields=True):
    """A time of each day in which less is allowed, as a tariff or a plan would have it."""

    start_s: Annotated[Seconds, about("From then on, after midnight UTC.", least=0, most=DAY_S)] = field(name="from")
    end_s: Annotated[Seconds, about("Until then; before `from` is over midnight.", least=0, most=DAY_S)] = field(
        name="to"
    )
    limit_w: Annotated[Watts, about("What is allowed.")] = field(name="limit")


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What else bounds the site."""

    contract_w: Annotated[Watts | None, about("What the contract or the breaker allows.")] = field(
        name="contract", default=None
    )
    unmanaged_w: Annotated[Watts, about("What draws from the same supply and cannot be steered.")] = field(
        name="unmanaged", default=0.0
    )
    fallback_w: Annotated[Watts, about("What is drawn where the plant has not been heard of for long.")] = field(
        name="fallback", default=0.0
    )
    window: Annotated[tuple[Window, ...], about("Times of the day.")] = ()


class Market(Struct, frozen=True, forbid_unknown_fields=True):
    """What energy costs, in money and carbon."""

    price_per_kwh: Annotated[float | None, about("A price that holds all day.", least=-10, most=10)] = None
    prices: Annotated[str | None, about("A CSV file with timestamp and price per kWh, instead.")] = None
    currency: Annotated[str, about("The currency of both.")] = "EUR"
    carbon_g_per_kwh: Annotated[float | None, about("An intensity that holds all day.", least=0, most=5000)] = None
    carbon: Annotated[str | None, about("A CSV file with timestamp and g per kWh, instead.")] = None


class Scenario(Struct, frozen=True, forbid_unknown_fields=True):
    """A site, and how long it is looked at."""

    about: Annotated[str, about("What it shows, in a sentence.")] = ""
    hours: Annotated[float, about("How long.", least=0.01, most=HOURS_MAX)] = 24.0
    start: Annotated[datetime, about("When it begins, with its zone.")] = datetime(2026, 3, 1, tzinfo=UTC)
    seed: Annotated[int, about("Chance is the same for the same seed.", least=0, most=2**63 - 1)] = 1
    step_s: Annotated[Seconds, about("What is simulated at once.", least=0.5, most=5)] = field(name="step", default=1.0)
    cycle_s: Annotated[Seconds, about("How often the balancer acts.", least=1, most=600)] = field(
        name="cycle", default=15.0
    )
    reserve_pct: Annotated[tuple[float, ...], about("Safety margins to compare, in percent.")] = field(
        name="reserve", default=(10.0,)
    )
    strategies: Annotated[tuple[str, ...], about("Who balances.")] = (
        "ours",
        "average-efficiency",
        "original-doc",
        "original-code",
        "original-code+off",
    )
    plant: Annotated[Plant, about("What supplies it.")] = Plant()
    fleet: Annotated[tuple[Group, ...], about("What it runs.")] = (
        Group(20, "s19"),
        Group(20, "older"),
        Group(20, "newer"),
    )
    devices: Annotated[Habits, about("What its devices do.")] = Habits()
    fault: Annotated[tuple[Fault, ...], about("What happens to its devices.")] = ()
    limits: Annotated[Limits, about("What else bounds it.")] = Limits()
    market: Annotated[Market, about("What energy costs.")] = Market()

    def __post_init__(self) -> None:
        for index, name in enumerate(self.strategies):
            refuse_unknown(name, ("strategies", index))
        for index, percent in enumerate(self.reserve_pct):
            if not 0 <= percent <= 50:
                raise RefusedError(("reserve", index), f"{percent:g} is out of range; allowed: 0 to 50 percent")
        for index, group in enumerate(self.fleet):
            _refuse_group(group, ("fleet", index))
        if not 0 < sum(group.count for group in self.fleet) <= UNITS_MAX:
            raise RefusedError(("fleet",), f"has none or more than {UNITS_MAX} devices; write [[fleet]] tables")
        if not self.strategies or not self.reserve_pct:
            raise RefusedError(("strategies",), "and reserve need one entry each")
        if self.start.tzinfo is None:
            raise RefusedError(("start",), "has no zone; write 2026-03-01T00:00:00Z")
        if not YEAR_LEAST <= self.start.year <= YEAR_MOST:
            raise RefusedError(("start",), f"is not between {YEAR_LEAST} and {YEAR_MOST}")
        _refuse_step(self.step_s, min(self.cycle_s, self.plant.poll_s))


def _refuse_step(step_s: float, most_s: float) -> None:
    steps = 60 / step_s
    if abs(steps - round(steps)) > 1e-9:
        # What is drawn and summed by the minute would be of other minutes.
        raise RefusedError(("step",), f"{step_s:g} s is no part of a minute; write 1s, 2s or 5s")
    if step_s > most_s:
        raise RefusedError(("step",), f"{step_s:g} s is longer than cycle or plant.poll: some would be left out")


def _refuse_group(group: Group, place: KeyPath) -> None:
    if (group.family is None) == (group.presets is None):
        raise RefusedError(place, f"needs either family ({', '.join(TABLES)}) or presets")
    if group.family is not None and group.family not in TABLES:
        raise RefusedError((*place, "family"), f"{group.family!r} is not known; allowed: {', '.join(TABLES)}")
    if group.presets == ():
        raise RefusedError((*place, "presets"), "is empty; write [[WATTS, TH/S], ...]")
    for index, (power_w, work) in enumerate(group.presets or ()):
        if not (0 < power_w <= 1e6 and 0 <= work <= 1e6):
            raise RefusedError((*place, "presets", index), "is no preset; write [WATTS, TH/S], as in [1100, 53]")
    powers = [power_w for power_w, _ in group.presets or ()]
    if len(set(powers)) < len(powers):
        raise RefusedError((*place, "presets"), "has two presets of the same power; leave one out")
