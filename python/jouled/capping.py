"""`cap`: the node draws at most so much while a block runs."""

from __future__ import annotations

import itertools
import math
import os
import secrets
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from jouled import offload
from jouled.errors import JouledError

if TYPE_CHECKING:  # imported when a cap is taken
    from jouled.client import Client
    from jouled.wire.caps import Caps

# A program that is killed is uncapped after so long at the latest.
LEASE_S = 60.0
# Renewed twice before its end, so that one attempt may fail.
RENEW_PART = 3
# After an attempt that failed: a daemon that is started anew is back within seconds.
RETRY_S = 5.0
WATTS_MAX = 1_000_000.0

_numbers = itertools.count(1)
# Processes of two containers may have the same number; each process has a mark of its own.
_mark: tuple[int, str] | None = None


class CapError(JouledError):
    """A cap was not given, or was used in a way that it cannot be; the message says why, and what to do."""


def cap(
    watts: float,
    *,
    for_s: float | None = None,
    owner: str | None = None,
    reason: str | None = None,
    url: str | None = None,
) -> Cap:
    """Caps the power of the whole node while a block runs: `with jouled.cap(150) as cap:`, or `async with`.

    The daemon must run with `[caps] enabled`, and this user be root or named in `access.privileged`, or
    `$JOULED_TOKEN` hold a token with the scope `control`. The lowest cap of all owners counts. The cap
    is a lease of a minute that a thread renews: a program that is killed is uncapped within that minute.
    With `for_s` it ends after so many seconds, also where the block lasts longer. `url` is that of the
    daemon, as for joulectl; `owner` is this block's own by default, so that blocks can be nested.

    Raises ValueError for numbers that cannot be, and CapError where the block is entered: no daemon,
    capping switched off, not allowed, or watts outside of the range, which it names.
    """
    return Cap(watts, for_s, owner, reason, url)


class Cap:
    """A cap of a block. It is used once."""

    def __init__(
        self, watts: float, for_s: float | None, owner: str | None, reason: str | None, url: str | None
    ) -> None:
        _check("watts", watts, WATTS_MAX)
        if for_s is not None:
            _check("for_s", for_s, math.inf)
        self._watts = float(watts)
        self._for_s = for_s
        self._owner = owner or _own_name()
        self._reason = reason
        self._url = url
        self._pid: int | None = None
        self._client: Client | None = None
        self._end_s = math.inf
        self._lease_end_s = 0.0
        self._life_s: float | None = None
        self._state: Caps | None = None
        self._problem: str | None = None
        # Held while the daemon is asked: a renewal that is on its way must not come after the end.
        self._asking = threading.Lock()
        self._over = threading.Event()

    def __repr__(self) -> str:
        state = "not begun" if self._pid is None else "over" if self._over.is_set() else "in force"
        return f"<Cap {self._watts:g} W of {self._owner}: {state}>"

    @property
    def watts(self) -> float:
        """What was asked for."""
        return self._watts

    @property
    def owner(self) -> str:
        return self._owner

    @property
    def effective_w(self) -> float | None:
        """What the hardware's limits add up to, read back by the daemon at the last renewal; None where that is
        not known. Another owner's cap may make it lower, another program's write higher.
        """
        return None if self._state is None else self._state.effective_watts

    @property
    def problem(self) -> str | None:
        """Why the cap is not, or may not be, in force any more; None while all is well."""
        return self._problem

    def start(self) -> Self:
        """Takes the cap, where a `with` does not fit; returns itself. Raises CapError."""
        if self._pid is not None:
            raise CapError(f"the cap of {self._owner} was begun before; make a new one with cap()")
        from jouled.client import Client, DaemonError

        self._client = Client(self._url or os.environ.get("JOULED_URL") or None)
        self._end_s = math.inf if self._for_s is None else time.monotonic() + self._for_s
        try:
            self._take(self._client)
        except DaemonError as error:
            raise CapError(f"no cap of {self._watts:g} W: {error}") from error
        self._pid = os.getpid()
        threading.Thread(target=self._keep, args=(self._client,), name="jouled-cap", daemon=True).start()
        return self

    def stop(self) -> None:
        """Gives the cap up; a second time changes nothing. What fails is in `problem`: the lease ends by itself then."""
        # A forked child leaves its parent's cap alone.
        if self._client is None or self._pid != os.getpid() or self._over.is_set():
            return
        from jouled.client import DaemonError
        from jouled.wire.caps import Released

        self._over.set()
        with self._asking:
            try:
                self._client.delete(_path(self._owner), Released)
            except DaemonError as error:
                # 404: it was lifted, or its time had passed.
                if error.status != 404:
                    self._problem = f"{error}; the cap of {self._owner} ends by itself within {LEASE_S:g} s"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        try:
            return await offload.to_its_end(self.start)
        except BaseException:
            # Cancelled while the cap was taken: there will be no block, and no end of it.
            await offload.to_its_end(self.stop)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await offload.to_its_end(self.stop)

    # ---- the thread that renews ----

    def _keep(self, client: Client) -> None:
        from jouled.client import DaemonError

        wait_s = LEASE_S / RENEW_PART
        while not self._over.wait(min(wait_s, max(0.0, self._end_s - time.monotonic()))):
            if time.monotonic() >= self._end_s:
                return  # its lease ends now, too
            with self._asking:
                if self._over.is_set():
                    return
                try:
                    if self._was_lifted(client):
                        self._problem = f"the cap of {self._owner} was lifted by somebody else; it is not taken again"
                        return
                    self._take(client)
                except DaemonError as error:
                    self._problem = str(error)
                    wait_s = RETRY_S
                else:
                    self._problem = None
                    wait_s = LEASE_S / RENEW_PART

    def _take(self, client: Client) -> None:
        from jouled.wire.caps import CapDraft, Lease

        now_s = time.monotonic()
        ttl_s = min(LEASE_S, self._end_s - now_s)
        client.put(_path(self._owner), CapDraft(self._watts, max(ttl_s, 0.001), self._reason, "lift"), Lease)
        self._lease_end_s = now_s + ttl_s
        self._look(client)

    def _look(self, client: Client) -> None:
        """What holds, and which life of the daemon this is. It may not want to tell: the cap is in force."""
        from jouled.client import DaemonError
        from jouled.wire.caps import Caps

        try:
            self._state = client.ask("/api/v1/caps", Caps)
        except DaemonError:
            self._state = None
        self._life_s = _life_of(client)

    def _was_lifted(self, client: Client) -> bool:
        """Whether somebody has given the lease up before its time: the operator's word is the last one. A
        daemon that was started anew meanwhile has only forgotten it.
        """
        from jouled.wire.caps import Caps

        state = client.ask("/api/v1/caps", Caps)
        if any(lease.owner == self._owner for lease in state.leases) or time.monotonic() >= self._lease_end_s:
            return False
        return self._life_s is not None and self._life_s == _life_of(client)


def _life_of(client: Client) -> float | None:
    """When the daemon that answers opened its counters; each one has a time of its own. None where it does not tell."""
    from jouled.client import DaemonError

    try:
        return client.counters().opened_seconds
    except DaemonError:
        return None


def _own_name() -> str:
    global _mark  # noqa: PLW0603  (one for each process: a forked child has another)
    pid = os.getpid()
    if _mark is None or _mark[0] != pid:
        _mark = (pid, secrets.token_hex(3))
    return f"python:{pid}:{next(_numbers)}:{_mark[1]}"


def _path(owner: str) -> str:
    from urllib.parse import quote

    return f"/api/v1/caps/{quote(owner, safe='')}"


def _check(name: str, value: object, most: float) -> None:
    """Programs may hold anything."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and 0 < float(value) <= most and math.isfinite(float(value)):  # type: ignore[arg-type]  # as just seen
        return
    bound = f" and at most {most:g}" if math.isfinite(most) else ""
    raise ValueError(f"{name} {value!r} cannot be; give a number above 0{bound}")
