"""The life of a decision, as far as it is pure."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jouled.books import decisions as rules
from jouled.errors import ConflictError, InvalidError
from plants import NOW

LEGAL = {
    ("proposed", "approved"),
    ("proposed", "cancelled"),
    ("proposed", "expired"),
    ("approved", "executing"),
    ("approved", "cancelled"),
    ("approved", "expired"),
    ("executing", "completed"),
    ("executing", "failed"),
}


@pytest.mark.parametrize("to", rules.NEXT)
@pytest.mark.parametrize("status", rules.NEXT)
def test_only_the_documented_ways_are_there(status: str, to: str) -> None:
    if (status, to) in LEGAL:
        rules.check_move("d", status, to)
        return
    with pytest.raises(ConflictError, match=f"decision d is {status} and cannot become {to}; "):
        rules.check_move("d", status, to)


def test_pending_is_another_name_for_proposed() -> None:
    assert rules.status_of("pending") == "proposed"
    assert rules.status_of("approved") == "approved"


def test_a_decision_of_the_future_expires_after_its_time() -> None:
    later = NOW + timedelta(days=3)
    assert rules.times(NOW, later, None) == (later, later + timedelta(days=1))
    assert rules.times(NOW, None, None) == (NOW, NOW + timedelta(days=1))


@pytest.mark.parametrize(
    ("scheduled", "expires"), [(-1, None), (24 * 400 * 5, None), (1, 1), (0, 0), (0, 24 * 400), (None, -1)]
)
def test_times_that_cannot_be_are_refused(scheduled: float | None, expires: float | None) -> None:
    with pytest.raises(InvalidError):
        rules.times(
            NOW,
            None if scheduled is None else NOW + timedelta(hours=scheduled),
            None if expires is None else NOW + timedelta(hours=expires),
        )


def test_a_shift_goes_from_one_zone_to_another() -> None:
    rules.check_zones("shift_load", "a", "b")
    rules.check_zones("scale_down", "a", None)
    for source, target in (("a", None), (None, "b"), ("a", "a")):
        with pytest.raises(InvalidError):
            rules.check_zones("shift_load", source, target)


def test_what_was_observed_is_null_until_something_is_known() -> None:
    assert rules.observed({"a": 100.0}, {"a": None}, NOW) is None
    assert rules.observed({}, {}, NOW) is None
    found = rules.observed({"a": 9000.0, "b": None}, {"a": 7000.0, "b": 100.0}, NOW)
    assert found is not None
    assert found["zones"] == {
        "a": {"before_kw": 9.0, "after_kw": 7.0, "change_kw": -2.0},
        "b": {"before_kw": None, "after_kw": 0.1, "change_kw": None},
    }
