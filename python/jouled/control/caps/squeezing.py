"""Slices of low priority come first: their CPU time is taken before a power limit slows down everything.

Coming down is at once. Going up waits until the node has been calm for a while: first the power limits are
lifted, then the slices get their time back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from jouled.balance.squeeze import SliceDraw, needed, squeeze
from jouled.balance.writes import Write
from jouled.config.caps import Caps as Settings
from jouled.control.caps.turns import Power
from jouled.journal import Entry
from jouled.loads.cgroup import Slice, cpus_of, plan
from jouled.loads.writing import Applied
from jouled.wire.caps import SliceState

# A change shows in what is measured only after so long, at least; two intervals where they are longer.
SETTLE_S = 10.0
# So long the node is to have room before anything is given back.
CALM_S = 60.0


class Cgroups(Protocol):
    """As `loads.cgroup.Cgroups`."""

    def read(self, names: Iterable[str]) -> tuple[Slice, ...]: ...
    def apply(
        self, writes: Iterable[Write], on_write: Callable[[Applied], None] | None = None
    ) -> tuple[Applied, ...]: ...


class Step(NamedTuple):
    """What is to be done now: writes of slices, slices that get their own limit back, and whether power limits hold."""

    writes: tuple[Write, ...] = ()
    freed: tuple[str, ...] = ()
    wants_limits: bool = True


class Squeezer:
    """Decides, and remembers what it decided. `clock` is one that nobody sets; `cpus` is what the node has."""

    def __init__(
        self, settings: Settings, cgroups: Cgroups, *, cpus: float, interval_s: float, clock: Callable[[], float]
    ) -> None:
        self.cgroups = cgroups
        self.slices: tuple[Slice, ...] = ()
        self._settings = settings
        self._cpus = cpus
        self._settle_s = max(SETTLE_S, 2 * interval_s)
        self._clock = clock
        self._quotas: dict[str, float | None] = {}
        self._node_w: float | None = None
        self._wants_limits = False
        # When it last changed anything, and since when the node has had room.
        self._changed_s: float | None = None
        self._calm_s: float | None = None

    def __repr__(self) -> str:
        return f"<Squeezer of {', '.join(self._settings.slices)}>"

    def read(self, entries: Sequence[Entry]) -> None:
        """The slices as they are; what an earlier life has squeezed is found in the journal."""
        self.slices = self.cgroups.read(self._settings.slices)
        by_path = {entry.path: entry for entry in entries}
        for one in self.slices:
            if one.name not in self._quotas:
                entry = by_path.get(one.path or "")
                self._quotas[one.name] = None if entry is None else cpus_of(entry.wrote, one.period_us)

    def step(self, node_w: float, power: Power | None, entries: Sequence[Entry]) -> Step:
        is_lower = self._node_w is None or node_w < self._node_w
        self._node_w = node_w
        if power is None:
            # Nobody knows what the node draws: the power limits hold it, whatever that is.
            self._wants_limits, self._calm_s = True, None
        else:
            self._decide(needed(power.node_w, node_w), power, entries, is_lower=is_lower)
        return self._step(entries)

    def forget(self) -> None:
        """No cap is asked for: everything was given back."""
        self._quotas = dict.fromkeys(self._quotas)
        self._node_w, self._changed_s, self._calm_s, self._wants_limits = None, None, None, False

    def _decide(self, needed_w: float, power: Power, entries: Sequence[Entry], *, is_lower: bool) -> None:
        now_s = self._clock()
        has_settled = self._changed_s is None or now_s - self._changed_s >= self._settle_s
        self._calm_s = None if needed_w >= 0 else now_s if self._calm_s is None else self._calm_s
        if needed_w > 0 and (is_lower or has_settled):
            # Squeezed before, and that was not enough.
            self._wants_limits = self._wants_limits or (has_settled and not is_lower and self._is_squeezed)
            self._change(needed_w, power, entries, now_s)
        elif self._calm_s is not None and has_settled and now_s - self._calm_s >= CALM_S:
            if self._wants_limits:
                self._wants_limits, self._changed_s = False, now_s
            else:
                self._change(needed_w, power, entries, now_s)

    def _change(self, needed_w: float, power: Power, entries: Sequence[Entry], now_s: float) -> None:
        draws = [self._draw(one, power, entries) for one in self.slices if one.path is not None]
        done = squeeze(needed_w, draws, floor_cpus=self._settings.slice_min_pct / 100, cpus=self._cpus)
        has_changed = any(self._quotas.get(name) != quota for name, quota in done.quotas.items())
        if has_changed:
            self._quotas.update(done.quotas)
            self._changed_s = now_s
        # At their floors, or there is none that could give.
        self._wants_limits = self._wants_limits or done.remaining_w > 0 or (needed_w > 0 and not has_changed)

    @property
    def _is_squeezed(self) -> bool:
        return any(quota is not None for quota in self._quotas.values())

    def _draw(self, one: Slice, power: Power, entries: Sequence[Entry]) -> SliceDraw:
        watts, busy = power.slices.get(one.name, (None, None))
        entry = _of(one, entries)
        own = one.cpus if entry is None else cpus_of(entry.original, one.period_us)
        return SliceDraw(one.name, watts, busy, self._quotas.get(one.name), own)

    def _step(self, entries: Sequence[Entry]) -> Step:
        writes: list[Write] = []
        freed: list[str] = []
        for one in self.slices:
            quota, entry = self._quotas.get(one.name), _of(one, entries)
            if one.path is None or (entry is not None and entry.ceded_to is not None):
                continue
            if quota is not None:
                writes.extend(plan(one, quota))
            elif entry is not None:
                freed.append(one.path)
        return Step(tuple(writes), tuple(freed), self._wants_limits)

    def states(self, entries: Sequence[Entry]) -> tuple[SliceState, ...]:
        return tuple(self._state(one, _of(one, entries)) for one in self.slices)

    def _state(self, one: Slice, entry: Entry | None) -> SliceState:
        return SliceState(
            one.name,
            one.cpus,
            asked_cpus=self._quotas.get(one.name) if entry is not None else None,
            original_cpus=None if entry is None else cpus_of(entry.original, one.period_us),
            ceded_to=None if entry is None else entry.ceded_to,
            problem=one.problem or (None if entry is None else entry.problem),
        )


def _of(one: Slice, entries: Sequence[Entry]) -> Entry | None:
    return next((entry for entry in entries if entry.path == one.path), None)
