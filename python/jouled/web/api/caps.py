"""`/api/v1/caps`: who asks for which power cap, what holds, and what a cap would write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NoReturn, Protocol, TypeAlias, runtime_checkable

import msgspec
import trio
from litestar import Controller, delete, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from jouled.config.caps import Caps as CapSettings
from jouled.errors import ConflictError, InvalidError, NotFoundError, UnsupportedError
from jouled.wire.caps import CapDraft, CapPlan, Lease, Released
from jouled.wire.caps import Caps as State

if TYPE_CHECKING:  # a daemon that caps nothing imports nothing of it
    from jouled.balance.limits import LimitZone
    from jouled.control.caps.keeper import CapKeeper

# Jouled's own rooms: what they hold follows from the settings, and a stranger must not speak for them.
OWN = ("market", "balance", "safe", "lapsed")
# Of these what is left when nobody asks any more: whoever may cap may lift it.
LEFT = ("safe", "lapsed")
# A sysfs that hangs must not keep a client for ever.
LOOK_S = 5.0
SWITCHED_OFF = "power capping is switched off; set caps.enabled = true in jouled.toml and restart the daemon"

# As `wire.caps.Owner` has it; JSON Schema knows no \\Z.
OwnerInPath: TypeAlias = Annotated[
    str,
    PathParameter(
        max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@-]*$(?!\n)", description="Who asks; one cap each."
    ),
]
DryRun: TypeAlias = Annotated[bool, QueryParameter(description="Say what would be written, and write nothing.")]


@runtime_checkable
class Capping(Protocol):
    """What the routes need of whoever keeps the caps."""

    async def look(self) -> State: ...
    async def plan(self, owner: str, draft: CapDraft) -> CapPlan: ...
    async def hold(self, owner: str, draft: CapDraft) -> Lease: ...
    async def release(self, owner: str) -> bool: ...
    async def release_all(self) -> int: ...


TheCaps: TypeAlias = NamedDependency[Capping]


class CapsOn:
    """By the keeper of this daemon."""

    def __init__(self, keeper: CapKeeper) -> None:
        self._keeper = keeper

    def __repr__(self) -> str:
        return f"<CapsOn {self._keeper!r}>"

    async def look(self) -> State:
        return self._keeper.state()

    async def plan(self, owner: str, draft: CapDraft) -> CapPlan:
        return self._keeper.plan(owner, draft)

    async def hold(self, owner: str, draft: CapDraft) -> Lease:
        return await self._keeper.hold(owner, draft)

    async def release(self, owner: str) -> bool:
        return await self._keeper.release(owner)

    async def release_all(self) -> int:
        return await self._keeper.release_all()


class CapsOff:
    """Where capping is switched off: the limits are shown as they are, and nobody changes them."""

    def __init__(self, settings: CapSettings | None = None, sysfs: str = "/sys") -> None:
        self._settings = settings or CapSettings()
        self._sysfs = sysfs
        # One look at a time, however many ask and however slow the hardware is.
        self._limiter = trio.CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<CapsOff {self._sysfs}>"

    async def look(self) -> State:
        from jouled.balance.shown_limits import caps_of

        return caps_of(await self._read(), min_w=self._settings.min_w, max_w=self._settings.max_w)

    async def plan(self, owner: str, draft: CapDraft) -> CapPlan:  # noqa: ARG002  (the shape is given)
        """What would be written if capping were switched on."""
        from jouled.balance.leases import Bounds
        from jouled.balance.shown_limits import planned

        settings = self._settings
        Bounds(settings.min_w, settings.max_w, settings.lease_max_s).check(draft.watts, draft.ttl_seconds)
        made = planned(await self._read(), draft.watts, division=settings.division)
        return msgspec.structs.replace(made, problems=(*made.problems, SWITCHED_OFF))

    async def _read(self) -> tuple[LimitZone, ...]:
        from jouled.loads.rapl import read

        with trio.move_on_after(LOOK_S):
            return await trio.to_thread.run_sync(read, self._sysfs, abandon_on_cancel=True, limiter=self._limiter)
        raise UnsupportedError(f"reading the limits below {self._sysfs} takes longer than {LOOK_S:g} s; see dmesg")

    async def hold(self, owner: str, draft: CapDraft) -> Lease:  # noqa: ARG002  (the shape is given)
        _refuse()

    async def release(self, owner: str) -> bool:  # noqa: ARG002  (as above)
        _refuse()

    async def release_all(self) -> int:
        _refuse()


class Caps(Controller):
    """Power caps: leases of owners, of which the lowest counts."""

    path = "/caps"
    tags = ("caps",)
    opt = {"scope": "control"}  # noqa: RUF012  (Litestar copies it)

    @get()
    async def get_caps(self, caps: TheCaps) -> State:
        """Who asks for what, and what holds of it."""
        return await caps.look()

    @put("/{owner:str}")
    async def hold_cap(
        self, owner: OwnerInPath, data: JSONBody[CapDraft], caps: TheCaps, dry_run: DryRun = False
    ) -> Lease | CapPlan:
        """Ask for a cap, or renew or change it; it is in force once this answers.

        With `dry_run` nothing is changed, and the answer is the plan.
        """
        _check_owner(owner)
        if dry_run:
            return await caps.plan(owner, data)
        return await caps.hold(owner, data)

    @delete("/{owner:str}", status_code=200)
    async def release_cap(self, owner: OwnerInPath, caps: TheCaps) -> Released:
        """Give a cap up: the next lowest counts from then on, or the original limits."""
        if owner in OWN and owner not in LEFT:
            raise InvalidError(f"the owner {owner} is jouled's own; it is lifted with all others, or by the settings")
        if not await caps.release(owner):
            raise NotFoundError(f"{owner} has no cap here; GET /api/v1/caps says who has")
        return Released(1)

    @delete(status_code=200)
    async def release_all_caps(self, caps: TheCaps) -> Released:
        """Give all caps up, jouled's own too: the operator's way out. What the settings ask for comes back later."""
        return Released(await caps.release_all())


def _check_owner(owner: str) -> None:
    if owner in OWN:
        raise InvalidError(f"the owner {owner} is jouled's own; ask as another, as operator")


def _refuse() -> NoReturn:
    raise ConflictError(SWITCHED_OFF)
