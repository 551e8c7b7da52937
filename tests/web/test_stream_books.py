"""The books' messages as server-sent events, on both engines, over a real socket to a real server."""

from __future__ import annotations

import itertools
import threading
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import delete

from fakes import FakeSnapshot
from jouled.bookkeeping import messages as posting
from jouled.bookkeeping import stream as reading
from jouled.bookkeeping import tokens
from jouled.config import Limits, Listener
from jouled.errors import StoreError
from jouled.store import Store
from jouled.store.schema.events import messages
from jouled.web import broadcast as broadcast_module
from jouled.web import secrets, server
from jouled.web import stream as stream_module
from jouled.web.api import tokens as checked
from serving import FREE, serving, with_small_buffers
from streams import AT, CLOSE, SLOW_BYTES, listening_to, post, run_ahead, upgrading

FULL = Listener(FREE, detail="full")


async def test_each_message_of_a_topic_is_an_event_with_its_number(store: Store) -> None:
    async with serving(FULL, store=store) as rig, listening_to(rig, "?topics=events,decisions") as events:
        numbers = await post(store, {"type": "low"}, {"type": "full"})
        await post(store, {"meter_id": "m"}, topic="readings")
        numbers += await post(store, {"status": "proposed"}, topic="decisions")
        found = await events.take(3)
    assert [(event.topic, event.id, event.body) for event in found] == [
        ("events", numbers[0], {"type": "low"}),
        ("events", numbers[1], {"type": "full"}),
        ("decisions", numbers[2], {"status": "proposed"}),
    ]


async def test_what_this_daemon_writes_is_told_at_once_and_not_at_the_next_look(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast_module, "POLL_S", 1000.0)
    async with serving(FULL, store=store) as rig, listening_to(rig, "?topics=events") as events:
        await post(store, {"n": 1})
        assert (await events.take(1))[0].body == {"n": 1}


async def test_what_another_program_writes_is_told(store: Store) -> None:
    def write() -> None:
        with store.engine.connect().execution_options(is_writer=True) as other, other.begin():
            posting.post(other, "events", AT, {"by": "another"})

    async with serving(FULL, store=store) as rig, listening_to(rig, "?topics=events") as events:
        await trio.to_thread.run_sync(write)
        assert (await events.take(1))[0].body == {"by": "another"}


@pytest.mark.parametrize("form", ["header", "parameter"])
async def test_a_client_comes_back_with_its_last_id_and_misses_nothing(store: Store, form: str) -> None:
    numbers = await post(store, *({"n": n} for n in range(6)))
    query, head = ("?topics=events", f"last-event-id: {numbers[1]}\r\n")
    if form == "parameter":
        query, head = f"{query}&after={numbers[1]}", ""
    async with serving(FULL, store=store) as rig, listening_to(rig, query, head=head) as events:
        assert [event.body["n"] for event in await events.take(4)] == [2, 3, 4, 5]
        await post(store, {"n": 6})
        assert [event.body["n"] for event in await events.take(1)] == [6]


async def test_resuming_reads_the_store_where_memory_does_not_reach(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast_module, "HISTORY", 3)
    monkeypatch.setattr(broadcast_module, "TAKEN_MAX", 4)
    numbers = await post(store, *({"n": n} for n in range(50)))
    async with serving(FULL, store=store) as rig, listening_to(rig, f"?topics=events&after={numbers[0]}") as events:
        assert [event.body["n"] for event in await events.take(49)] == list(range(1, 50))
        await post(store, {"n": 50})
        assert [event.body["n"] for event in await events.take(1)] == [50]


async def test_without_an_id_a_stream_begins_now(store: Store) -> None:
    await post(store, {"n": 1})
    async with serving(FULL, store=store) as rig, listening_to(rig, "?topics=events") as events:
        await post(store, {"n": 2})
        assert [event.body["n"] for event in await events.take(1)] == [2]


async def test_an_id_that_is_too_old_is_told_so_and_what_is_kept_follows(store: Store) -> None:
    numbers = await post(store, *({"n": n} for n in range(5)))
    await store.commit(lambda connection: connection.execute(delete(messages).where(messages.c.seq < numbers[3])))
    async with (
        serving(FULL, store=store) as rig,
        listening_to(rig, f"?topics=events&after={numbers[0]}") as events,
    ):
        reset, *kept = await events.take(3)
    assert (reset.topic, reset.id) == ("reset", numbers[3] - 1)
    assert reset.body == {
        "after": numbers[0],
        "first": numbers[3],
        "last": numbers[4],
        "message": f"messages {numbers[1]} to {numbers[2]} are not kept any more; read anew what you keep",
    }
    assert [event.body["n"] for event in kept] == [3, 4]


async def test_an_id_is_too_old_also_where_nothing_is_kept_any_more(store: Store) -> None:
    numbers = await post(store, *({"n": n} for n in range(3)))
    await store.commit(lambda connection: connection.execute(delete(messages)))
    async with (
        serving(FULL, store=store) as rig,
        listening_to(rig, f"?topics=events&after={numbers[0]}") as old,
        listening_to(rig, f"?topics=events&after={numbers[-1]}") as new,
    ):
        assert (await old.take(1))[0].topic == "reset"
        await post(store, {"n": 3})
        assert (await new.take(1))[0].body == {"n": 3}


async def test_an_id_of_another_store_is_told_so(store: Store) -> None:
    await post(store, {"n": 0})
    async with serving(FULL, store=store) as rig, listening_to(rig, "?topics=events&after=99999") as events:
        (reset,) = await events.take(1)
        assert reset.topic == "reset"
        assert reset.body["message"].startswith("99999 was never given here")


async def test_a_site_and_a_device_are_told_apart(store: Store) -> None:
    async with (
        serving(FULL, store=store) as rig,
        listening_to(rig, "?topics=events,readings&site=plant") as site,
        listening_to(rig, "?topics=events&device=ups") as device,
    ):
        await post(store, {"n": 1, "site_id": "plant"}, {"n": 2, "site_id": "other"}, {"n": 3, "device_id": "ups"})
        await post(store, {"n": 4, "facility_id": "plant"}, topic="readings")
        assert [event.body["n"] for event in await site.take(2)] == [1, 4]
        assert [event.body["n"] for event in await device.take(1)] == [3]


async def test_snapshots_and_messages_share_a_stream_and_the_last_id_is_a_messages(store: Store) -> None:
    async with serving(FULL, store=store) as rig, listening_to(rig, "?topics=snapshots,events&limit=1") as events:
        assert [event.topic for event in await events.take(1)] == ["snapshots"]
        (number,) = await post(store, {"n": 1})
        assert (await events.take(1))[0].id == number
        rig.tick(FakeSnapshot(sequence=7))
        (snapshot,) = await events.take(1)
        assert (snapshot.topic, snapshot.id, snapshot.body["sequence"]) == ("snapshots", None, 7)
        assert events.last_id == number


async def test_a_silent_stream_moves_its_clients_id_along(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_S", 0.05)
    async with serving(FULL, store=store) as rig, listening_to(rig, "?topics=events&site=mine") as events:
        numbers = await post(store, *({"site_id": "other"} for _ in range(3)))
        while events.last_id != numbers[-1]:
            assert await events.more()
            assert events._parsed() == []


async def test_a_client_that_falls_too_far_behind_is_dropped_and_resumes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast_module, "BEHIND_MAX", 20)
    monkeypatch.setattr(broadcast_module, "PAGE", 10)
    monkeypatch.setattr(broadcast_module, "TAKEN_MAX", 1)
    listener = Listener(FREE, detail="full", limits=Limits(send_s=600.0))
    async with serving(listener, store=store) as rig, listening_to(rig, "?topics=readings") as fast:
        with_small_buffers(rig.places[0])
        async with listening_to(rig, "?topics=events", receive_bytes=SLOW_BYTES) as slow:
            numbers = await run_ahead(rig, store, 60)
            await post(store, {"n": 1}, topic="readings")
            assert [event.body for event in await fast.take(1)] == [{"n": 1}]
            while not slow.raw.endswith(b"\r\n0\r\n\r\n"):
                assert await slow.more(), slow.raw[-100:]
            told = slow._parsed()
        assert [event.id for event in told] == numbers[: len(told)]
        assert 0 < len(told) < 40
        async with listening_to(rig, "?topics=events", head=f"last-event-id: {slow.last_id}\r\n") as again:
            assert (await again.take(1))[0].id == numbers[len(told)]


async def test_a_lower_number_that_is_committed_later_is_not_missed(postgres_url: str) -> None:
    """PostgreSQL numbers rows when they are written, not when they are committed."""
    with Store(postgres_url) as store:
        async with serving(FULL, store=store) as rig, listening_to(rig, "?topics=events") as events:
            with store.engine.connect() as slow:
                transaction = slow.begin()
                early = posting.post(slow, "events", AT, {"n": "early"})
                with store.engine.connect() as quick, quick.begin():
                    late = posting.post(quick, "events", AT, {"n": "late"})
                await trio.sleep(1.0)
                assert events._parsed() == []
                transaction.commit()
            found = await events.take(2)
    assert early < late
    assert [event.body["n"] for event in found] == ["early", "late"]


async def test_a_number_that_was_given_back_holds_up_nobody(postgres_url: str) -> None:
    with Store(postgres_url) as store:
        async with serving(FULL, store=store) as rig, listening_to(rig, "?topics=events") as events:
            with store.engine.connect() as slow:
                transaction = slow.begin()
                posting.post(slow, "events", AT, {"n": "never"})
                await post(store, {"n": "late"})
                transaction.rollback()
            assert [event.body["n"] for event in await events.take(1)] == ["late"]


async def test_no_message_is_lost_or_doubled_with_many_writers(postgres_url: str) -> None:
    writers, each = 6, 60
    with Store(postgres_url) as store:

        def write(writer: int) -> None:
            with store.engine.connect() as connection:
                for n in range(each):
                    with connection.begin():
                        posting.post(connection, "events", AT, {"by": [writer, n]})

        async with serving(FULL, store=store) as rig, listening_to(rig, "?topics=events") as events:
            async with trio.open_nursery() as nursery:
                limiter = trio.CapacityLimiter(writers)
                for writer in range(writers):
                    nursery.start_soon(partial(trio.to_thread.run_sync, write, writer, limiter=limiter))
            found = await events.take(writers * each)
            extra = await post(store, {"by": "end"})
            (end,) = await events.take(1)
    assert end.id == extra[0]
    assert sorted(event.body["by"] for event in found) == [[w, n] for w in range(writers) for n in range(each)]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("topics=weather", "topics 'weather' is none"),
        ("topics=", "topics '' is none"),
        ("topics=events&after=x", "after 'x' is no whole number"),
        ("topics=events&after=-1", "after '-1' is no whole number"),
        ("topics=events&after=99999999999999999999", "is no whole number"),
        ("topics=events&level=unit", "'level' is one of the topic snapshots"),
        ("topics=snapshots&site=a", "'site' is one of the topics"),
        ("topics=events&site=", "site '' is none"),
        ("topics=events&topics=events", "is given twice"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_with_what_can(tmp_path: Path, query: str, words: str) -> None:
    with Store(state_dir=str(tmp_path)) as store:
        async with serving(FULL, store=store) as rig:
            reply = await rig.get(f"/api/v1/stream?{query}")
    assert reply.status == 400
    assert words in reply.body.decode()


async def test_without_books_there_are_no_messages() -> None:
    async with serving(FULL) as rig:
        reply = await rig.get("/api/v1/stream?topics=events")
        assert reply.status == 400
        assert b"there are no events without books; set store.url" in reply.body
        async with listening_to(rig, "?topics=snapshots&limit=1") as events:
            (snapshot,) = await events.take(1)
            assert (snapshot.topic, snapshot.id) == ("snapshots", 2)


async def test_a_stream_of_messages_ends_at_once_when_the_daemon_stops(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GRACE_S", 7200.0)  # it is not by the grace
    async with serving(FULL, store=store) as rig, listening_to(rig, "?topics=events") as events:
        rig.end()
        await events.to_the_end()
        assert events.raw.endswith(b"0\r\n\r\n")


async def test_a_reload_ends_a_silent_stream_whose_token_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_S", 0.1)
    path = tmp_path / "token"
    path.write_text(secrets.hash_token(b"gone"))
    with Store(state_dir=str(tmp_path)) as store:
        async with (
            serving(Listener(FREE, tokens=(f"file:{path}",)), store=store) as rig,
            listening_to(rig, "?topics=events", head="authorization: Bearer gone\r\n") as events,
        ):
            path.write_text(secrets.hash_token(b"another"))
            rig.room.apply(rig.config)
            while not events.raw.endswith(b"\r\n0\r\n\r\n"):
                assert await events.more(), events.raw


@pytest.mark.parametrize("query", ["?topics=events", "?limit=1"])
async def test_a_revoked_token_ends_its_stream_however_much_there_is_to_tell(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_S", 0.1)
    monkeypatch.setattr(checked, "REMEMBERED_S", 0.0)
    path = tmp_path / "listener"
    path.write_text(secrets.hash_token(b"of the listener"))
    made = await store.commit(lambda connection: tokens.create(connection, "plc", ("read",), None, AT))
    head = f"authorization: Bearer {made.secret}\r\n"
    async with (
        serving(Listener(FREE, tokens=(f"file:{path}",)), store=store) as rig,
        listening_to(rig, query, head=head) as events,
        upgrading(rig, query, head=head) as opened,
        trio.open_nursery() as nursery,
    ):

        async def tell() -> None:
            for number in itertools.count(3):
                rig.tick(FakeSnapshot(sequence=number))
                await post(store, {"n": number})
                await trio.sleep(0.02)

        nursery.start_soon(tell)
        await events.take(3)
        await store.commit(lambda connection: tokens.revoke(connection, made.token.id, AT))
        while not events.raw.endswith(b"\r\n0\r\n\r\n"):
            assert await events.more(), events.raw
        with trio.fail_after(60):
            while (frame := await opened.socket.frame()).opcode != CLOSE:
                pass
        nursery.cancel_scope.cancel()
    assert frame.code == 1008


async def test_a_store_that_cannot_tell_whether_a_token_holds_ends_its_stream_as_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_S", 0.1)
    monkeypatch.setattr(checked, "REMEMBERED_S", 0.0)
    with Store(state_dir=str(tmp_path)) as store:
        made = await store.commit(lambda connection: tokens.create(connection, "plc", ("read",), None, AT))
        head = f"authorization: Bearer {made.secret}\r\n"
        async with (
            serving(FULL, store=store) as rig,
            upgrading(rig, "?topics=events", head=head) as opened,
        ):
            monkeypatch.setattr(checked.Tokens, "_look_up", _is_away)
            with trio.fail_after(60):
                while (frame := await opened.socket.frame()).opcode != CLOSE:
                    pass
    assert frame.code == 1013


async def _is_away(*_: Any) -> Any:
    raise StoreError("the store is away")


async def test_clients_give_their_places_back_and_the_store_rests(store: Store) -> None:
    async with serving(FULL, store=store) as rig:
        async with listening_to(rig, "?topics=events"), listening_to(rig, "?topics=events"):
            assert rig.room._broadcast is not None
            assert rig.room._broadcast._followers == 2
        with trio.fail_after(60):
            while rig.room._broadcast.is_reading:  # noqa: ASYNC110  (nobody tells)
                await trio.sleep(0.01)
        assert rig.room._broadcast._followers == 0


async def test_the_store_is_read_once_for_all_clients(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    found_after = reading.found_after

    def counted(*arguments: Any) -> reading.Found:
        reads.append(threading.get_ident())
        return found_after(*arguments)

    monkeypatch.setattr(reading, "found_after", counted)
    monkeypatch.setattr(broadcast_module, "POLL_S", 1000.0)
    async with serving(FULL, store=store) as rig, AsyncExitStack() as clients:
        all_of_them = [await clients.enter_async_context(listening_to(rig, "?topics=events")) for _ in range(12)]
        before = len(reads)
        await post(store, {"n": 1})
        for events in all_of_them:
            await events.take(1)
        # One for the message, and those that the last ones to come may have asked for.
        assert len(reads) - before <= 4
