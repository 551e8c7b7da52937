"""Who may record under a name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jouled.books.claims import SILENT, WATCHED, Claim, Holder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOON = timedelta(seconds=30)


def holder(run: str = "theirs", part: int = 7, machine: str | None = "m2", at: datetime = NOW) -> Holder:
    return Holder(run, part, machine, at)


def test_a_name_that_nobody_has_and_ones_own_are_ours() -> None:
    claim = Claim("ours", "m1")
    assert claim.judge(None, NOW) == "ours"
    assert claim.judge(holder("ours", machine="m1"), NOW) == "ours"


def test_after_a_restart_the_life_of_before_is_followed_at_once() -> None:
    for machines in (("m1", "m1"), (None, "m1"), ("m1", None)):
        claim = Claim("ours", machines[0])
        # Twice, as a transaction that is done again asks twice.
        assert [claim.judge(holder(machine=machines[1]), NOW) for _ in range(2)] == ["ours", "ours"]


def test_a_life_on_another_machine_that_goes_on_keeps_the_name() -> None:
    claim = Claim("ours", "m1")
    assert claim.judge(holder(), NOW + SOON) == "unsure"
    assert claim.judge(holder(), NOW + 2 * SOON) == "unsure"
    for part in range(8, 60):
        assert claim.judge(holder(part=part), NOW + part * timedelta(minutes=1)) == "taken"


def test_one_that_ended_on_another_machine_is_followed_when_it_has_been_watched() -> None:
    claim = Claim("ours", "m1")
    assert claim.judge(holder(), NOW + SOON) == "unsure"
    assert claim.judge(holder(), NOW + SOON + WATCHED) == "ours"


def test_one_that_ended_long_ago_is_followed_at_once() -> None:
    assert Claim("ours", "m1").judge(holder(), NOW + SILENT) == "ours"


def test_one_that_is_taken_is_ours_again_when_the_other_ends() -> None:
    claim = Claim("ours", "m1")
    claim.judge(holder(), NOW)
    assert claim.judge(holder(part=8), NOW + SOON) == "taken"
    assert claim.judge(holder(part=8), NOW + SOON + WATCHED - SOON) == "taken"
    assert claim.judge(holder(part=8), NOW + SOON + WATCHED) == "ours"


def test_of_two_on_one_machine_only_one_goes_on() -> None:
    """As where the second is started by hand: hosts that are copies of each other look the same."""
    first, second = Claim("first", "m"), Claim("second", "m")
    assert second.judge(Holder("first", 5, "m", NOW), NOW) == "ours"
    assert first.judge(Holder("second", 1, "m", NOW), NOW) == "ours"
    for part in range(6, 20):
        assert second.judge(Holder("first", part, "m", NOW), NOW + SOON) == "taken"
