from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.config.units import BYTES, HERTZ, JOULES, SECONDS, WATTS, Unit


@pytest.mark.parametrize(
    ("unit", "written", "value"),
    [
        (SECONDS, "500ms", 0.5),
        (SECONDS, "5s", 5),
        (SECONDS, "1m", 60),
        (SECONDS, "1h", 3600),
        (SECONDS, " 1.5 s ", 1.5),
        (SECONDS, "7", 7),
        (SECONDS, 2, 2),
        (SECONDS, 0.25, 0.25),
        (WATTS, "65W", 65),
        (WATTS, "500mW", 0.5),
        (WATTS, "1.2kW", 1200),
        (JOULES, "1mJ", 0.001),
        (JOULES, "20µJ", 2e-5),
        (HERTZ, "10Hz", 10),
        (BYTES, "16KiB", 16384),
        (BYTES, "1.5KiB", 1536),
    ],
)
def test_quantities(unit: Unit, written: object, value: float) -> None:
    assert unit.parse(written) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("unit", "written"),
    [
        (SECONDS, "5 parsecs"),
        (SECONDS, "5M"),
        (SECONDS, "-5s"),
        (SECONDS, "1e3s"),
        (SECONDS, ""),
        (SECONDS, "5s\n5"),
        (SECONDS, "\u0663s"),
        (SECONDS, True),
        (SECONDS, -1),
        (SECONDS, float("inf")),
        (SECONDS, float("nan")),
        (SECONDS, 10**400),
        (SECONDS, None),
        (SECONDS, ["5s"]),
        (SECONDS, "9" * 100),
        (WATTS, "5w"),
        (WATTS, "5J"),
        (BYTES, "0.5B"),
        (BYTES, "16kB"),
    ],
)
def test_what_is_no_quantity_is_refused_with_how_to_write_one(unit: Unit, written: object) -> None:
    with pytest.raises(
        ValueError, match=f"is not {unit.noun}; write {unit.examples} or a number of {unit.plural}"
    ) as raised:
        unit.parse(written)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("unit", "value", "written"),
    [
        (SECONDS, 120, "2m"),
        (SECONDS, 65, "65s"),
        (SECONDS, 90, "90s"),
        (SECONDS, 0.1, "100ms"),
        (SECONDS, 0, "0s"),
        (SECONDS, 0.0001, "0.0001s"),
        (WATTS, 1.5, "1.5W"),
        (WATTS, 1000, "1kW"),
        (WATTS, 1e300, "1e+300W"),
        (JOULES, 1e-6, "1uJ"),
        (BYTES, 16384, "16KiB"),
        (BYTES, 1000, "1000B"),
    ],
)
def test_quantities_are_written_as_a_person_would(unit: Unit, value: float, written: str) -> None:
    assert unit.text(value) == written


@given(st.sampled_from([SECONDS, WATTS, JOULES, HERTZ]), st.floats(0, 1e12).map(lambda value: round(value, 6)))
def test_what_is_written_is_read_back_the_same(unit: Unit, value: float) -> None:
    assert unit.parse(unit.text(value)) == value


@given(st.integers(0, 2**40))
def test_sizes_stay_whole(size: int) -> None:
    assert BYTES.parse(BYTES.text(size)) == size
