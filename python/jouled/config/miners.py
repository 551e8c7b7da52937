"""What the operator may set of miners: where they are looked for, and which presets their models may have."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated

from msgspec import Struct, field

from jouled.config.about import DAY_S, about
from jouled.config.books import refuse_plain
from jouled.config.refused import RefusedError
from jouled.config.units import Seconds, shown

# Of all subnets together: more is a mistake, or an afternoon.
ADDRESSES_MAX = 4096


class MinerModel(Struct, frozen=True, forbid_unknown_fields=True):
    """What holds for all miners of a model, unless the API says otherwise."""

    name: Annotated[
        str,
        about(
            "As its miners call it.", example="Antminer S19", allowed="a model's name, as joulectl miners models has it"
        ),
    ]
    max_preset: Annotated[
        str | None,
        about("The most that they are set to, by its name or in watts.", absent="they are not steered", example="3200"),
    ] = None
    min_preset: Annotated[
        str | None,
        about("The least that they are set to, unless they are switched off.", absent="their least", example="1100"),
    ] = None


class Miners(Struct, frozen=True, forbid_unknown_fields=True):
    """Miners, found by their addresses and kept by their MACs."""

    subnets: Annotated[
        tuple[str, ...],
        about(
            "Look for miners there, and nowhere else.",
            absent="nowhere",
            example=("10.20.0.0/24",),
            allowed='a list of "ADDRESS/BITS"',
        ),
    ] = ()
    port: Annotated[int, about("Where they answer over HTTP.", least=1, most=65535)] = 80
    discover_s: Annotated[Seconds, about("Time between two searches.", least=10, most=DAY_S)] = field(
        default=300.0, name="discover"
    )
    connect_s: Annotated[Seconds, about("How long an address has to take a connection.", least=0.01, most=30)] = field(
        default=0.3, name="connect_timeout"
    )
    probe_s: Annotated[Seconds, about("How long what took a connection has to say what it is.", least=0.1, most=60)] = (
        field(default=1.5, name="probe_timeout")
    )
    password: Annotated[
        str | None,
        about(
            "What unlocks them, as credential:NAME, file:/PATH or env:NAME.",
            absent="the firmware's own",
            example="credential:miners",
        ),
    ] = None
    braiins_password: Annotated[
        str | None,
        about(
            "The same for those with Braiins OS, where that is another one.",
            absent="miners.password",
            example="credential:braiins",
        ),
    ] = None
    dead_s: Annotated[
        Seconds | None,
        about(
            "From an order, also one to stop, until a miner's power begins to follow: measure it for your firmware.",
            absent="as its firmware is known to be",
            example=10.0,
            least=0,
            most=3600,
        ),
    ] = field(default=None, name="dead")
    settle_s: Annotated[
        Seconds | None,
        about(
            "From then on until it has settled: its restart and its ramp.",
            absent="as its firmware is known to be",
            example=300.0,
            least=0,
            most=3600,
        ),
    ] = field(default=None, name="settle")
    restart_s: Annotated[
        Seconds | None,
        about(
            "How long another preset interrupts its work: the longer, the fewer changes pay.",
            absent="as its firmware is known to be",
            example=60.0,
            least=0,
            most=3600,
        ),
    ] = field(default=None, name="restart")
    may_tune: Annotated[
        bool, about("Also use presets that a miner has not been tuned for: it then tunes itself for hours.")
    ] = False
    model: Annotated[
        tuple[MinerModel, ...],
        about("Models and their bounds.", absent="as the API has them", allowed="[[miners.model]] tables"),
    ] = ()

    def __post_init__(self) -> None:
        for key in ("password", "braiins_password"):
            text = getattr(self, key)
            if text is not None:
                refuse_plain(key, text)
        addresses = 0
        for index, text in enumerate(self.subnets):
            try:
                network = ip_network(text)
            except ValueError as error:
                raise RefusedError(("subnets", index), f"{shown(text)}: {error}; write 10.20.0.0/24") from None
            addresses += network.num_addresses
            if addresses > ADDRESSES_MAX:
                raise RefusedError(
                    ("subnets", index),
                    f"{shown(text)} has {network.num_addresses} addresses, and all subnets together may have"
                    f" {ADDRESSES_MAX}; name smaller ones",
                )
        names = [model.name for model in self.model]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise RefusedError(("model", index, "name"), f"{shown(name)} is given twice; write it in one table")
