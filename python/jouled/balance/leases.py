"""Caps as leases: each has an owner and ends by itself. The lowest of them counts.

Times here are seconds of a clock that no one can set (CLOCK_MONOTONIC): a clock that is stepped shortens
and lengthens no lease. It stands still while the host sleeps, and so do the leases; whoever asked for an
hour gets an hour of a host that runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from jouled.errors import InvalidError
from jouled.wire.caps import Lease

# Owners are people, programs and jouled's own rooms; who asks for more has a defect.
LEASES_MAX = 64
# Jouled's own owner: what the node fell back to when a cap was not asked for again.
LAPSED = "lapsed"
# What on_exit = safe has left behind.
SAFE = "safe"
# Rooms of the daemon itself: they begin anew with it, and a lease of the life before is not missed.
ROOMS = ("market", "balance")
# Until somebody asks, or lifts it: longer than any host runs.
LAPSED_S = 10 * 365 * 86_400.0


class Held(NamedTuple):
    """The cap of one owner. `until_s` is when it ends, `since_s` when this owner first asked for one."""

    owner: str
    watts: float
    since_s: float
    until_s: float
    reason: str | None = None
    # That it ends is meant: nothing is fallen back to.
    lifts: bool = False

    @property
    def is_missed(self) -> bool:
        """Whether something is wrong where its time has passed."""
        return not self.lifts and self.owner not in {SAFE, LAPSED}


class Bounds(NamedTuple):
    """What may be asked for."""

    min_w: float
    # The hardware's, or what the operator set; None where neither is known.
    max_w: float | None
    lease_max_s: float

    def check(self, watts: float, ttl_s: float) -> None:
        """Raises InvalidError with what is allowed."""
        if not self.min_w <= watts <= (self.max_w if self.max_w is not None else watts):
            raise InvalidError(f"a cap of {watts:g} W cannot be; {self._allowed_w()}")
        if not 0 < ttl_s <= self.lease_max_s:
            raise InvalidError(
                f"a cap for {ttl_s:g} s cannot be; allowed is more than 0 s and at most {self.lease_max_s:g} s"
                " (caps.lease_max), then ask again"
            )

    def _allowed_w(self) -> str:
        if self.max_w is None:
            return f"allowed is {self.min_w:g} W (caps.min) or more"
        return f"allowed is {self.min_w:g} W to {self.max_w:g} W"


class Leases(NamedTuple):
    """All that are in force. Every change makes a new one, so that a change can be thought through first."""

    held: tuple[Held, ...] = ()

    def with_one(
        self, owner: str, watts: float, ttl_s: float, reason: str | None, now_s: float, *, lifts: bool = False
    ) -> Leases:
        """The owner's lease taken, renewed or changed. Raises InvalidError where there are too many."""
        before = self.of(owner)
        if before is None and len(self.held) >= LEASES_MAX:
            raise InvalidError(
                f"{len(self.held)} owners hold caps, and more than {LEASES_MAX} cannot; release one, or ask as one of them"
            )
        since_s = now_s if before is None else before.since_s
        # Who asks anew, and goes on asking, takes the node back from what it fell back to.
        kept = self if before is not None or lifts else self.without(LAPSED)
        return Leases((*kept.without(owner).held, Held(owner, watts, since_s, now_s + ttl_s, reason, lifts)))

    def without(self, owner: str) -> Leases:
        return Leases(tuple(lease for lease in self.held if lease.owner != owner))

    def at(self, now_s: float) -> Leases:
        """Those whose time has not passed."""
        return Leases(tuple(lease for lease in self.held if now_s < lease.until_s))

    def lapsed(self, now_s: float, safe_w: float | None, epoch: datetime) -> Leases:
        """As `at`. Where the time of one has passed that was not to end, the node falls back to `safe_w`, if it
        has one, until somebody asks anew.
        """
        left = self.at(now_s)
        if safe_w is None:
            return left.without(LAPSED)
        gone = [lease for lease in self.held if lease not in left.held and lease.is_missed]
        if gone:
            left = left.fallen_back(gone[0].owner, gone[0].until_s, safe_w, epoch)
        # The settings of now say how far.
        return Leases(tuple(one._replace(watts=safe_w) if one.owner == LAPSED else one for one in left.held))

    def fallen_back(self, owner: str, at_s: float, safe_w: float, epoch: datetime) -> Leases:
        """Since the lease of `owner` lapsed. Where it has fallen back before it stays so."""
        if self.of(LAPSED) is not None:
            return self
        at = epoch + timedelta(seconds=at_s)
        reason = f"safe: the lease of {owner} lapsed at {at:%Y-%m-%d %H:%M:%SZ}"
        return Leases((*self.held, Held(LAPSED, safe_w, at_s, at_s + LAPSED_S, reason)))

    def within(self, least_w: float, most_w: float | None) -> Leases:
        """With what the settings allow by now in place of what they do not: to end such a lease would uncap the node."""
        return Leases(tuple(lease._replace(watts=_nearest(lease.watts, least_w, most_w)) for lease in self.held))

    def of(self, owner: str) -> Held | None:
        return next((lease for lease in self.held if lease.owner == owner), None)

    @property
    def lowest(self) -> Held | None:
        """The one that counts; of equals the one that was taken first. None is no cap."""
        return min(self.held, key=lambda lease: (lease.watts, lease.since_s), default=None)

    @property
    def watts(self) -> float | None:
        return None if self.lowest is None else self.lowest.watts

    @property
    def next_end_s(self) -> float | None:
        """When the first of them ends."""
        return min((lease.until_s for lease in self.held), default=None)

    def shown(self, epoch: datetime) -> tuple[Lease, ...]:
        """For people and for the next life of the daemon; `epoch` is what the wall clock showed at 0 s."""
        return tuple(
            Lease(
                lease.owner,
                lease.watts,
                until=epoch + timedelta(seconds=lease.until_s),
                since=epoch + timedelta(seconds=lease.since_s),
                reason=lease.reason,
                on_lapse="lift" if lease.lifts else None,
            )
            for lease in self.held
        )


def adopted(
    kept: Iterable[Lease], kept_at: datetime, now_s: float, wall: datetime, bounds: Bounds
) -> tuple[Leases, tuple[str, ...]]:
    """Leases of an earlier life that have time left, and a line for each that cannot go on as it was.

    They were written down at `kept_at`. What has passed since is told by the wall clock, the only one
    that both lives share: where it was set back meanwhile nothing has passed, and a lease never gets
    longer than it was; where it was set forward the lease ends early, and its owner asks again.
    """
    held: list[Held] = []
    problems: list[str] = []
    gone_s = max(0.0, (wall - kept_at).total_seconds())
    for lease in kept:
        left_s = (lease.until - kept_at).total_seconds() - gone_s
        if lease.owner != LAPSED:
            left_s = min(left_s, bounds.lease_max_s)
        if not left_s > 0:
            continue
        watts = _nearest(lease.watts, bounds.min_w, bounds.max_w)
        if watts != lease.watts:
            problems.append(
                f"the cap of {lease.owner}, held from before, is {watts:g} W now: {lease.watts:g} W is not allowed any more"
            )
        age_s = max(0.0, (kept_at - lease.since).total_seconds()) + gone_s
        held.append(Held(lease.owner, watts, now_s - age_s, now_s + left_s, lease.reason, lease.on_lapse == "lift"))
    return Leases(tuple(held[:LEASES_MAX])), tuple(problems)


def missed(kept: Iterable[Lease], leases: Leases, safe_w: float, now_s: float, wall: datetime) -> Leases:
    """`leases`, adopted from those that were `kept`: where one of these has lapsed meanwhile the node falls back."""
    for lease in kept:
        is_room = lease.owner in {*ROOMS, SAFE, LAPSED}
        if leases.of(lease.owner) is None and lease.on_lapse is None and not is_room:
            at_s = now_s - max(0.0, (wall - lease.until).total_seconds())
            leases = leases.fallen_back(lease.owner, at_s, safe_w, wall - timedelta(seconds=now_s))
    return leases


def _nearest(watts: float, least_w: float, most_w: float | None) -> float:
    return max(least_w, watts if most_w is None else min(watts, most_w))
