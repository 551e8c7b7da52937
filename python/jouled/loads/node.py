"""Another host that jouled runs on, capped over its API: its cap is a lease that ends by itself.

What counts is what its processor packages draw, measured and capped alike: limits act on them. The rest of it (fans,
disks, memory) cannot be steered, and belongs to what the site draws unmanaged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol, runtime_checkable
from urllib.parse import quote

import httpx2
import trio

from jouled.balance.fleet.words import Span
from jouled.balance.site.words import Observation, Order, State, Timing
from jouled.errors import one_line
from jouled.loads.actuator import Description, Original
from jouled.loads.protocol import LoadError
from jouled.loads.remote import RefusedLoadError, Remote, no_token
from jouled.wire.caps import CapDraft, Caps, Lease, Released
from jouled.wire.live import Counters, ZoneCount

CAPS = "/api/v1/caps"
POWER = "/api/v1/zones?now=1"
PACKAGE = "package"
# Of the node's own: what holds there since a lease ended that nobody renewed.
LAPSED = "lapsed"
# Three fail-overs of controllers, and four cycles: a lease outlives each of them.
LEASE_S = 60.0
# Renewed twice before its end, so that one attempt may fail.
RENEW_PART = 3
# A limit acts within some milliseconds; its window of 28 s lets short peaks through.
TIMING = Timing(dead_s=2.0, settle_s=5.0)
# A host that draws so much of its cap would draw more without it.
AT_ITS_LIMIT = 0.95
# Above what it draws: where it wants more it comes near its cap, and is given more.
ROOM = 1.1
# Limits are written in steps, of an eighth of a watt and more, for each package.
STEP_W = 1.0
NOTES_MAX = 4


@runtime_checkable
class Leased(Protocol):
    """An actuator whose caps end by themselves. Each cycle measures it, then applies, then renews."""

    async def renew(self) -> bool:
        """Ask again for what holds, where its end comes near; whether it was asked. Only the controller that is
        elected may call it. Raises LoadError.
        """
        ...


class NodeLoad:
    """`owner` names the site, not the controller: the one that takes over renews the leases of the one before."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        owner: str | None = None,
        token: Callable[[], str | None] = no_token,
        ca: str | None = None,
        lease_s: float = LEASE_S,
        timeout_s: float = 5.0,
        timing: Timing = TIMING,
        bounds_w: tuple[float | None, float | None] = (None, None),
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._name = name
        self._owner = owner or owner_of(None)
        self._lease_s = lease_s
        self._timing = timing
        self._bounds_w = bounds_w
        self._remote = Remote(name, url, token=token, ca=ca, timeout_s=timeout_s, transport=transport)
        # What was last asked for, or found to hold; None is no cap of ours.
        self._asked_w: float | None = None
        self._asked_s: float | None = None
        self._power_w: float | None = None
        self._state: Caps | None = None

    def __repr__(self) -> str:
        return f"<NodeLoad {self._name} at {self._remote.url}>"

    @property
    def id(self) -> str:
        return self._name

    @property
    def kind(self) -> Literal["node"]:
        return "node"

    async def describe(self) -> Description:
        """Raises LoadError."""
        state = await self._look()
        least_w, most_w = span_of(state, self._bounds_w, f"the load {self._name}")
        need_w = need_of(state, self._owner, self._power_w)
        return Description(
            id=self.id,
            kind=self.kind,
            name=self._name,
            timing=self._timing,
            address=self._remote.url,
            span=Span(least_w, most_w, need_w),
            rated_w=state.max_watts or most_w,
            notes=notes_of(state),
        )

    async def measure(self) -> Observation:
        try:
            state = await self._look()
        except LoadError as error:
            # Also where it refuses us: its lease may have ended since, and it draws what it likes.
            return self._seen("away", note=str(error))
        self._power_w = await self._power()
        lease = lease_of(state, self._owner)
        if lease is not None:
            self._asked_w = lease.watts
        is_ours = state.is_enabled and not state.is_dry_run
        note = None if is_ours else "it caps nothing: power capping is switched off there, or only tried out"
        return self._seen(
            "running" if is_ours else "held", cap_w=state.effective_watts, power_w=self._power_w, note=note
        )

    async def original(self) -> Original:
        """A node has nothing of its own to come back to but having no cap of this owner."""
        return {"owner": self._owner}

    async def apply(self, order: Order) -> None:
        await self._ask(round(order.power_w, 3), order.reason)

    async def confirm(self, order: Order) -> bool:
        return is_confirmed(await self._look(), self._owner, order.power_w)

    async def renew(self) -> bool:
        if self._asked_w is None:
            return False
        if self._asked_s is not None and trio.current_time() - self._asked_s < self._lease_s / RENEW_PART:
            return False
        await self._ask(self._asked_w, None if self._state is None else reason_of(self._state, self._owner))
        return True

    async def give_back(self, original: Original) -> None:
        owner = owner_in(original, self._owner)
        state = await self._look()
        # Who asks again ends what the node fell back to; only then is its cap given up.
        if has_lapsed(state, owner):
            least_w, _ = span_of(state, self._bounds_w, f"the load {self._name}")
            await self._remote.ask("PUT", _path(owner), CapDraft(least_w, self._lease_s, "given back"))
        self._asked_w = self._asked_s = None
        try:
            self._remote.read(await self._remote.ask("DELETE", _path(owner)), Released)
        except RefusedLoadError as error:
            if error.status != 404:
                raise
        if lease_of(await self._look(), owner) is not None:
            raise LoadError(f"the load {self._name}: the cap of {owner} is there again; who else asks as {owner}?")

    async def aclose(self) -> None:
        await self._remote.aclose()

    async def _look(self) -> Caps:
        self._state = await self._remote.get(CAPS, Caps)
        return self._state

    async def _power(self) -> float | None:
        """Read when it is asked: a node that hangs cannot tell its power of long ago."""
        try:
            counters = await self._remote.get(POWER, Counters)
        except LoadError:
            return None
        return packages_w(counters.zones)

    async def _ask(self, watts: float, reason: str | None) -> None:
        """A lease that may or may not have been taken is one that is renewed: the target is absolute."""
        before = self._asked_w, self._asked_s
        self._asked_w, self._asked_s = watts, None
        began_s = trio.current_time()
        try:
            answer = await self._remote.ask("PUT", _path(self._owner), CapDraft(watts, self._lease_s, _short(reason)))
        except RefusedLoadError:
            self._asked_w, self._asked_s = before
            raise
        self._remote.read(answer, Lease)
        self._asked_s = began_s

    def _seen(self, state: State, **more: Any) -> Observation:
        return Observation(trio.current_time(), state, **more)


# ---- what this host and another one have in common ----


def owner_of(site: str | None) -> str:
    """Who asks nodes for caps. Of the site, not of this daemon: who takes over renews what is there. The bare
    word is each node's own, which no stranger may speak for.
    """
    return f"balance@{re.sub('[^A-Za-z0-9_.:-]', '-', site or 'site')}"[:64]


def lease_of(state: Caps, owner: str) -> Lease | None:
    return next((lease for lease in state.leases if lease.owner == owner), None)


def has_lapsed(state: Caps, owner: str) -> bool:
    """Whether it fell back to its own safe cap because this owner no longer asked."""
    return f" {owner} " in (reason_of(state, LAPSED) or "")


def reason_of(state: Caps, owner: str) -> str | None:
    lease = lease_of(state, owner)
    return None if lease is None else lease.reason


def owner_in(original: Original, usual: str) -> str:
    owner = original.get("owner")
    return owner if isinstance(owner, str) else usual


def span_of(state: Caps, bounds_w: tuple[float | None, float | None], what: str) -> tuple[float, float]:
    """The least and the most that it may be capped to. Raises LoadError where nobody knows the most."""
    least_w, most_w = bounds_w
    least_w = max(state.min_watts, least_w or 0.0)
    known = [watts for watts in (state.max_watts, most_w) if watts is not None]
    if not known:
        raise LoadError(f"{what}: its hardware does not say the most that it can be capped to; set max of the load")
    return least_w, max(least_w, min(known))


def need_of(state: Caps, owner: str, power_w: float | None) -> float | None:
    """What it would draw if this owner did not hold it. None where nobody knows: it draws all that it may."""
    others_w = min((lease.watts for lease in state.leases if lease.owner not in {owner, LAPSED}), default=None)
    lease = lease_of(state, owner)
    if power_w is not None and (lease is None or power_w < AT_ITS_LIMIT * lease.watts):
        need_w = power_w * ROOM
        return need_w if others_w is None else min(need_w, others_w)
    return others_w


def is_confirmed(state: Caps, owner: str, asked_w: float) -> bool:
    """Our lease is that, and the hardware holds no more. Another owner's cap may make it less."""
    lease = lease_of(state, owner)
    if lease is None or state.is_dry_run or abs(lease.watts - asked_w) > STEP_W / 2:
        return False
    return state.effective_watts is not None and state.effective_watts <= asked_w + STEP_W


def packages_w(zones: Iterable[ZoneCount]) -> float | None:
    """None where one of them does not tell: the others are not the whole host."""
    packages = [zone.watts for zone in zones if zone.zone == PACKAGE]
    told = [watts for watts in packages if watts is not None]
    return sum(told) if told and len(told) == len(packages) else None


def notes_of(state: Caps) -> tuple[str, ...]:
    found = [one_line(problem) for problem in state.problems]
    found += [f"{zone.id}: {zone.ceded_to} writes it too" for zone in state.zones if zone.ceded_to]
    return tuple(found[:NOTES_MAX])


def _path(owner: str) -> str:
    return f"{CAPS}/{quote(owner, safe='')}"


def _short(reason: str | None) -> str | None:
    return one_line(reason)[:256] if reason else None
