"""Where a load should go: always to a zone that can take it, and never twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jouled.books.load import Bands
from jouled.books.shifting import Open, Place, best_target, proposals

BANDS = Bands()


def full(name: str = "full", load_w: float = 95.0, **fields: object) -> Place:
    return Place(name, name, 100.0, load_w, can_shed=True, **fields)  # type: ignore[arg-type]


def free(name: str = "free", load_w: float = 10.0, **fields: object) -> Place:
    return Place(name, name, 100.0, load_w, **fields)  # type: ignore[arg-type]


def test_load_is_shifted_to_the_zone_with_the_most_free_capacity() -> None:
    made, _ = proposals([full(), free("b", 40), free("a", 30), free("c", 60)], [], BANDS)
    assert [(one.decision_type, one.source, one.target) for one in made] == [("shift_load", "full", "a")]
    assert (made[0].amount_w, made[0].priority, made[0].condition) == (15.0, 2, "peak_shaving")
    assert made[0].expected["source"]["after_kw"] == 0.08


def test_a_zone_below_its_capacity_but_at_its_own_limit_is_no_target() -> None:
    assert best_target("x", [free("a", 10, max_load_w=10.0), free("b", 70)], BANDS) == free("b", 70)
    assert best_target("b", [free("b", 10)], BANDS) is None


def test_more_than_the_capacity_has_to_go_at_once() -> None:
    made, _ = proposals([Place("hall", "hall", 100.0, 120.0)], [], BANDS)
    assert [(one.decision_type, one.amount_w, one.priority, one.target) for one in made] == [
        ("scale_down", 20.0, 1, None)
    ]


def test_what_goes_over_the_capacity_is_not_shifted_a_second_time() -> None:
    made, _ = proposals([full(load_w=120.0), free()], [], BANDS)
    assert [(one.decision_type, one.amount_w) for one in made] == [("scale_down", 20.0), ("shift_load", 20.0)]
    assert made[1].expected["source"] == {"zone_id": "full", "before_kw": 0.1, "after_kw": 0.08}


def test_a_shift_is_not_more_than_may_go_or_fits_there() -> None:
    made, _ = proposals([full(min_load_w=90.0), free()], [], BANDS)
    assert made[0].amount_w == 5.0
    made, _ = proposals([full(), free("small", 78.0)], [], BANDS)
    assert made[0].amount_w == 2.0


def test_without_a_target_there_is_no_shift_but_a_reason() -> None:
    made, reasons = proposals([full(), free("b", 80.0)], [], BANDS)
    assert made == []
    assert reasons == ["zone full is at 95.0 %, but no other zone has free capacity within its band"]


def test_what_is_well_needs_nothing_and_that_is_the_reason() -> None:
    assert proposals([free()], [], BANDS) == ([], ["no zone is above its capacity, or sheds above 85 %"])
    assert proposals([], [], BANDS) == ([], ["the site has no zones"])


def test_an_unknown_load_is_neither_shifted_nor_a_target() -> None:
    made, reasons = proposals([full(), Place("dark", "dark", 100.0, None)], [], BANDS)
    assert made == []
    assert "the load of zone dark is not known" in reasons


def test_an_open_decision_is_not_proposed_again_and_its_target_is_taken() -> None:
    still = [Open("full", "free", "peak_shaving", 15.0)]
    made, reasons = proposals([full(), free()], still, BANDS)
    assert (made, reasons) == ([], ["a decision to shift load from zone full is open already"])
    made, _ = proposals(
        [full(), full("other"), free("free", 55.0)], [Open("full", "free", "peak_shaving", 15.0)], BANDS
    )
    assert [(one.source, one.amount_w) for one in made] == [("other", 10.0)]


PLACES = st.lists(
    st.tuples(st.floats(0, 200), st.floats(0, 50), st.one_of(st.none(), st.floats(50, 100)), st.booleans()),
    min_size=1,
    max_size=8,
)


@given(PLACES)
def test_no_target_is_ever_filled_above_its_band_or_limit(drawn: list[tuple[float, float, float | None, bool]]) -> None:
    places = [
        Place(str(n), str(n), 100.0, load, least, most, can_shed)
        for n, (load, least, most, can_shed) in enumerate(drawn)
    ]
    made, _ = proposals(places, [], BANDS)
    for place in places:
        come = sum(one.amount_w for one in made if one.target == place.id)
        gone = sum(one.amount_w for one in made if one.source == place.id)
        assert place.load_w is not None
        if come:
            assert place.load_w + come - gone <= min(80.0, place.max_load_w or 80.0) + 1e-6
        if any(one.source == place.id and one.decision_type == "shift_load" for one in made):
            assert place.load_w - gone >= place.min_load_w - 1e-6
    assert all(one.amount_w > 0 and one.source != one.target for one in made)
