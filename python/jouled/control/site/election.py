"""One controller among several daemons: elected by the store's server where there is one, by a lock of this host else.

The lock is of a session of the server, and a session ends in many ways: the holder dies, its host goes without a
word, an operator ends it, the server is started anew. Not all of them are seen at once by the holder. So the holder
asks the server each second, and acts only as long as an answered question is no older than PATIENCE_S; and whoever
takes the lock waits as long before it acts. Two never act at once, whichever way the lock went from one to the other.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Generator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import trio

from jouled.errors import JouledError, one_line
from jouled.log import Once, log

if TYPE_CHECKING:  # a host without a server needs no driver of one
    from psycopg import Connection

# Between two questions of the holder, and between two tries of the others.
LOOK_S = 1.0
# No answer for so long: the holder no longer acts.
PATIENCE_S = 3.0
# After so long without a word of the holder the server ends its session: some questions may be late.
GONE_S = 4.0
# From the loss of a controller until the next one acts, at most: GONE_S, a try, and PATIENCE_S.
FAIL_OVER_S = 10.0
LOCK = "balance.lock"
THREAD = "jouled election"


def awake_or_not_s() -> float:
    """Seconds of a clock that nobody can set, and that goes on while the host sleeps: others do not sleep then."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ElectionError(JouledError):
    """Nobody can be elected: no server, no directory. It is tried again."""


class Ballot(Protocol):
    """One try, and what is asked while it is held. All of it may block: it runs in a thread of its own."""

    @property
    def grace_s(self) -> float:
        """How long the holder of before may go on without knowing that it has lost."""
        ...

    def take(self) -> bool:
        """Whether this one has won. Raises ElectionError."""
        ...

    def is_held(self) -> bool:
        """Whether it still has it. Raises ElectionError where nobody knows."""
        ...

    def let_go(self) -> None:
        """Gives it up, and whatever was opened. Raises nothing."""
        ...


class Elector:
    """`run` tries until it wins, and again after each loss. Ask `is_leader` right before whatever is done to a load."""

    def __init__(self, ballot: Ballot, *, clock: Callable[[], float] = awake_or_not_s, look_s: float = LOOK_S) -> None:
        self._ballot = ballot
        self._clock = clock
        self._look_s = look_s
        # When the lock was taken, and when the latest question that was answered well was asked.
        self._taken_s: float | None = None
        self._sure_s = 0.0
        self._leads = trio.Event()
        self._limiter = trio.CapacityLimiter(1)
        self._once = Once()
        self.elections_total = 0
        self.losses_total = 0
        self.problem: str | None = None

    def __repr__(self) -> str:
        return f"<Elector {'leads' if self.is_leader else 'waits'}>"

    @property
    def is_leader(self) -> bool:
        """False as soon as somebody else could be: also where this host has slept, or was stopped for a while."""
        return self.sure_for_s > 0

    @property
    def sure_for_s(self) -> float:
        """For so long nobody else leads, whatever happens: what is begun should end within. 0 where it does not lead."""
        if self._taken_s is None or self._clock() - self._taken_s < self._ballot.grace_s:
            return 0.0
        return max(0.0, PATIENCE_S - (self._clock() - self._sure_s))

    async def wait(self) -> None:
        """Until this one leads."""
        while not self.is_leader:
            if self._leads.is_set():  # it has not been noticed yet that it does not any more
                await trio.sleep(self._look_s)
            else:
                await self._leads.wait()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. It then leads on for as long as it is sure, to leave the loads as they are to be left:
        `give_up` follows.
        """
        task_status.started()
        while True:
            await self._look()
            await trio.sleep(self._look_s)

    async def give_up(self) -> None:
        """At the end: the next one may take it at once."""
        self._lose("it was given up")
        await self._let_go()

    async def _look(self) -> None:
        """One question. While a thread hangs it keeps the limiter, and no second one is begun behind it."""
        asked_s, limiter = self._clock(), self._limiter
        ask = self._ballot.take if self._taken_s is None else self._ballot.is_held
        has_it = False
        try:
            with trio.fail_after(PATIENCE_S):
                has_it = await trio.to_thread.run_sync(ask, limiter=limiter, abandon_on_cancel=True, thread_name=THREAD)
        except trio.TooSlowError:
            self._trouble(f"no answer within {PATIENCE_S:g} s; check the store's server and the network")
        except ElectionError as error:
            self._trouble(str(error))
        else:
            self.problem = None
        if has_it and self._clock() - asked_s < PATIENCE_S:
            self._hold(asked_s)
        elif self._taken_s is not None or has_it:
            self._lose(self.problem or "the lock is another's")
            await self._let_go()

    def _hold(self, asked_s: float) -> None:
        if self._taken_s is None:
            # It was taken at some time after it was asked for.
            self._taken_s = self._clock()
        self._sure_s = asked_s
        if self.is_leader and not self._leads.is_set():
            self.elections_total += 1
            log.info("balance: this daemon is the controller now")
            self._leads.set()

    def _lose(self, why: str) -> None:
        self._taken_s = None
        if self._leads.is_set():
            self._leads = trio.Event()
            self.losses_total += 1
            log.warning(f"balance: this daemon is no longer the controller: {why}")

    async def _let_go(self) -> None:
        """What is left of the session ends before it is tried anew; also where this task is cancelled."""
        with trio.move_on_after(PATIENCE_S, shield=True):
            await trio.to_thread.run_sync(
                self._ballot.let_go, limiter=self._limiter, abandon_on_cancel=True, thread_name=THREAD
            )

    def _trouble(self, why: str) -> None:
        self.problem = why
        self._once.warning(f"balance: no controller can be elected: {why}")


class FileBallot:
    """A lock in the state directory: one controller on this host, and the kernel lets it go with the process."""

    def __init__(self, state_dir: str) -> None:
        self.grace_s = 0.0
        self._path = Path(state_dir) / LOCK
        self._descriptor: int | None = None

    def __repr__(self) -> str:
        return f"<FileBallot {self._path}>"

    def take(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ElectionError(
                f"open {self._path}: {error.strerror}; set state_dir to where jouled may write"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                return False
            raise ElectionError(f"lock {self._path}: {error.strerror}; set state_dir to a local disk") from error
        self._descriptor = descriptor
        return True

    def is_held(self) -> bool:
        """A file that was removed or replaced locks out nobody."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.lstat())
        except OSError:
            return False

    def let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class ServerBallot:
    """A session's advisory lock of PostgreSQL, on a connection of its own. `site` tells several fleets apart that
    keep their books in one database; `address` is what libpq takes. A pooler between must give each client a
    session of its own.
    """

    def __init__(self, address: str, site: str = "", *, grace_s: float = PATIENCE_S) -> None:
        self.grace_s = grace_s
        self._address = address
        self._key = key_of(site)
        self._connection: Connection[Any] | None = None

    def __repr__(self) -> str:
        return f"<ServerBallot {self._key}>"

    def take(self) -> bool:
        import psycopg

        try:
            if self._connection is None or self._connection.closed:
                self._connection = _connected(self._address)
            return self._is_ours("SELECT pg_try_advisory_lock(%s)")
        except psycopg.Error as error:
            self.let_go()
            raise ElectionError(_words(error)) from error

    def is_held(self) -> bool:
        """Of the server itself: a pooler between, or a failover of the server, could have made it another session."""
        import psycopg

        if self._connection is None or self._connection.closed:
            return False
        try:
            return self._is_ours(HELD)
        except psycopg.Error as error:
            raise ElectionError(_words(error)) from error

    def let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _is_ours(self, question: str) -> bool:
        assert self._connection is not None  # noqa: S101  (both callers looked)
        row = self._connection.execute(question.encode(), (self._key,)).fetchone()
        return row is not None and bool(row[0])


# The key of 64 bits lies there in two halves; objsubid 1 is that of one key.
HELD = (
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted"
    " AND objsubid = 1 AND ((classid::bigint << 32) | objid::bigint) = %s"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
)


def key_of(site: str) -> int:
    """A key of 63 bits, the same on every host; with a word of ours in it, since other programs lock too."""
    return int.from_bytes(blake2b(f"jouled balance {site}".encode(), digest_size=8).digest(), "big") >> 1


def ballot_of(url: str, state_dir: str, site: str = "") -> Ballot:
    """By `store.url`: the server of PostgreSQL, or this host alone. Raises ConfigError."""
    if not url.startswith("postgres"):
        return FileBallot(state_dir)
    from jouled.store.engine import store_url

    address = store_url(url, state_dir).set(drivername="postgresql").render_as_string(hide_password=False)
    return ServerBallot(address, site)


# What the server does about a session of which nothing comes: its host is gone, or it stands still.
SESSION = {
    "statement_timeout": f"{PATIENCE_S * 1000:.0f}",
    "lock_timeout": f"{PATIENCE_S * 1000:.0f}",
    "idle_session_timeout": f"{GONE_S * 1000:.0f}",
    "tcp_keepalives_idle": "1",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": f"{GONE_S - 1:.0f}",
    "tcp_user_timeout": f"{GONE_S * 1000:.0f}",
}


def _connected(address: str) -> Connection[Any]:
    from psycopg import Connection as Usual
    from psycopg import OperationalError

    class Timed(Usual[Any]):
        """No statement waits longer than PATIENCE_S, also where a proxy takes it and says nothing."""

        def wait(self, gen: Generator[Any, Any, Any], interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ARG002  (the shape is given)
            return super().wait(_timed(gen, time.monotonic() + PATIENCE_S, OperationalError), interval)

    connection = Timed.connect(
        address,
        autocommit=True,
        connect_timeout=int(PATIENCE_S),
        application_name="jouled balance",
        keepalives_idle=1,
        keepalives_interval=1,
        keepalives_count=2,
        tcp_user_timeout=int(PATIENCE_S * 1000),
    )
    try:
        set_all = "SELECT " + ", ".join("set_config(%s, %s, false)" for _ in SESSION)
        connection.execute(set_all.encode(), [word for pair in SESSION.items() for word in pair])
    except BaseException:
        connection.close()
        raise
    return connection


def _timed(gen: Generator[Any, Any, Any], end_s: float, error: type[Exception]) -> Generator[Any, Any, Any]:
    """As `gen`, which is asked again every tenth of a second while nothing comes."""
    wanted = next(gen)
    while True:
        ready = yield wanted
        if time.monotonic() > end_s:
            gen.close()
            raise error(f"no answer within {PATIENCE_S:g} s")
        try:
            wanted = gen.send(ready)
        except StopIteration as ended:
            return ended.value


def _words(error: Exception) -> str:
    return f"the store's server: {one_line(str(error)) or type(error).__name__}; it is asked again"
