"""Energy of powers over time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jouled.books.meters import GAP_MAX_US, MINUTE_US, Point, Share, changes, shares

POINTS = st.dictionaries(st.integers(0, 40 * MINUTE_US), st.floats(-5000, 5000), max_size=40).map(
    lambda found: [Point(at_us, power_w) for at_us, power_w in sorted(found.items())]
)


def test_a_constant_power_is_its_energy() -> None:
    found = shares([Point(0, 60.0), Point(30_000_000, 60.0), Point(90_000_000, 60.0)])
    assert found == {0: Share(3_600_000, 0, MINUTE_US), MINUTE_US: Share(1_800_000, 0, 30_000_000)}


def test_charge_and_discharge_do_not_cancel_out() -> None:
    assert shares([Point(0, 10.0), Point(20_000_000, -10.0)]) == {0: Share(50_000, 50_000, 20_000_000)}


def test_a_gap_is_not_covered() -> None:
    assert shares([Point(0, 10.0), Point(GAP_MAX_US + 1, 10.0)]) == {}
    covered = sum(share.covered_us for share in shares([Point(0, 10.0), Point(GAP_MAX_US, 10.0)]).values())
    assert covered == GAP_MAX_US


@given(POINTS, st.randoms())
def test_readings_give_the_same_sums_in_any_order(points: list[Point], random: object) -> None:
    shuffled = points[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    held: list[Point] = []
    sums: dict[int, Share] = {}
    for point in shuffled:
        grown = sorted([*held, point])
        for minute_us, share in changes(held, grown).items():
            sums[minute_us] = sums.get(minute_us, Share()).plus(share)
        held = grown
    assert {minute: share for minute, share in sums.items() if any(share)} == {
        minute: share for minute, share in shares(points).items() if any(share)
    }
    assert all(0 <= share.covered_us <= MINUTE_US for share in sums.values())
