from hypothesis import given
from hypothesis import strategies as st

from jouled.balance.division import Part, divide

AMOUNTS = st.integers(0, 10**9)


@st.composite
def _parts(draw: st.DrawFn) -> Part:
    floor = draw(st.integers(0, 10**7))
    ceiling = draw(st.none() | st.integers(floor, 5 * 10**8))
    return Part(floor, ceiling, draw(st.none() | st.integers(0, 10**9)))


PARTS = st.lists(_parts(), min_size=1, max_size=9)


def test_equal_parts_get_equal_shares_to_the_microwatt() -> None:
    assert divide(100, [Part(1, None)] * 3) == (34, 33, 33)


def test_what_one_cannot_take_goes_to_the_others() -> None:
    assert divide(100, [Part(1, 20), Part(1, None), Part(1, None)]) == (20, 40, 40)


def test_who_needs_less_gives_to_who_needs_more() -> None:
    assert divide(100, [Part(1, None, need=20), Part(1, None, need=90)]) == (20, 80)


def test_what_nobody_needs_is_spread_as_headroom() -> None:
    assert divide(100, [Part(1, None, need=20), Part(1, None, need=40)]) == (40, 60)


def test_one_whose_need_is_unknown_may_need_all() -> None:
    assert divide(100, [Part(1, None, need=30), Part(1, None)]) == (30, 70)


def test_a_part_that_needs_nothing_keeps_its_floor() -> None:
    assert divide(100, [Part(5, None, need=0), Part(5, None, need=500)]) == (5, 95)


def test_nothing_is_divided_among_none() -> None:
    assert divide(100, []) == ()


@given(AMOUNTS, PARTS)
def test_shares_add_up_to_the_amount_or_to_the_nearest_that_floors_and_ceilings_allow(
    amount: int, parts: list[Part]
) -> None:
    least = sum(part.floor for part in parts)
    ceilings = [part.ceiling for part in parts]
    most = sum(ceiling for ceiling in ceilings if ceiling is not None) if None not in ceilings else amount
    assert sum(divide(amount, parts)) == max(min(amount, most), least)


@given(AMOUNTS, PARTS)
def test_no_share_is_below_its_floor_or_above_its_ceiling(amount: int, parts: list[Part]) -> None:
    for share, part in zip(divide(amount, parts), parts, strict=True):
        assert part.floor <= share
        assert part.ceiling is None or share <= part.ceiling


@given(AMOUNTS, AMOUNTS, PARTS)
def test_more_to_divide_gives_nobody_less(amount: int, more: int, parts: list[Part]) -> None:
    pairs = zip(divide(amount, parts), divide(amount + more, parts), strict=True)
    # A microwatt that does not divide goes to the first, whoever that is.
    assert all(share <= grown + 1 for share, grown in pairs)


@given(AMOUNTS, PARTS)
def test_nobody_is_held_below_its_need_for_the_headroom_of_another(amount: int, parts: list[Part]) -> None:
    shares = divide(amount, parts)
    held = [
        share
        for share, part in zip(shares, parts, strict=True)
        if share < min(max(part.floor, amount if part.need is None else part.need), part.ceiling or amount)
    ]
    if held:
        for share, part in zip(shares, parts, strict=True):
            assert share <= max(part.floor, amount if part.need is None else part.need)
