from __future__ import annotations

import pytest
import trio

from jouled.feed import Feed


async def collect(feed: Feed[int], seen: list[int], pause_s: float = 0.0) -> None:
    async for value in feed.subscribe():
        seen.append(value)
        await trio.sleep(pause_s)


async def test_a_reader_sees_each_value_that_it_is_quick_enough_for(nursery: trio.Nursery) -> None:
    feed: Feed[int] = Feed()
    seen: list[int] = []
    nursery.start_soon(collect, feed, seen)
    for value in (1, 2, 3):
        await trio.testing.wait_all_tasks_blocked()
        feed.publish(value)
    await trio.testing.wait_all_tasks_blocked()
    feed.close()
    assert seen == [1, 2, 3]


async def test_a_slow_reader_skips_to_the_latest_and_holds_nobody(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    feed: Feed[int] = Feed()
    slow: list[int] = []
    quick: list[int] = []
    nursery.start_soon(collect, feed, slow, 2.4)
    nursery.start_soon(collect, feed, quick)
    for value in range(10):
        feed.publish(value)
        await trio.sleep(1)
    feed.close()
    await trio.sleep(5)
    assert quick == list(range(10))
    assert slow == [0, 2, 4, 7, 9]


async def test_a_late_reader_begins_with_the_latest() -> None:
    feed: Feed[int] = Feed()
    feed.publish(1)
    feed.publish(2)
    seen: list[int] = []
    feed.close()
    await collect(feed, seen)
    assert seen == [2]
    assert feed.latest == 2


async def test_an_empty_feed_that_closes_ends_its_readers() -> None:
    feed: Feed[int] = Feed()
    feed.close()
    seen: list[int] = []
    await collect(feed, seen)
    assert seen == []


async def test_nothing_is_published_after_the_end() -> None:
    feed: Feed[int] = Feed()
    feed.close()
    with pytest.raises(trio.ClosedResourceError):
        feed.publish(1)
    assert repr(feed) == "<Feed [0 published, closed]>"
