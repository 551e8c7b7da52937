"""A keeper of caps that touches nothing: its leases are real ones, its hardware is two packages of 100 W each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import trio

from jouled.config import Listener
from jouled.control.caps.counters import CapCounters
from jouled.errors import ConflictError, InvalidError
from jouled.feed import Feed
from jouled.wire.caps import CapDraft, CapPlan, Caps, CapWrite, Lease, LimitState, SliceState, ZoneState
from serving import serving

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PACKAGE_W = 100.0


class FakeKeeper:
    """Leases never end by themselves; what holds is a tenth of a watt below what was asked for."""

    def __init__(self, *, is_enabled: bool = True, clock: Callable[[], datetime] = lambda: NOW) -> None:
        self.counters = CapCounters()
        self.changed: Feed[Caps] = Feed()
        self.leases: dict[str, Lease] = {}
        self.trouble: Exception | None = None
        self.is_enabled = is_enabled
        self._clock = clock

    def publish(self) -> None:
        self.changed.publish(self.state())

    def state(self) -> Caps:
        asked = min((lease.watts for lease in self.leases.values()), default=None)
        each = None if asked is None else asked / 2
        return Caps(
            is_enabled=self.is_enabled,
            is_dry_run=False,
            asked_watts=asked,
            effective_watts=2 * PACKAGE_W if asked is None else asked - 0.1,
            min_watts=10.0,
            max_watts=2 * PACKAGE_W,
            leases=tuple(self.leases.values()),
            zones=tuple(_zone(index, each) for index in (0, 1)),
            slices=(SliceState("batch.slice", cpus=2.0, asked_cpus=2.0, original_cpus=None),) if each else (),
        )

    def plan(self, owner: str, draft: CapDraft) -> CapPlan:
        self._check(draft)
        path = "/sys/class/powercap/intel-rapl:0/constraint_0_power_limit_uw"
        after = f"{draft.watts * 5e5:.0f}"
        return CapPlan(
            draft.watts, draft.watts, (CapWrite(path, "package-0 long_term", "100000000", after),), (f"for {owner}",)
        )

    async def hold(self, owner: str, draft: CapDraft) -> Lease:
        self._check(draft)
        if not self.is_enabled:
            raise ConflictError("nothing is capped here; switch on [caps] enabled")
        if self.trouble is not None:
            raise self.trouble
        now = self._clock()
        since = self.leases[owner].since if owner in self.leases else now
        until = now + timedelta(seconds=draft.ttl_seconds)
        lease = self.leases[owner] = Lease(owner, draft.watts, until, since, draft.reason)
        self.counters.writes_total += 2
        self.publish()
        return lease

    async def release(self, owner: str) -> bool:
        was_there = self.leases.pop(owner, None) is not None
        self.publish()
        return was_there

    async def release_all(self) -> int:
        count = len(self.leases)
        self.leases.clear()
        self.publish()
        return count

    def _check(self, draft: CapDraft) -> None:
        if not 10.0 <= draft.watts <= 2 * PACKAGE_W:
            raise InvalidError(f"a cap of {draft.watts:g} W cannot be; allowed is 10 W to {2 * PACKAGE_W:g} W")


def _zone(index: int, asked_w: float | None) -> ZoneState:
    watts = PACKAGE_W if asked_w is None else asked_w - 0.05
    first = LimitState("long_term", watts, 28.0, 105.0)
    if asked_w is not None:
        first = msgspec.structs.replace(first, asked_watts=asked_w, original_watts=PACKAGE_W)
    limits = (first, LimitState("short_term", 120.0, 0.0024, None))
    return ZoneState(
        id=f"intel-rapl:{index}",
        zone="package",
        index=str(index),
        interface="msr",
        enabled=True,
        limits=limits,
        effective_watts=watts,
        ceded_to="thermald" if index == 1 and asked_w is not None and asked_w < 20 else None,
    )


@contextmanager
def capping(directory: Path, keeper: FakeKeeper | None = None, **settings: Any) -> Iterator[tuple[str, FakeKeeper]]:
    """A room that serves this keeper at a Unix socket, in a thread of its own; its address."""
    keeper = keeper or FakeKeeper(clock=lambda: datetime.now(UTC))
    path = directory / "jouled.sock"
    is_up, is_over = threading.Event(), trio.Event()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def serve() -> None:
        async with serving(Listener(f"unix:{path}"), keeper=keeper, **settings):
            tokens.append(trio.lowlevel.current_trio_token())
            is_up.set()
            await is_over.wait()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    try:
        assert is_up.wait(60)
        yield f"unix:{path}", keeper
    finally:
        tokens[0].run_sync_soon(is_over.set)
        thread.join()
