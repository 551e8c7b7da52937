"""kill -9 of a controller: two real processes, a node that caps plain files, and one that holds its cap over the API."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from capped_hosts import Host
from running import Running, running

PATIENCE_S = 60.0
LEASE_S = 3.0

CONTROLLER = """
import sys, trio
sys.path.insert(0, sys.argv[3])
from jouled.loads.node import NodeLoad
from node_orders import order_of
async def main():
    load = NodeLoad("rack-1", sys.argv[1], owner="balance@site", lease_s=float(sys.argv[2]))
    await load.apply(order_of(100.0))
    assert await load.confirm(order_of(100.0))
    print("held", flush=True)
    while True:
        await trio.sleep(0.1)
        await load.measure()
        await load.renew()
trio.run(main)
"""


def settings(host: Host, folder: Path) -> Path:
    path = folder / "jouled.toml"
    path.write_text(
        f'listen = ["127.0.0.1:0", "unix:{folder}/socket"]\ninterval = "200ms"\nmeters = ["fake"]\n'
        f'sysfs = "{host.tree.sysfs}"\nstate_dir = "{host.tree.caps.parent}"\n'
        '[caps]\nenabled = true\ncheck = "200ms"\non_lapse = "safe"\nsafe = 60\n'
    )
    return path


@contextmanager
def node(host: Host, folder: Path) -> Iterator[Running]:
    with running(sys.executable, "-m", "jouled", "--config", str(settings(host, folder)), "--log-format=text") as one:
        yield one


@contextmanager
def controller(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", CONTROLLER, f"unix:{folder}/socket", str(LEASE_S), tests]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def limits(host: Host) -> list[int]:
    return [host.limit(socket) for socket in range(len(host.zones))]


def eventually(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_a_node_whose_controller_was_killed_keeps_its_cap_and_then_falls_back(tmp_path: Path) -> None:
    host = Host(tmp_path)
    with node(host, tmp_path) as daemon:
        with controller(tmp_path) as holder:
            assert limits(host) == [50_000_000] * 2
            holder.kill()
        # Never in between is the node without a cap.
        seen: set[int] = set()

        def has_fallen_back() -> bool:
            now = limits(host)
            seen.update(now)
            return now == [30_000_000] * 2

        eventually(has_fallen_back)
        assert max(seen) <= 50_000_000
        # The node itself is killed as well, and started anew.
        daemon.process.kill()
        daemon.process.wait()
    with node(host, tmp_path):
        eventually(lambda: limits(host) == [30_000_000] * 2)
        # The next controller asks: it is capped as that one says, and nothing is left of the fall.
        with controller(tmp_path):
            assert limits(host) == [50_000_000] * 2
