"""A thousand connections that send nothing, half a request, or never read: a real daemon, each kind of socket."""

from __future__ import annotations

import re
import resource
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from certificates import make_pair
from running import Running, running

CROWD = 1000
DAEMON = Path(__file__).with_name("run_crowd.py")
# What a connection of the crowd does: nothing, half a request, or a whole one whose answer it never reads.
ALL = (b"", b"GET /metrics HTTP/1.1\r\nhost: x\r\nx-half: ", b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Enough for the crowd, in this process and in the daemon."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 2 * CROWD:
        pytest.skip(f"only {hard} open files are allowed here; raise the hard limit")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Door:
    """One of the daemon's sockets, and how to come in there."""

    def __init__(
        self, family: socket.AddressFamily, address: str | tuple[str, int], tls: ssl.SSLContext | None = None
    ) -> None:
        self._family = family
        self._address = address
        self._tls = tls

    def enter(self, *, receive_bytes: int | None = None, shakes_hands: bool = True) -> socket.socket:
        client = socket.socket(self._family)
        try:
            if receive_bytes is not None:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            # With a time-out it would not wait where a Unix socket has too many waiting.
            client.connect(self._address)
            client.settimeout(60)
            return client if self._tls is None or not shakes_hands else self._tls.wrap_socket(client)
        except BaseException:
            client.close()
            raise

    def crowd_in(self, held: list[socket.socket], crowd: Sequence[bytes]) -> None:
        for number in range(CROWD):
            sends = crowd[number % len(crowd)]
            # The server may have given it up before it said anything: that is what it is there for.
            with suppress(OSError):
                client = self.enter(receive_bytes=4096, shakes_hands=bool(sends))
                held.append(client)
                client.sendall(sends)

    def get(self, path: str) -> bytes:
        """Whoever falls asleep just when hundreds come may be given up for them; asked again, it is served."""
        for _ in range(3):
            with suppress(OSError):
                return self._get(path)
        return self._get(path)

    def _get(self, path: str) -> bytes:
        with self.enter() as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: client.recv(262_144), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head:
            raise ConnectionResetError
        assert head.startswith(b"HTTP/1.1 200"), head
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        if len(body) < int(length[1]):
            raise ConnectionResetError
        return body


@contextmanager
def crowded_daemon(tmp_path: Path) -> Iterator[tuple[Running, dict[str, Door]]]:
    pair = make_pair(tmp_path, "jouled")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        tls_port = probe.getsockname()[1]
    settings = tmp_path / "jouled.toml"
    settings.write_text(
        f"""interval = "500ms"
        listen = [
            "127.0.0.1:0",
            "unix:{tmp_path}/sock",
            {{ address = "127.0.0.1:{tls_port}", tls = {{ cert = "{pair.cert}", key = "{pair.key}" }} }},
        ]
        """.replace("\n            ", " ").replace("\n        ]", "]")
    )
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with running(sys.executable, str(DAEMON), str(settings)) as daemon:
        yield (
            daemon,
            {
                "tcp": Door(socket.AF_INET, ("127.0.0.1", daemon.port)),
                "unix": Door(socket.AF_UNIX, f"{tmp_path}/sock"),
                "tls": Door(socket.AF_INET, ("127.0.0.1", tls_port), context),
            },
        )


@contextmanager
def holding() -> Iterator[list[socket.socket]]:
    held: list[socket.socket] = []
    try:
        yield held
    finally:
        for client in held:
            client.close()


def ticks(page: bytes) -> int:
    match = re.search(rb"^jouled_ticks_total (\d+)", page, re.MULTILINE)
    assert match is not None
    return int(match[1])


@pytest.mark.parametrize(
    ("kind", "sends"),
    [("tcp", ALL), ("unix", ALL), ("tls", ALL), ("tcp", ALL[-1:]), ("unix", ALL[-1:])],
    ids=["tcp", "unix", "tls", "tcp-never-reads", "unix-never-reads"],
)
def test_a_crowd_stops_neither_ticks_nor_scrapes_nor_the_exit(
    tmp_path: Path, kind: str, sends: Sequence[bytes]
) -> None:
    with holding() as held, crowded_daemon(tmp_path) as (daemon, doors):
        before, before_s = ticks(doors["tcp"].get("/metrics")), time.monotonic()
        crowd = threading.Thread(target=doors[kind].crowd_in, args=(held, sends))
        crowd.start()
        scrapes = 0
        while crowd.is_alive() or scrapes < 5:
            for door in doors.values():
                assert len(door.get("/metrics")) > 1_500_000
                assert door.get("/livez") == b"alive\n"
            scrapes += 1
        crowd.join()
        assert len(held) > CROWD // 2  # the rest was given up while it shook hands
        after, after_s = ticks(doors[kind].get("/metrics")), time.monotonic()
        # On a busy machine ticks may be late, but each of them comes to an end.
        assert after - before >= (after_s - before_s) / 0.5 / 8 - 2
        assert daemon.stop() < 30
