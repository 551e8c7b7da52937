"""kill -9 while the store is written, again and again: what was acknowledged is there, once, and the books are sound.

The child writes keys as fast as it can, several threads at once, and tells its parent each key after its
write has returned. The parent kills it at a random moment. The rate of acknowledged writes is printed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from typing import Any, NamedTuple

THREADS = 8
# Around this many a second: the child holds back above it.
RATE_HZ = 1500.0


class Round(NamedTuple):
    """What came of one kill."""

    acknowledged: int
    seconds: float


def write_keys(url: str, number: int, threads: int) -> None:
    """The child: never returns by itself. Each key's row is one work, and its acknowledgement one line."""
    from sqlalchemy import Connection, insert

    from jouled.store import Store
    from jouled.store.schema.events import alerts, messages
    from jouled.store.types import instant

    store = Store(url)
    now = instant(1_790_000_000_000_000)
    alert: dict[str, Any] = {"type": "t", "severity": "info", "event_id": "e", "since_at": now, "note": ""}
    alert = {name: value for name, value in alert.items() if name in alerts.c}

    def work(key: str) -> Any:
        def put(connection: Connection) -> None:
            # Two rows: a transaction is there as a whole, or not.
            connection.execute(insert(alerts).values(dedup_key=key, **alert))
            connection.execute(insert(messages).values(topic="events", at=now, body={"key": key}))

        return put

    def write(thread: int) -> None:
        count = 0
        start_s = time.monotonic()
        while True:
            key = f"{number}-{thread}-{count}"
            store.write(work(key))
            os.write(1, f"{key}\n".encode())
            count += 1
            time.sleep(max(0.0, start_s + count * threads / RATE_HZ - time.monotonic()))

    for thread in range(threads):
        threading.Thread(target=write, args=(thread,), daemon=True).start()
    signal.pause()


def kill_once(url: str, number: int, *, after_s: float, threads: int = THREADS) -> tuple[Round, set[str]]:
    """Starts a child, kills it so long after its first write, and returns what it had told."""
    command = [sys.executable, __file__, url, str(number), str(threads)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    first = child.stdout.readline()
    start_s = time.monotonic()
    killer = threading.Timer(after_s, child.kill)
    killer.start()
    # Until the end of the pipe; a line that was cut was not told.
    said = first + child.stdout.read()
    seconds = time.monotonic() - start_s
    child.stdout.close()
    child.wait()
    killer.join()
    keys = {line for line in said.decode().splitlines(keepends=True) if line.endswith("\n")}
    assert child.returncode == -signal.SIGKILL, f"the child ended by itself with {child.returncode}"
    return Round(len(keys), seconds), {key.strip() for key in keys}


def verify(url: str, acknowledged: set[str]) -> None:
    """Every key once, in both tables alike, and the books sound."""
    from sqlalchemy import select

    from jouled.store import Store
    from jouled.store.check import problems
    from jouled.store.schema.events import alerts, messages

    with Store(url) as store:
        keys = store.read(lambda connection: connection.execute(select(alerts.c.dedup_key)).scalars().all())
        bodies = store.read(lambda connection: connection.execute(select(messages.c.body)).scalars().all())
        found = store.read(lambda connection: list(problems(connection)))
    lost = acknowledged - set(keys)
    assert not lost, f"{len(lost)} acknowledged writes are lost: {sorted(lost)[:5]}"
    assert sorted(body["key"] for body in bodies) == sorted(keys), "a transaction is there in part, or twice"
    assert len(set(keys)) == len(keys)
    assert not found, found


def run(url: str, rounds: int, seed: int, threads: int = THREADS) -> list[Round]:
    chance = random.Random(seed)
    acknowledged: set[str] = set()
    results = []
    for number in range(rounds):
        result, keys = kill_once(url, number, after_s=chance.uniform(0.05, 1.5), threads=threads)
        acknowledged |= keys
        verify(url, acknowledged)
        results.append(result)
    return results


if __name__ == "__main__":
    write_keys(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
