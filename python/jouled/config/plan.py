"""What the operator may set of the plan: what power costs here, and how the node's power follows that."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Struct, field

from jouled.config.about import DAY_S, about
from jouled.config.refused import KeyPath, RefusedError
from jouled.config.units import WATT_HOURS, WATTS, Seconds, WattHours, Watts, shown
from jouled.config.windows import Window, windowed

if TYPE_CHECKING:
    from jouled.config.settings import Config

STRATEGY_WORDS = Literal[
    "volume-proportional", "price-rank", "price-threshold", "carbon-rank", "cheapest-hours", "static"
]
# What the market has to say for them.
OF_THE_MARKET = {"volume-proportional", "price-rank", "price-threshold", "cheapest-hours"}
# Who tells prices only.
WITHOUT_VOLUMES = {"energy-charts", "awattar", "nordpool", "smard", "octopus", "entsoe"}
REFERENCE_WORDS = Literal["max", "average"]
MISSING_WORDS = Literal["min", "none"]
RANK_WORDS = Literal["day", "next-24h"]
CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
# The harmonised limits of SDAC are -500 and 4,000 EUR/MWh; other currencies are smaller.
PRICE_MAX = 100_000
# Per kWh; whoever writes more has written it per MWh.
CHARGE_MAX = Decimal(100)
POWER_MAX_W = 1_000_000
BILLING_STEP_S = 900.0


class Tariff(Struct, frozen=True, forbid_unknown_fields=True):
    """What this site pays for a kWh: (price + charges) x (1 + tax)."""

    charges: Annotated[
        tuple[str, ...],
        about(
            "What is charged per kWh on top of the market's price, in its currency; those that hold are added.",
            absent="none",
            example=("0.08", "Mon-Fri 17:00-20:00 = 0.12", "Oct-Mar Sat-Sun = -0.01"),
            allowed='a list of "PRICE" or "[MONTHS] [DAYS] [HH:MM-HH:MM] = PRICE"',
        ),
    ] = ()
    tax_pct: Annotated[float, about("Tax on price and charges, in percent.", least=0, most=1000)] = field(
        default=0.0, name="tax"
    )
    billing_s: Annotated[
        Seconds | None,
        about(
            "What is billed is the average price of so long a time, where that is longer than the market's slots.",
            absent="the market's slots",
            example=3600.0,
            least=900,
            most=DAY_S,
        ),
    ] = field(default=None, name="billing_resolution")

    def __post_init__(self) -> None:
        for index, text in enumerate(self.charges):
            try:
                charge_of(text)
            except ValueError as error:
                raise RefusedError(("charges", index), str(error)) from None
        if self.billing_s is not None and (self.billing_s % BILLING_STEP_S or DAY_S % self.billing_s):
            raise RefusedError(
                ("billing_resolution",), f"{self.billing_s:g} s does not divide a day; write 15m, 30m, 1h, 2h or 24h"
            )


class Threshold(Struct, frozen=True, forbid_unknown_fields=True):
    """price-threshold: prices of a MWh, tariff included; 0 and less are prices like any other."""

    below: Annotated[
        float | None,
        about("At or below it the highest budget.", absent="none", example=40.0, least=-PRICE_MAX, most=PRICE_MAX),
    ] = None
    above: Annotated[
        float | None,
        about("At or above it the lowest budget.", absent="none", example=120.0, least=-PRICE_MAX, most=PRICE_MAX),
    ] = None
    limit: Annotated[
        float | None,
        about(
            "Above it the lowest budget, whatever below and above say.",
            absent="none",
            example=300.0,
            least=-PRICE_MAX,
            most=PRICE_MAX,
        ),
    ] = None
    negative: Annotated[bool, about("The highest budget whenever the price is below 0.")] = False

    def __post_init__(self) -> None:
        if self.below is not None and self.above is not None and self.below >= self.above:
            raise RefusedError(
                ("below",), f"{self.below:g} is not below plan.threshold.above {self.above:g}", others=(("above",),)
            )


class Cheapest(Struct, frozen=True, forbid_unknown_fields=True):
    """cheapest-hours: energy that is needed in the day before a time."""

    energy_wh: Annotated[
        WattHours | None,
        about(
            "How much, at the highest budget, in the cheapest slots of each day that ends at deadline.",
            absent="none",
            example=2000.0,
            least=0.001,
            most=POWER_MAX_W * 24,
        ),
    ] = field(default=None, name="energy")
    deadline: Annotated[
        str, about("When it must be there, in the site's time.", allowed='"HH:MM" from "00:00" to "23:59"')
    ] = "07:00"
    continuous: Annotated[bool, about("All of it at one go.")] = False

    def __post_init__(self) -> None:
        if not CLOCK.fullmatch(self.deadline):
            raise RefusedError(("deadline",), f"{shown(self.deadline)} is no time of a day; write 00:00 to 23:59")


class Plan(Struct, frozen=True, forbid_unknown_fields=True):
    """How the node's power follows market and carbon."""

    strategies: Annotated[
        tuple[STRATEGY_WORDS, ...],
        about(
            "What makes a budget of the signals; of several the lowest counts.",
            absent="none: no cap follows the market",
            example=("price-rank",),
        ),
    ] = ()
    min_w: Annotated[
        Watts | None, about("The lowest budget.", absent="caps.min", example=80.0, least=1, most=POWER_MAX_W)
    ] = field(default=None, name="min")
    max_w: Annotated[
        Watts | None,
        about("The highest budget.", absent="caps.max, or the hardware's", example=250.0, least=1, most=POWER_MAX_W),
    ] = field(default=None, name="max")
    stabilisation_s: Annotated[Seconds, about("Time between two looks at the schedule.", least=1, most=DAY_S)] = field(
        default=300.0, name="stabilisation"
    )
    missing: Annotated[
        MISSING_WORDS, about("What holds where nothing is known of now: the lowest budget, or no cap.")
    ] = "min"
    reference: Annotated[
        REFERENCE_WORDS, about("volume-proportional: the day's volume that stands for reference_power.")
    ] = "max"
    reference_w: Annotated[
        Watts | None,
        about(
            "volume-proportional: the power at the reference volume.",
            absent="plan.max",
            example=40.0,
            least=1,
            most=POWER_MAX_W,
        ),
    ] = field(default=None, name="reference_power")
    rank_over: Annotated[
        RANK_WORDS, about("price-rank, carbon-rank: among which slots; those of the day, or of the 24 hours ahead.")
    ] = "day"
    static: Annotated[
        tuple[str, ...],
        about(
            "static: power by the clock, in the site's time; of several that hold the lowest, else no limit.",
            absent="none",
            example=("Mon-Fri 17:00-20:00 = 150W", "22:00-06:00 = 200W"),
            allowed='a list of "POWER" or "[MONTHS] [DAYS] [HH:MM-HH:MM] = POWER"',
        ),
    ] = ()
    threshold: Annotated[Threshold, about("price-threshold: prices of a MWh, tariff included.")] = Threshold()
    cheapest: Annotated[Cheapest, about("cheapest-hours: energy that is needed before a time.")] = Cheapest()

    def __post_init__(self) -> None:
        if self.max_w is not None and self.min_w is not None and self.max_w < self.min_w:
            raise RefusedError(("max",), f"{self.max_w:g} W is below plan.min {self.min_w:g} W", others=(("min",),))
        for index, text in enumerate(self.static):
            try:
                cap_of(text)
            except ValueError as error:
                raise RefusedError(("static", index), str(error)) from None
        threshold = self.threshold
        lacking: dict[str, tuple[bool, str]] = {
            "price-threshold": (
                threshold.below is None and threshold.above is None and threshold.limit is None,
                "plan.threshold.below, above or limit",
            ),
            "cheapest-hours": (self.cheapest.energy_wh is None, "plan.cheapest.energy, the energy of a day"),
            "static": (not self.static, 'plan.static, as ["Mon-Fri 17:00-20:00 = 150W"]'),
        }
        for index, name in enumerate(self.strategies):
            is_lacking, what = lacking.get(name, (False, ""))
            if is_lacking:
                raise RefusedError(("strategies", index), f"{name} needs {what}")


def charge_of(text: str) -> tuple[Window, Decimal]:
    """When it holds, and the price of a kWh. Raises ValueError."""
    window, value = windowed(text, "0.12")
    try:
        per_kwh = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{shown(value)} is no price of a kWh; write 0.12") from None
    if not per_kwh.is_finite() or abs(per_kwh) > CHARGE_MAX:
        raise ValueError(f"{value} is not from {-CHARGE_MAX} to {CHARGE_MAX}; charges are per kWh")
    return window, per_kwh


def cap_of(text: str) -> tuple[Window, float]:
    """When it holds, and the power. Raises ValueError."""
    window, value = windowed(text, "150W")
    try:
        power_w = WATTS.parse(float(value) if re.fullmatch(r"\d+(\.\d+)?", value, re.ASCII) else value)
    except ValueError as error:
        raise ValueError(f"{error}; 0 is no cap, leave the window out") from None
    if not 1 <= power_w <= POWER_MAX_W:
        raise ValueError(f"{value} is out of range; allowed: a power from 1W to {WATTS.text(POWER_MAX_W)}")
    return window, power_w


def check_plan(config: Config) -> None:
    """What the plan needs of other tables, and what they allow it. Raises RefusedError."""
    plan, caps = config.plan, config.caps
    for index, name in enumerate(plan.strategies):
        needs = _needs(name, config)
        if needs is not None:
            raise RefusedError(("plan", "strategies", index), f"{name} needs {needs[0]}", others=(needs[1],))
    if plan.min_w is not None and plan.min_w < caps.min_w:
        what = f"{plan.min_w:g} W is below caps.min {caps.min_w:g} W"
        raise RefusedError(("plan", "min"), what, others=(("caps", "min"),))
    if plan.max_w is not None and caps.max_w is not None and plan.max_w > caps.max_w:
        what = f"{plan.max_w:g} W is above caps.max {caps.max_w:g} W"
        raise RefusedError(("plan", "max"), what, others=(("caps", "max"),))
    least_w = caps.min_w if plan.min_w is None else plan.min_w
    most_w = caps.max_w if plan.max_w is None else plan.max_w
    if most_w is not None and most_w < least_w:
        what = f"the highest budget {most_w:g} W is below the lowest {least_w:g} W"
        raise RefusedError(("plan", "max"), what, others=(("plan", "min"), ("caps", "min"), ("caps", "max")))
    for index, text in enumerate(plan.static):
        power_w = cap_of(text)[1]
        if power_w < least_w or (most_w is not None and power_w > most_w):
            highest = "the hardware's most" if most_w is None else WATTS.text(most_w)
            raise RefusedError(
                ("plan", "static", index),
                f"{WATTS.text(power_w)} is out of range; allowed: {WATTS.text(least_w)} to {highest}",
            )
    energy_wh = plan.cheapest.energy_wh
    if energy_wh is not None and most_w is not None and energy_wh > most_w * 24:
        most, highest = WATT_HOURS.text(most_w * 24), WATTS.text(most_w)
        raise RefusedError(
            ("plan", "cheapest", "energy"),
            f"{WATT_HOURS.text(energy_wh)} is out of range; allowed: up to {most}, a day at the highest budget {highest}",
        )


def _needs_of_market(name: str, providers: tuple[str, ...]) -> tuple[str, KeyPath] | None:
    if name == "volume-proportional" and WITHOUT_VOLUMES.issuperset(providers):
        what = "one of epex-html, csv, mock, static in market.providers; others tell no volumes"
        return what, ("market", "providers")
    return None if providers else ('market.providers, as ["energy-charts"]', ("market", "providers"))


def _needs(name: str, config: Config) -> tuple[str, KeyPath] | None:
    if name in OF_THE_MARKET:
        return _needs_of_market(name, config.market.providers)
    if name != "carbon-rank":
        return None
    if config.carbon.provider == "factors":
        return "carbon.provider to be one that has a series", ("carbon", "provider")
    if config.store.url == "none":
        return "a store, in which carbon intensity is kept; set store.url", ("store", "url")
    if config.carbon.zone is None:
        return "carbon.zone, whose intensity this host follows", ("carbon", "zone")
    return None
