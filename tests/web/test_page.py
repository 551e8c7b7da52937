from __future__ import annotations

import gzip
import threading
import time

import trio

from fakes import FakeSnapshot
from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.web.negotiate import Form
from jouled.web.page import Body, Page


def own(form: Form, _: Snapshot) -> bytes:
    return b"# EOF\n" if form is Form.OPENMETRICS else b"own 1\n"


def page_of(snapshot: Snapshot) -> tuple[Feed[Snapshot], Page]:
    feed: Feed[Snapshot] = Feed()
    feed.publish(snapshot)
    return feed, Page(feed, own)


def joined(body: Body | None) -> bytes:
    assert body is not None
    return b"".join(body.parts)


async def test_a_hundred_requests_of_one_tick_are_one_rendering_and_one_compression() -> None:
    snapshot = FakeSnapshot(series=100)
    _, page = page_of(snapshot)
    bodies: list[Body | None] = []

    async def get() -> None:
        bodies.append(await page.get(Form.TEXT, is_gzip=True))

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(get)
    assert len(bodies) == 100
    assert all(body is bodies[0] for body in bodies)
    assert snapshot.expositions == [False]
    assert repr(page) == "<Page [1 rendered, 1 compressed]>"


async def test_each_form_is_rendered_once_and_gzip_holds_the_same_bytes() -> None:
    snapshot = FakeSnapshot(series=3)
    _, page = page_of(snapshot)
    for form in (Form.TEXT, Form.OPENMETRICS) * 2:
        text = await page.get(form, is_gzip=False)
        small = await page.get(form, is_gzip=True)
        assert small is not None
        assert gzip.decompress(joined(small)) == joined(text)
        assert small.length == len(joined(small))
    assert snapshot.expositions == [False, True]
    assert (page.renderings_total, page.compressions_total) == (2, 2)


async def test_own_metrics_come_last_so_that_openmetrics_ends_with_eof() -> None:
    _, page = page_of(FakeSnapshot())
    assert joined(await page.get(Form.TEXT, is_gzip=False)).endswith(b"own 1\n")
    assert joined(await page.get(Form.OPENMETRICS, is_gzip=False)).endswith(b"# EOF\n")


async def test_nothing_is_rendered_until_it_is_asked_for_and_the_next_tick_renders_anew() -> None:
    first, second = FakeSnapshot(sequence=2), FakeSnapshot(sequence=3)
    feed, page = page_of(first)
    assert first.expositions == []
    assert b" 2.5\n" in joined(await page.get(Form.TEXT, is_gzip=False))
    feed.publish(second)
    assert second.expositions == []
    assert b" 3.5\n" in joined(await page.get(Form.TEXT, is_gzip=False))
    assert page.renderings_total == 2
    assert page.compressions_total == 0


async def test_the_baseline_is_no_page() -> None:
    _, page = page_of(FakeSnapshot(sequence=1, interval_s=None))
    assert await page.get(Form.TEXT, is_gzip=False) is None
    assert await Page(Feed(), own).get(Form.TEXT, is_gzip=False) is None


async def test_it_renders_in_a_thread_and_a_cancelled_request_hands_over() -> None:
    threads: list[int] = []

    def slow(_form: Form, _snapshot: Snapshot) -> bytes:
        threads.append(threading.get_ident())
        time.sleep(0.05)
        return b""

    feed: Feed[Snapshot] = Feed()
    feed.publish(FakeSnapshot())
    page = Page(feed, slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(page_get, page)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.001):
            await page.get(Form.TEXT, is_gzip=False)
    assert await page.get(Form.TEXT, is_gzip=False) is not None
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def page_get(page: Page) -> None:
    await page.get(Form.TEXT, is_gzip=False)
