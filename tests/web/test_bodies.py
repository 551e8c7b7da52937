"""Bodies of requests: kept for who asks for them, and never more than there is room for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

from jouled.bookkeeping import tokens
from jouled.config import Listener
from jouled.store import Store
from jouled.web.bodies import DROPPED, EARLY_BYTES, Bodies
from jouled.web.connections import Connections
from jouled.web.request import Message, Receive, Scope, Send
from serving import FREE, Reply, connected, listening, policy_of, read_all, serving
from streams import AT


class Reader:
    """An application that looks at the head until `may_ask`, and holds what it was given until `may_end`."""

    def __init__(self) -> None:
        self.may_ask, self.may_end = trio.Event(), trio.Event()
        self.messages: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/api/refused":
            await self.may_ask.wait()
            self.messages.append(await receive())
        await self.may_end.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Rig:
    def __init__(self, reader: Reader, bodies: Bodies, open_client: Callable[[], object]) -> None:
        self.reader = reader
        self.bodies = bodies
        self._open = open_client

    @asynccontextmanager
    async def sending(
        self, size: int, *, path: str = "/api/v1/x", method: str = "POST", sent: int | None = None
    ) -> AsyncIterator[trio.abc.Stream]:
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n".encode()
        async with await self._open() as stream, trio.open_nursery() as nursery:  # type: ignore[misc]
            nursery.start_soon(_send, stream, head + b"x" * (size if sent is None else sent))
            yield stream
            nursery.cancel_scope.cancel()

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(60):
            while not condition():  # noqa: ASYNC110  (nobody tells)
                await trio.sleep(0.01)

    async def given(self, count: int) -> Message:
        await self.until(lambda: len(self.reader.messages) >= count)
        return self.reader.messages[count - 1]


async def _send(stream: trio.abc.Stream, whole: bytes) -> None:
    with suppress(trio.BrokenResourceError):  # answered before
        await stream.send_all(whole)


@asynccontextmanager
async def reading(limit: int = 1_000_000) -> AsyncIterator[Rig]:
    reader, bodies = Reader(), Bodies(limit)
    with listening(Listener(FREE)) as (place,):
        room = Connections(reader, policy_of(place.listener), bodies=bodies)
        async with trio.open_nursery() as nursery:
            accepted = trio.SocketListener(trio.socket.from_stdlib_socket(place.socket))
            nursery.start_soon(room.accept_from, accepted, nursery)
            yield Rig(reader, bodies, lambda: connected(place))
            room.cut()
            nursery.cancel_scope.cancel()


async def test_of_a_body_that_nobody_asked_for_only_the_beginning_is_kept() -> None:
    async with reading() as rig, rig.sending(900_000) as stream:
        await rig.until(lambda: rig.bodies.held > 0)
        await trio.sleep(0.2)
        assert rig.bodies.held <= EARLY_BYTES
        rig.reader.may_ask.set()
        rig.reader.may_end.set()
        assert len((await rig.given(1))["body"]) == 900_000
        assert (await read_all(stream)).startswith(b"HTTP/1.1 200")
        await rig.until(lambda: rig.bodies.held == 0)


async def test_who_is_refused_by_its_head_is_answered_while_its_body_is_under_way() -> None:
    async with reading() as rig, rig.sending(900_000, path="/api/refused", sent=500_000) as stream:
        await rig.until(lambda: rig.bodies.held > 0)
        rig.reader.may_end.set()
        with trio.fail_after(60):
            assert (await stream.receive_some(12)) == b"HTTP/1.1 200"
        await rig.until(lambda: rig.bodies.held == 0)


@pytest.mark.parametrize("size", [900_000, 6_000_000])
async def test_who_reads_only_after_its_whole_body_is_told_why_it_was_refused(size: int) -> None:
    async with serving() as rig:
        head = f"POST /api/v1/sites HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n\r\n".encode()
        async with await connected(rig.places[0]) as stream:
            with trio.fail_after(60):
                for part in (head, *[b"x" * 50_000] * (size // 50_000)):
                    await stream.send_all(part)
                assert b"HTTP/1.1 4" in await read_all(stream)


async def test_what_all_clients_send_at_once_is_bounded_and_one_too_many_is_told_so() -> None:
    async with reading(limit=1_000_000) as rig:
        rig.reader.may_ask.set()
        async with rig.sending(800_000):
            assert not (await rig.given(1))[DROPPED]
            async with rig.sending(800_000):
                late = await rig.given(2)
                assert (late["body"], late[DROPPED]) == (b"", True)
                assert rig.bodies.held == 800_000
            rig.reader.may_end.set()
        await rig.until(lambda: rig.bodies.held == 0)
        async with rig.sending(800_000):
            assert len((await rig.given(3))["body"]) == 800_000


async def test_one_alone_may_be_as_large_as_its_listener_takes() -> None:
    async with reading(limit=1000) as rig, rig.sending(800_000):
        rig.reader.may_ask.set()
        assert len((await rig.given(1))["body"]) == 800_000


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/stream"), ("HEAD", "/api/v1/x"), ("POST", "/metrics")])
async def test_where_no_body_belongs_none_is_kept(method: str, path: str) -> None:
    async with reading() as rig, rig.sending(800_000, path=path, method=method):
        rig.reader.may_ask.set()
        assert (await rig.given(1))["body"] == b""
        assert rig.bodies.held == 0


async def test_a_client_that_leaves_gives_its_part_back() -> None:
    async with reading() as rig:
        rig.reader.may_ask.set()
        async with rig.sending(800_000, sent=300_000):
            await rig.until(lambda: rig.bodies.held > 200_000)
        rig.reader.may_end.set()
        await rig.until(lambda: rig.bodies.held == 0)


async def test_the_api_says_that_there_is_no_room_for_a_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bodies, "take", lambda *_, **__: False)
    with Store(state_dir=str(tmp_path)) as store:
        made = await store.commit(lambda connection: tokens.create(connection, "plc", ("write:sites",), None, AT))
        async with serving(store=store) as rig:
            reply = Reply.of(
                await rig.send(
                    b"POST /api/v1/sites HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json"
                    b"\r\ncontent-length: 12\r\nauthorization: Bearer %s\r\n\r\n"
                    % made.secret.encode()
                    + b'{"name":"x"}'
                )
            )
    assert (reply.status, reply.json["error"], reply.headers["retry-after"]) == (503, "unavailable", "1")
