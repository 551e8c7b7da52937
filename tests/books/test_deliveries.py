from __future__ import annotations

from datetime import timedelta

from jouled.books.deliveries import TRIES, Failure, wait_after

AWAY = Failure("no answer")


def test_eight_tries_take_about_a_day() -> None:
    waits = [wait_after(attempts, AWAY, 0.5) for attempts in range(1, 9)]
    assert waits[-1] is None
    known = [wait for wait in waits if wait is not None]
    assert len(known) == TRIES - 1 == 7
    assert known == sorted(known)
    assert timedelta(hours=22) < sum(known, timedelta()) < timedelta(hours=26)


def test_all_that_failed_at_once_are_not_tried_at_once() -> None:
    assert wait_after(1, AWAY, 0.0) == timedelta(seconds=8)
    assert wait_after(1, AWAY, 1.0) == timedelta(seconds=12)


def test_a_receiver_that_says_no_is_not_asked_again() -> None:
    assert wait_after(1, Failure("410 gone", is_final=True), 0.5) is None


def test_a_receiver_is_given_the_time_it_asks_for_up_to_a_day() -> None:
    assert wait_after(1, Failure("429", retry_after_s=600.0), 0.5) == timedelta(minutes=10)
    assert wait_after(4, Failure("429", retry_after_s=1.0), 0.5) == timedelta(minutes=30)
    assert wait_after(1, Failure("429", retry_after_s=1e9), 0.5) == timedelta(days=1)
