"""Keeps the node below what was asked for, and gives the hardware's own limits back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

import trio

from jouled.balance.leases import LAPSED, SAFE, Bounds, Held, Leases
from jouled.config.caps import Caps as Settings
from jouled.control.caps.asleep import slept_s
from jouled.control.caps.counters import CapCounters
from jouled.control.caps.shown import caps_of, least_w, most_w
from jouled.control.caps.turns import Hands, Happening, KeptLeases, Outcome, Power, Severity, Wanted
from jouled.errors import ConflictError, JouledError, UnsupportedError
from jouled.feed import Feed
from jouled.log import Once, log
from jouled.wire.caps import CapDraft, CapPlan, Caps, Lease

T = TypeVar("T")

# What the thread is called while it touches files.
CAPS_THREAD = "jouled caps"
# A file of the kernel answers in microseconds; one that takes so long hangs.
ANSWER_S = 10.0
# The daemon's end waits so long: systemd would kill it, and `joulectl caps restore` comes after it.
GIVE_BACK_S = 2.0
# How often it is looked whether the host has slept: no files are read for it.
SLEEP_LOOK_S = 5.0
SLEPT_S = 1.0
RETRY_S = 1.0
RETRY_MAX_S = 300.0
# A wall clock that is off by less has drifted, not been set.
STEP_S = 1.0

LEFT = {
    "restore": "the original limits are back",
    "hold": "the caps stay, by caps.on_exit",
    "safe": "the safe cap stays, by caps.on_exit",
}
SWITCHED_OFF = "power capping is switched off; switch on [caps] enabled in jouled.toml and restart the daemon"
STOPPING = "the daemon is stopping, and caps nothing any more"
HANGS = f"the files of the power limits do not answer within {ANSWER_S:g} s; see dmesg"


class UnansweredError(JouledError):
    """The kernel's files do not answer. Whether anything was written is seen at the next look."""


class UnwritableError(JouledError):
    """Not one of the limits could be written; what held before still does."""


class InThread(Protocol):
    """Runs work that blocks, one at a time, in the order of asking."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


class OwnThread:
    """On cancel the thread is left behind and keeps its turn: whatever comes after it, giving back above
    all, sees all that it did.
    """

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(1)

    async def __call__(self, work: Callable[[], T], /) -> T:
        return await trio.to_thread.run_sync(
            work, limiter=self._limiter, abandon_on_cancel=True, thread_name=CAPS_THREAD
        )


def utc_now() -> datetime:
    return datetime.now(UTC)


def no_power() -> Power | None:
    """Nothing is measured."""
    return None


def ignore(_: Happening) -> None:
    """There are no books to tell."""


class CapKeeper:
    """Holds the leases, writes what follows from them, looks whether it is still so, and gives back.

    `leases` are those of an earlier life. `clock` is one that nobody can set, `wall` only for showing;
    `power` tells what is measured now, and `tell` hears of each happening once it is logged: it must not wait.
    """

    def __init__(
        self,
        settings: Settings,
        hands: Hands,
        *,
        leases: Leases | None = None,
        power: Callable[[], Power | None] = no_power,
        tell: Callable[[Happening], None] = ignore,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = utc_now,
        slept: Callable[[], float] = slept_s,
        in_thread: InThread | None = None,
    ) -> None:
        self.settings = settings
        self.counters = CapCounters()
        # A new state each time that anything of it has changed.
        self.changed: Feed[Caps] = Feed()
        self._hands = hands
        self._leases = leases or Leases()
        self._power = power
        self._tell = tell
        self._clock = clock
        self._wall = wall
        self._slept = slept
        self._slept_s = slept()
        # Since the latest look that came to its end.
        self._is_awake_anew = False
        self._in_thread: InThread = in_thread or OwnThread()
        # One change is thought through, written and in force before the next one begins.
        self._turn = trio.Lock()
        self._outcome = Outcome()
        # The lease that counted when this was last said.
        self._counting: tuple[str, float] | None = None
        self._trouble: str | None = None
        self._once = Once()
        self._retry_s = RETRY_S
        # What the wall clock showed when the other one began.
        self._epoch = wall() - timedelta(seconds=clock())
        self._completed_s: float | None = None
        self._is_over = False
        self._news = trio.Event()
        # When the next look begins, by `clock`, unless there is news.
        self._looks_at_s = math.inf

    def __repr__(self) -> str:
        return f"<CapKeeper [{len(self._leases.held)} leases, {self.counters.writes_total} writes]>"

    @property
    def is_live(self) -> bool:
        """Whether the latest look came to its end, and not long ago: what systemd's watchdog stands on."""
        if self._completed_s is None:
            return False
        return self._clock() - self._completed_s <= self._pause_s() + 2 * ANSWER_S

    def state(self) -> Caps:
        """What is asked for and what holds, as last read; never touches a file, and any thread may ask."""
        leases = self._in_time()
        return caps_of(self.settings, leases.shown(self._epoch_now()), self._outcome, self._trouble)

    # ---- what others ask for ----

    def plan(self, owner: str, draft: CapDraft) -> CapPlan:
        """What `hold` of the same would write, from the limits as last read. Nothing is written.

        Raises InvalidError with the allowed range, ConflictError where capping is switched off, and
        UnsupportedError where this host has nothing to limit.
        """
        self._refuse_unless_open()
        leases = self._with(owner, draft)
        assert leases.watts is not None  # noqa: S101  (it holds one at least)
        return self._hands.planned(leases.watts)

    async def hold(self, owner: str, draft: CapDraft) -> Lease:
        """Take, renew or change the one lease of `owner`, and write what follows; it is written on return.

        Raises InvalidError with the allowed range, ConflictError where capping is switched off or the
        daemon stops, UnsupportedError where this host has nothing to limit, JournalError where the
        originals cannot be made durable, UnwritableError where no limit takes it: in these cases
        nothing has changed. Raises UnansweredError where the kernel hangs.
        """
        self._refuse_unless_open()
        async with self._turn:
            if self._completed_s is None:
                await self._do(self._in_time())
            before, leases = self._in_time(), self._with(owner, draft)
            outcome = await self._do(leases)
            # Where the lowest stays as it is nothing new was asked of the limits.
            if leases.watts != before.watts and (refusal := self._refusal(outcome)) is not None:
                await self._do(self._current())
                raise refusal
            self._now_in_force(leases)
            held = leases.of(owner)
            assert held is not None  # noqa: S101  (it was put there)
            return Leases((held,)).shown(self._epoch_now())[0]

    async def release(self, owner: str) -> bool:
        """Give the lease of `owner` up; what follows is written on return. Returns whether there was one.

        What cannot be given back now is tried again, and stands in the state's problems.
        """
        return await self._release(lambda leases: leases.without(owner)) > 0

    async def release_all(self) -> int:
        """Give all leases up, jouled's own too. Returns how many there were."""
        return await self._release(lambda _: Leases())

    def apply(self, settings: Settings) -> None:
        """What a reload can change holds from the next look on, which is now."""
        self.settings = self._hands.settings = settings
        self._news.set()

    # ---- its own life ----

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled: looks at the limits again and again. Ready after the first look."""
        await self._look(has_slept=True)
        task_status.started()
        while True:
            has_slept = await self._pause()
            # What is new from here on, while the files are read, is for one more look.
            self._news = trio.Event()
            self._looks_at_s = -math.inf
            await self._look(has_slept=has_slept)

    async def give_back(self) -> None:
        """What `on_exit` says, within two seconds, also where the task is cancelled. The last thing to call."""
        if self._is_over:
            return
        self._is_over = True
        kept = self._kept(self._in_time())
        with trio.CancelScope(shield=True, deadline=trio.current_time() + GIVE_BACK_S) as scope:
            problems = await self._in_thread(lambda: self._hands.leave(kept))
            for problem in problems:
                log.error(f"caps: {problem}")
            if not problems and (self._outcome.entries or self.settings.on_exit == "safe"):
                log.info(f"caps: {LEFT[self.settings.on_exit]}")
        if scope.cancelled_caught:
            log.error(
                f"caps: the files of the power limits do not answer within {GIVE_BACK_S:g} s, and may still be"
                " capped; `joulectl caps restore` gives them back"
            )
        self.changed.close()

    # ---- inside ----

    def _refuse_unless_open(self) -> None:
        if not self.settings.enabled:
            raise ConflictError(SWITCHED_OFF)
        if self._is_over:
            raise ConflictError(STOPPING)

    def _with(self, owner: str, draft: CapDraft) -> Leases:
        """As they would be then. What on_exit = safe has left ends as soon as somebody asks for a cap."""
        bounds = Bounds(
            least_w(self.settings, self._outcome), most_w(self.settings, self._outcome), self.settings.lease_max_s
        )
        bounds.check(draft.watts, draft.ttl_seconds)
        now_s = self._clock()
        leases = self._in_time()
        if owner != SAFE:
            leases = leases.without(SAFE)
        return leases.with_one(
            owner, draft.watts, draft.ttl_seconds, draft.reason, now_s, lifts=draft.on_lapse == "lift"
        )

    def _in_time(self) -> Leases:
        """Those whose time has not passed, and what is fallen back to where one ended that was not asked for again."""
        return self._leases.lapsed(self._clock(), self.settings.lapse_w, self._epoch_now())

    def _current(self) -> Leases:
        """Those whose time has not passed, as the settings of now allow them: a reload may have changed these."""
        return self._in_time().within(self.settings.min_w, self.settings.max_w)

    def _refusal(self, outcome: Outcome) -> JouledError | None:
        """Why a cap that was just written has no effect at all."""
        if self.settings.dry_run:
            return None
        # The same advice for each limit says no more than once.
        problems, more = next(iter(outcome.problems), ""), len(outcome.problems) - 1
        problems += f"; and {more} more, see joulectl caps list" if more > 0 else ""
        if not outcome.can_limit:
            return UnsupportedError(problems or "this host has no power limit that could be set")
        if outcome.failed and not outcome.writes and not outcome.holding:
            return UnwritableError(problems or "no limit could be written")
        return None

    async def _release(self, change: Callable[[Leases], Leases]) -> int:
        """Whatever becomes of the files, the lease is given up."""
        self._refuse_unless_open()
        async with self._turn:
            before = self._in_time()
            self._leases = change(before)
            released = len(before.held) - len(self._leases.held)
            if released:
                await self._try(self._leases)
            return released

    async def _look(self, *, has_slept: bool) -> None:
        async with self._turn:
            await self._try(self._current(), has_slept=has_slept)

    async def _try(self, leases: Leases, *, has_slept: bool = False) -> None:
        """What cannot be done is said, and tried again at the next look."""
        try:
            await self._do(leases, has_slept=has_slept)
        except JouledError as error:
            self._trouble = str(error)
            self._once.warning(f"caps: {error}")
            self._publish()
        else:
            self._now_in_force(leases)

    async def _do(self, leases: Leases, *, has_slept: bool = False) -> Outcome:
        """One turn of the hands. Raises JouledErrors: then `leases` are not in force."""
        # Whoever asks right after a sleep is the first to look, and what the firmware has set is no one's fault.
        has_slept = self._has_slept() or self._is_awake_anew or has_slept
        wanted = Wanted(leases.watts, self._kept(leases), self._power(), has_slept)
        # The scope's own cancel and an outer one look alike from here: only the deadline is ours.
        with trio.move_on_after(ANSWER_S) as scope:
            outcome = await self._in_thread(lambda: self._hands.turn(wanted))
        if scope.cancelled_caught:
            raise UnansweredError(HANGS)
        self._trouble = None
        self._is_awake_anew = False
        self._completed_s = self._clock()
        self._retry_s = min(2 * self._retry_s, RETRY_MAX_S) if outcome.unrestored else RETRY_S
        self._outcome = outcome
        self.counters.add(outcome)
        for happening in outcome.happenings:
            self._say(happening)
        return outcome

    def _kept(self, leases: Leases) -> KeptLeases:
        return KeptLeases(leases.held, leases.shown(self._epoch_now()), self._wall())

    def _now_in_force(self, leases: Leases) -> None:
        self._leases = leases
        if leases.next_end_s is not None and leases.next_end_s < self._looks_at_s:
            # It ends before anybody would look: what was capped for it is given back then, and not later.
            self._news.set()
        lowest = leases.lowest
        counting = None if lowest is None else (lowest.owner, lowest.watts)
        if counting != self._counting:
            self._counting = counting
            self._say(_said_of(lowest, self._outcome, is_dry_run=self.settings.dry_run))
        self._publish()

    def _publish(self) -> None:
        state = self.state()
        if state != self.changed.latest and not self.changed.is_closed:
            self.changed.publish(state)

    def _say(self, happening: Happening) -> None:
        say = {"info": log.info, "warning": log.warning, "critical": log.error}[happening.severity]
        say(f"caps: {happening.note}")
        self._tell(happening)

    def _epoch_now(self) -> datetime:
        """Where the wall clock was set the ends of leases are shown otherwise; they are the same."""
        epoch = self._wall() - timedelta(seconds=self._clock())
        if abs((epoch - self._epoch).total_seconds()) > STEP_S:
            self._epoch = epoch
        return self._epoch

    def _pause_s(self) -> float:
        """Until the next look."""
        return self._retry_s if self._outcome.unrestored else self.settings.check_s

    async def _pause(self) -> bool:
        """Until the next look, the end of a lease, or news. Returns whether the host has slept meanwhile."""
        pause_s = self._pause_s()
        if (end_s := self._leases.next_end_s) is not None:
            pause_s = min(pause_s, max(0.0, end_s - self._clock()))
        self._looks_at_s = self._clock() + pause_s
        due_s = trio.current_time() + pause_s
        while not self._news.is_set():
            left_s = due_s - trio.current_time()
            with trio.move_on_after(min(max(left_s, 0.0), SLEEP_LOOK_S)):
                await self._news.wait()
            if self._has_slept():
                return True
            if left_s <= SLEEP_LOOK_S:
                return False
        return False

    def _has_slept(self) -> bool:
        before_s, self._slept_s = self._slept_s, self._slept()
        if self._slept_s - before_s <= SLEPT_S:
            return False
        self._is_awake_anew = True
        log.info("caps: the host has slept; the limits are looked at anew", slept=f"{self._slept_s - before_s:.0f}s")
        return True


def _said_of(lowest: Held | None, outcome: Outcome, *, is_dry_run: bool) -> Happening:
    if lowest is None:
        note = "no cap is asked for any more"
        if not is_dry_run:
            note += "; the limits are as they were" if not outcome.problems else "; not every limit is as it was"
        return Happening("cap_lifted", "info", "node", note)
    note = f"at most {lowest.watts:g} W, asked for by {lowest.owner}"
    if lowest.reason is not None:
        note += f": {lowest.reason}"
    severity: Severity = "warning" if lowest.owner == LAPSED else "info"
    return Happening("cap_set", severity, lowest.owner, note + (" (dry run)" if is_dry_run else ""), lowest.watts)
