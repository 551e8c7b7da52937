"""What every load that can be balanced has in common: a miner, another node, this host, a program."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias

from jouled.balance.fleet.words import Point, Span
from jouled.balance.site.words import Observation, Order, Timing

# How a load was before jouled changed it, as JSON: what `give_back` needs, and nothing secret.
Original: TypeAlias = dict[str, Any]


class Preset(NamedTuple):
    """An operating point as its device lists it. An untuned one is not used: it would be tuned for hours first."""

    name: str
    power_w: float
    work: float
    is_tuned: bool = True
    pretty: str = ""

    @property
    def point(self) -> Point:
        return Point(self.name, self.power_w, self.work)


class Description(NamedTuple):
    """What a load is and can do. It has presets or a span."""

    id: str
    kind: str
    name: str
    timing: Timing
    model: str | None = None
    firmware: str | None = None
    # Where it answers now.
    address: str | None = None
    presets: tuple[Preset, ...] = ()
    span: Span | None = None
    can_be_off: bool = False
    # What its name plate or its own limit says it can draw at most.
    rated_w: float | None = None
    # Something an operator should know: its own preset switcher is on, it needs a restart.
    notes: tuple[str, ...] = ()


class Actuator(Protocol):
    """The one way to set a load. Each call ends by itself within some seconds, raises LoadError (of
    jouled.loads.protocol) with what to do about it, and may be cancelled.
    """

    @property
    def id(self) -> str:
        """The same for ever: a miner's MAC in lower case, a node's name."""
        ...

    @property
    def kind(self) -> str: ...

    async def describe(self) -> Description: ...

    async def measure(self) -> Observation:
        """What it does now; `away` instead of an error where it does not answer. `at_s` is trio's clock."""
        ...

    async def original(self) -> Original:
        """How it is now, to be journalled before the first order."""
        ...

    async def apply(self, order: Order) -> None:
        """Send an absolute target. It is not told twice without a look in between."""
        ...

    async def confirm(self, order: Order) -> bool:
        """Whether the device says, read back, that it was set so. Its power may follow later."""
        ...

    async def give_back(self, original: Original) -> None:
        """Set it as it was, and check that it is."""
        ...

    async def aclose(self) -> None: ...
