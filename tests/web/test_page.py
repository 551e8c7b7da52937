from __future__ import annotations

import gzip
import itertools
import threading
import time
from collections.abc import Callable

import trio

from fakes import FakeSnapshot
from jouled.config import Access
from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.web.negotiate import Form
from jouled.web.page import Page
from jouled.web.prepared import VARIANTS_MAX, Body, Prepared


def own(form: Form, _: Snapshot) -> bytes:
    return b"# EOF\n" if form is Form.OPENMETRICS else b"own 1\n"


class Room:
    """A page, what it is made from, and what it costs."""

    def __init__(self, *snapshots: Snapshot, own: Callable[[Form, Snapshot], bytes] = own) -> None:
        self.feed: Feed[Snapshot] = Feed()
        for snapshot in snapshots:
            self.feed.publish(snapshot)
        self.prepared = Prepared(self.feed, Access(), interval_s=1.0)
        self.page = Page(self.prepared, own)

    async def get(self, form: Form = Form.TEXT, *, is_gzip: bool = False, is_coarse: bool = False) -> Body | None:
        return await self.page.get(form, is_coarse=is_coarse, is_gzip=is_gzip)


def joined(body: Body | None) -> bytes:
    assert body is not None
    return b"".join(body.parts)


async def test_a_hundred_requests_of_one_tick_are_one_rendering_and_one_compression() -> None:
    snapshot = FakeSnapshot(series=100)
    room = Room(snapshot)
    bodies: list[Body | None] = []

    async def get() -> None:
        bodies.append(await room.get(is_gzip=True))

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(get)
    assert len(bodies) == 100
    assert all(body is bodies[0] for body in bodies)
    assert snapshot.expositions == [False]
    assert repr(room.prepared) == "<Prepared [1 rendered, 1 compressed]>"


async def test_each_form_is_rendered_once_and_gzip_holds_the_same_bytes() -> None:
    snapshot = FakeSnapshot(series=3)
    room = Room(snapshot)
    for form in (Form.TEXT, Form.OPENMETRICS) * 2:
        text = await room.get(form, is_gzip=False)
        small = await room.get(form, is_gzip=True)
        assert small is not None
        assert gzip.decompress(joined(small)) == joined(text)
        assert small.length == len(joined(small))
    assert snapshot.expositions == [False, True]
    assert (room.prepared.renderings_total, room.prepared.compressions_total) == (2, 2)


async def test_own_metrics_come_last_so_that_openmetrics_ends_with_eof() -> None:
    room = Room(FakeSnapshot())
    assert joined(await room.get()).endswith(b"own 1\n")
    assert joined(await room.get(Form.OPENMETRICS)).endswith(b"# EOF\n")


async def test_nothing_is_rendered_until_it_is_asked_for_and_the_next_tick_renders_anew() -> None:
    first, second = FakeSnapshot(sequence=2), FakeSnapshot(sequence=3)
    room = Room(first)
    assert first.expositions == []
    assert b" 2.5\n" in joined(await room.get())
    room.feed.publish(second)
    assert second.expositions == []
    assert b" 3.5\n" in joined(await room.get())
    assert room.prepared.renderings_total == 2
    assert room.prepared.compressions_total == 0


async def test_the_baseline_is_no_page() -> None:
    room = Room(FakeSnapshot(sequence=1, interval_s=None))
    assert await room.get() is None
    assert await Room().get() is None


async def test_it_renders_in_a_thread_and_a_cancelled_request_hands_over() -> None:
    threads: list[int] = []

    def slow(_form: Form, _snapshot: Snapshot) -> bytes:
        threads.append(threading.get_ident())
        time.sleep(0.05)
        return b""

    room = Room(FakeSnapshot(), own=slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.get)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.001):
            await room.get()
    assert await room.get() is not None
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_readers_of_both_kinds_are_two_renderings_and_the_coarse_one_is_of_the_coarse_snapshot() -> None:
    seen: list[object] = []

    def own_watts(_: Form, snapshot: Snapshot) -> bytes:
        seen.append(dict(snapshot.watts))
        return b""

    room = Room(FakeSnapshot(), own=own_watts)
    for _ in range(3):
        await room.get(is_coarse=True)
        await room.get(is_coarse=False)
    assert seen == [{"coarse": 0.001}, {"package": 12.5}]


async def test_coarse_readers_get_a_snapshot_at_their_rate_where_ticks_come_faster(
    autojump_clock: trio.testing.MockClock,
) -> None:
    room = Room(FakeSnapshot(sequence=2))
    room.prepared.apply(Access(rate_hz=2.0), interval_s=0.1)
    coarse: list[int] = []
    fine: list[int] = []
    for tick in range(3, 23):
        await trio.sleep(0.1)
        room.feed.publish(FakeSnapshot(sequence=tick))
        for found, is_coarse in ((coarse, True), (fine, False)):
            memo = room.prepared.memo(is_coarse=is_coarse)
            assert memo is not None
            found.append(memo.snapshot.sequence)
    assert fine == list(range(3, 23))
    assert len(set(coarse)) == 4
    assert all(later >= earlier for earlier, later in itertools.pairwise(coarse))


async def test_coarse_readers_get_every_tick_where_ticks_are_slow_enough() -> None:
    room = Room()
    for tick in range(2, 12):
        room.feed.publish(FakeSnapshot(sequence=tick))
        memo = room.prepared.memo(is_coarse=True)
        assert memo is not None
        assert memo.snapshot.sequence == tick


async def test_a_resolution_of_nothing_is_the_snapshot_itself() -> None:
    room = Room(FakeSnapshot(), own=lambda _, snapshot: repr(dict(snapshot.watts)).encode())
    room.prepared.apply(Access(resolution_j=0), interval_s=1.0)
    assert joined(await room.get(is_coarse=True)).endswith(b"{'package': 12.5}")


async def test_questions_beyond_the_bound_are_answered_each_time_anew() -> None:
    room = Room(FakeSnapshot())
    memo = room.prepared.memo(is_coarse=False)
    assert memo is not None
    for variant in [*range(100)] * 2:
        body = await room.prepared.body(memo, variant, lambda _: Body((b"x",), is_gzip=False), is_gzip=True)
        assert gzip.decompress(joined(body)) == b"x"
    assert len(memo.bodies) == VARIANTS_MAX
