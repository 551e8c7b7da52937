"""The room as the daemon uses it: secrets, users of the Unix socket, and new settings while it runs."""

from __future__ import annotations

import base64
import os
import pwd
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from jouled.config import Access, Limits, Listener
from jouled.web import counters as counters_module
from jouled.web import secrets
from serving import FREE, Rig, connected, serving

SOMEBODY = pwd.getpwnam("nobody")


def hashed(password: str) -> str:
    return str(secrets.hash_password(password.encode(), n=16, r=1, p=1))


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


async def test_everything_but_whether_it_lives_wants_the_secret() -> None:
    listener = Listener(FREE, users={"anna": hashed("geheim")}, tokens=(secrets.hash_token(b"token"),))
    async with serving(listener) as rig:
        for path in ("/", "/metrics", "/readyz", "/api/v1/snapshot", "/api/v1/zones?now=1", "/api/v1/stream", "/none"):
            reply = await rig.get(path)
            assert reply.status == 401, path
            assert b"geheim" not in reply.body
        assert (await rig.get("/livez")).status == 200
        for authorization in (basic("anna", "geheim"), "Bearer token"):
            assert (await rig.get("/metrics", authorization=authorization)).status == 200
            assert (await rig.get("/api/v1/zones", authorization=authorization)).status == 200
        page = (await rig.get("/metrics", authorization="Bearer token")).body
        assert rig.meter.reads == 0
    assert b'jouled_http_requests_total{code="401",route="/metrics"} 1.0' in page
    assert b'jouled_http_requests_total{code="401",route="other"} 1.0' in page


async def test_the_refusal_has_the_form_of_the_route() -> None:
    async with serving(Listener(FREE, tokens=(secrets.hash_token(b"token"),))) as rig:
        reply = await rig.get("/api/v1/zones")
        assert reply.json == {"error": "unauthorized", "message": "this listener wants a bearer token"}
        assert reply.headers["www-authenticate"] == 'Bearer realm="jouled"'
        assert (await rig.get("/metrics")).body == b"this listener wants a bearer token\n"


async def test_each_listener_has_its_own_gate(tmp_path: Path) -> None:
    closed = Listener(FREE, tokens=(secrets.hash_token(b"token"),))
    async with serving(closed, Listener(f"unix:{tmp_path}/sock")) as rig:
        assert (await rig.get("/metrics", place=0)).status == 401
        assert (await rig.get("/metrics", place=1)).status == 200


CLIENT = """
import http.client, json, os, socket, sys
path, *ids = sys.argv[1:]
if ids:  # only now, because this Python may be in a place that is root's alone
    os.setgroups([])
    os.setgid(int(ids[1]))
    os.setuid(int(ids[0]))
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
connection = Unix("x")
connection.request("GET", "/api/v1/zones?now=1")
print(json.load(connection.getresponse())["rate_hertz"])
"""


async def rate_for(path: Path, *ids: int) -> str:
    """What a client of this user and group is held to, or why it is not let in."""
    command = [sys.executable, "-I", "-c", CLIENT, str(path), *map(str, ids)]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    return (done.stdout or done.stderr.splitlines()[-1]).decode().strip()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
async def test_the_unix_socket_knows_who_is_privileged() -> None:
    nobody = (SOMEBODY.pw_uid, SOMEBODY.pw_gid)
    with folder_for_all() as folder:
        path = folder / "sock"
        async with serving(Listener(f"unix:{path}")) as rig:
            assert await rate_for(path) == "None"
            assert "PermissionError" in await rate_for(path, *nobody)
            path.chmod(0o666)  # as for a member of the group
            assert await rate_for(path, *nobody) == "10.0"
            rig.room.apply(msgspec.structs.replace(rig.config, access=Access(privileged=("nobody",))))
            assert await rate_for(path, *nobody) == "None"


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """Not pytest's, which is its user's alone."""
    with tempfile.TemporaryDirectory(prefix="jouled-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def test_new_settings_count_from_the_next_connection(tmp_path: Path) -> None:
    secret = tmp_path / "hash"
    secret.write_text(secrets.hash_token(b"old"))
    listener = Listener(FREE, tokens=(f"file:{secret}",))
    async with serving(listener) as rig:
        address = listener.address
        assert (await rig.get("/readyz", authorization="Bearer old")).status == 200
        secret.write_text(secrets.hash_token(b"new"))
        assert (await rig.get("/readyz", authorization="Bearer old")).status == 200
        rig.room.apply(rig.config)
        assert (await rig.get("/readyz", authorization="Bearer old")).status == 401
        assert (await rig.get("/readyz", authorization="Bearer new")).status == 200
        opened = msgspec.structs.replace(listener, tokens=(), detail="full", limits=Limits(body_bytes=0))
        rig.room.apply(msgspec.structs.replace(rig.config, listen=(opened,), access=Access(rate_hz=1)))
        assert (await rig.get("/api/v1/zones?now=1")).json["rate_hertz"] is None
        assert (await rig.get("/livez", content_length="1")).status == 413
        assert rig.places[0].listener.address == address


async def test_a_token_that_a_reload_takes_away_is_refused_on_a_connection_that_was_open(tmp_path: Path) -> None:
    secret = tmp_path / "hash"
    secret.write_text(secrets.hash_token(b"old"))
    request = b"GET /readyz HTTP/1.1\r\nhost: x\r\nauthorization: Bearer old\r\n\r\n"
    async with serving(Listener(FREE, tokens=(f"file:{secret}",))) as rig, await connected(rig.places[0]) as stream:
        with trio.fail_after(60):
            await stream.send_all(request)
            assert b"HTTP/1.1 200" in await stream.receive_some()
            secret.write_text(secrets.hash_token(b"new"))
            rig.room.apply(rig.config)
            await stream.send_all(request)
            rest = b""
            while b" 401 " not in rest:
                assert b"HTTP/1.1 200" not in rest
                rest += await stream.receive_some()


async def test_a_secret_that_is_gone_at_a_reload_is_said_and_the_old_one_stays(
    tmp_path: Path, lines: list[Any]
) -> None:
    secret = tmp_path / "hash"
    secret.write_text(secrets.hash_token(b"old"))
    async with serving(Listener(FREE, tokens=(f"file:{secret}",))) as rig:
        secret.unlink()
        rig.room.apply(rig.config)
        assert (await rig.get("/readyz", authorization="Bearer old")).status == 200
        assert (await rig.get("/readyz")).status == 401
    (line,) = lines
    assert line["event"].startswith(f"listen on {FREE}: a token: read {secret}: No such file or directory")


async def test_a_new_resolution_holds_at_once() -> None:
    async with serving(Listener(FREE)) as rig:
        assert (await rig.get("/api/v1/zones?now=1")).json["resolution_joules"] == 0.001
        rig.room.apply(msgspec.structs.replace(rig.config, access=Access(resolution_j=0.5, rate_hz=1000)))
        found = (await rig.get("/api/v1/zones?now=1")).json
    assert found["resolution_joules"] == 0.5
    assert found["zones"][0]["joules_total"] % 0.5 == 0


async def test_counters_are_followed_once_somebody_has_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters_module, "FOLLOW_S", 0.02)
    async with serving(Listener(FREE)) as rig:
        await trio.sleep(0.1)
        assert rig.meter.reads == 0
        await rig.get("/api/v1/zones?now=1")
        await until_reads(rig, 4)
        rig.meter.troubles = [OSError("gone")] * 3
        await until_reads(rig, rig.meter.reads + 3)


async def until_reads(rig: Rig, count: int) -> None:
    with trio.fail_after(60):
        while rig.meter.reads < count:  # noqa: ASYNC110  (nobody tells)
            await trio.sleep(0.01)
