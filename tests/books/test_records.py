"""Minutes from counters: whatever is missed, born, ended or set, the records add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jouled.books.recording import Recording
from jouled.books.records import Part, headline
from jouled.model import Snapshot
from ledgers import PACKAGE, START_S, FakeLedger, LedgerSnapshot

MINUTE = round(START_S * 1e6)
DRAM = ("dram", "0", "rapl")


def recorded(snapshots: Iterable[Snapshot], *, top: int = 100, period_s: float = 1.0) -> list[Part]:
    recording = Recording(top=top, period_s=period_s)
    parts = []
    for snapshot in snapshots:
        parts += recording.take(snapshot)
    return parts + recording.close()


def steady(ledger: FakeLedger, ticks: int, **how: object) -> list[LedgerSnapshot]:
    return [ledger.baseline(), *(ledger.tick(**how) for _ in range(ticks))]  # type: ignore[arg-type]


def by_name(part: Part) -> dict[str, int]:
    return {row.reason or row.labels["comm"]: row.energy_mj["package"] for row in part.rows}


def check_adds_up(part: Part) -> None:
    """For each level and class the rows are all of the zones."""
    of_zones: Counter[str] = Counter()
    for (zone, _, _), share in part.zones.items():
        assert 0 <= share.idle_mj <= share.energy_mj
        of_zones[zone] += share.energy_mj
    of_rows: Counter[str] = Counter()
    for row in part.rows:
        assert row.cpu_us >= 0
        for zone, energy_mj in row.energy_mj.items():
            assert energy_mj >= 0
            of_rows[zone] += energy_mj
    assert +of_rows == +of_zones


def test_a_minute_is_what_the_counters_grew_in_it() -> None:
    parts = recorded(steady(FakeLedger(), 130, parts={1: 0.5, "kernel": 0.25}))
    assert [part.minute_us - MINUTE for part in parts] == [0, 60_000_000, 120_000_000]
    whole = parts[1]
    assert whole.zones[PACKAGE].energy_mj == 2_400_000
    assert whole.zones[PACKAGE].idle_mj == 600_000
    assert whole.zones[PACKAGE].quality == "good"
    assert whole.covered_us == {PACKAGE: 60_000_000}
    assert by_name(whole) == {"idle": 600_000, "kernel": 450_000, "unattributed": 450_000, "worker-1": 900_000}
    assert next(row for row in whole.rows if row.reason is None).cpu_us == 30_000_000


def test_the_first_and_the_last_minute_are_covered_in_part() -> None:
    ledger = FakeLedger(wall_s=START_S + 50)
    parts = recorded(steady(ledger, 15))
    assert [part.covered_us[PACKAGE] for part in parts] == [10_000_000, 5_000_000]
    assert [part.zones[PACKAGE].energy_mj for part in parts] == [400_000, 200_000]


def test_an_interval_across_a_boundary_is_divided_there() -> None:
    ledger = FakeLedger(wall_s=START_S + 58)
    parts = recorded([ledger.baseline(), ledger.tick(3.0, parts={7: 1.0})], period_s=3)
    assert [part.zones[PACKAGE].energy_mj for part in parts] == [80_000, 40_000]
    # The process began in that very interval.
    assert [by_name(part)["worker-7"] for part in parts] == [60_000, 30_000]


def test_snapshots_that_were_missed_lose_nothing() -> None:
    ledger = FakeLedger(wall_s=START_S + 55)
    every = steady(ledger, 20, parts={1: 0.5, 2: 0.25})
    some = recorded([every[0], every[1], every[9], every[10], every[20]], period_s=1)
    assert [part.zones[PACKAGE].energy_mj for part in some] == [5 * 40_000, 15 * 40_000]
    assert sum(by_name(part)["worker-1"] for part in some) == 20 * 15_000
    assert {part.zones[PACKAGE].quality for part in some} == {"estimated"}


def test_a_gap_is_spread_over_its_minutes_and_said_to_be_a_guess() -> None:
    ledger = FakeLedger()
    parts = recorded([ledger.baseline(), ledger.tick(1), ledger.tick(299, parts={3: 1.0}), ledger.tick(1)])
    assert len(parts) == 6
    assert [part.zones[PACKAGE].energy_mj for part in parts[:5]] == [2_400_000] * 5
    assert [part.zones[PACKAGE].quality for part in parts] == ["estimated"] * 5 + ["good"]
    assert sum(by_name(part).get("worker-3", 0) for part in parts) == 299 * 30_000


@pytest.mark.parametrize("clock_s", [-3600.0, -59.0, -1.5, 1.5, 61.0, 90_000.0])
def test_a_clock_that_is_set_neither_doubles_nor_loses_energy(clock_s: float) -> None:
    ledger = FakeLedger()
    snapshots = [*steady(ledger, 100, parts={1: 0.5}), ledger.tick(1, clock_s=clock_s, parts={1: 0.5})]
    snapshots += [ledger.tick(1, parts={1: 0.5}) for _ in range(99)]
    parts = recorded(snapshots)
    for part in parts:
        check_adds_up(part)
    assert sum(part.zones[PACKAGE].energy_mj for part in parts) == 200 * 40_000
    assert sum(part.covered_us[PACKAGE] for part in parts) == 200_000_000
    assert sum(by_name(part)["worker-1"] for part in parts) == 200 * 15_000
    guesses = [part for part in parts if part.zones[PACKAGE].quality == "estimated"]
    assert 1 <= len(guesses) <= 2


def test_a_night_asleep_has_no_records() -> None:
    ledger = FakeLedger()
    parts = recorded([*steady(ledger, 30), ledger.tick(1, clock_s=8 * 3600), *(ledger.tick() for _ in range(30))])
    assert len({part.minute_us for part in parts}) == len(parts) <= 3
    assert sum(part.covered_us[PACKAGE] for part in parts) == 61_000_000


def test_a_zone_that_could_not_be_read_is_not_covered_and_suspect() -> None:
    ledger = FakeLedger(PACKAGE, DRAM)
    snapshots = [ledger.baseline(), *(ledger.tick(failed=[DRAM] if 10 <= n < 20 else []) for n in range(70))]
    first, second = recorded(snapshots)
    assert first.covered_us == {PACKAGE: 60_000_000, DRAM: 50_000_000}
    assert (first.zones[PACKAGE].quality, first.zones[DRAM].quality) == ("good", "suspect")
    assert first.zones[DRAM].energy_mj == 50 * 20_000
    assert second.zones[DRAM].quality == "good"
    check_adds_up(first)


def test_a_model_is_an_estimate() -> None:
    zone = ("package", "0", "estimate")
    parts = recorded(steady(FakeLedger(zone), 5))
    assert parts[0].zones[zone].quality == "estimated"


def test_the_top_has_rows_and_the_rest_is_other() -> None:
    ledger = FakeLedger()
    parts = recorded(steady(ledger, 61, parts={1: 0.4, 2: 0.3, 3: 0.2, 4: 0.1}), top=2)
    whole = by_name(parts[0])
    assert whole == {"idle": 600_000, "worker-1": 720_000, "worker-2": 540_000, "other": 540_000}
    other = next(row for row in parts[0].rows if row.reason == "other")
    # Up to the scan after the minute's end.
    assert other.cpu_us == 61 * 300_000
    check_adds_up(parts[0])


def test_with_a_top_of_none_no_workload_is_looked_at() -> None:
    class Unlisted(FakeLedger):
        def tick(self, *args: object, **how: object) -> LedgerSnapshot:
            snapshot = super().tick(parts={1: 1.0})
            object.__setattr__(snapshot, "rows", None)
            return snapshot

    parts = recorded(steady(Unlisted(), 61), top=0)
    assert by_name(parts[0]) == {"idle": 600_000, "other": 1_800_000}


def test_a_row_that_left_the_page_is_part_of_other_and_counts_once_when_it_comes_back() -> None:
    ledger = FakeLedger()
    snapshots = [ledger.baseline()]
    for n in range(240):
        # It leaves in the middle of the second minute, and comes back in the fourth.
        hidden = [1] if 90 <= n < 200 else []
        snapshots.append(ledger.tick(parts={1: 1.0}, hidden=hidden))
    parts = recorded(snapshots)
    for part in parts:
        check_adds_up(part)
    energies = [by_name(part).get("worker-1", 0) for part in parts]
    assert energies[0] == 1_800_000
    assert energies[2] == 0
    # What it counted while its counter at the minute's begin was not known is in other, not counted again.
    assert sum(energies) + sum(by_name(part).get("other", 0) for part in parts) == 240 * 30_000


def test_a_pid_that_is_used_again_is_another_row() -> None:
    ledger = FakeLedger()
    snapshots = [ledger.baseline(), *(ledger.tick(parts={1: 1.0}) for _ in range(61))]
    ledger.forget(1)
    snapshots += [ledger.tick(parts={1: 0.5}) for _ in range(60)]
    parts = recorded(snapshots)
    assert [by_name(part).get("worker-1") for part in parts] == [1_800_000, 59 * 15_000, 15_000]
    assert by_name(parts[1])["other"] == 30_000


def test_a_snapshot_that_comes_twice_counts_once() -> None:
    ledger = FakeLedger()
    snapshots = steady(ledger, 10)
    parts = recorded([*snapshots, snapshots[-1]])
    assert parts[0].zones[PACKAGE].energy_mj == 400_000


def test_within_a_minute_no_row_is_looked_at() -> None:
    ledger = FakeLedger()
    recording = Recording(top=10, period_s=1)
    for snapshot in steady(ledger, 59, parts={1: 1.0}):
        is_within = recording.is_within(snapshot)
        assert is_within == (snapshot.sequence > 1)
        if is_within:
            object.__setattr__(snapshot, "rows", None)
        assert recording.take(snapshot) == []
    assert not recording.is_within(ledger.tick(2.0))


@pytest.mark.parametrize(
    ("classes", "shown"),
    [
        (("package", "dram", "core"), ("package", "dram")),
        (("core", "package"), ("package",)),
        (("package", "dram", "psys"), ("psys",)),
        (("battery",), ("battery",)),
        ((), ()),
    ],
)
def test_the_headline_is_what_does_not_overlap(classes: Sequence[str], shown: tuple[str, ...]) -> None:
    assert headline(classes) == shown


spans = st.sampled_from([0.1, 0.3337, 1.0, 1.7, 5.0, 59.9, 61.3, 400.0])
steps = st.fixed_dictionaries(
    {
        "span_s": spans,
        "weights": st.dictionaries(st.integers(1, 6), st.floats(0, 1), max_size=5),
        "watts": st.floats(0.001, 900),
        "idle": st.floats(0, 1),
        "clock_s": st.sampled_from([0.0] * 8 + [-3700.0, -61.0, -0.2, 0.2, 30.0, 4000.0]),
        "fails": st.sampled_from([False] * 6 + [True]),
        "hidden": st.sets(st.integers(1, 6), max_size=2),
        "forgotten": st.sampled_from([0] * 8 + [1, 2]),
        "is_missed": st.sampled_from([False] * 4 + [True]),
    }
)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, min_size=1, max_size=60), st.integers(0, 4), st.floats(0, 60))
def test_nothing_is_lost_or_invented_whatever_happens(
    history: list[dict[str, object]], top: int, begin_s: float
) -> None:
    zones = (PACKAGE, ("package", "1", "rapl"), DRAM)
    ledger = FakeLedger(*zones, wall_s=START_S + begin_s)
    taken = [ledger.baseline()]
    for number, step in enumerate(history):
        ledger.forget(step["forgotten"])  # type: ignore[arg-type]
        weights: dict[int, float] = step["weights"]  # type: ignore[assignment]
        whole = max(1.0, sum(weights.values()))
        snapshot = ledger.tick(
            step["span_s"],  # type: ignore[arg-type]
            parts={pid: weight / whole for pid, weight in weights.items()},
            watts=step["watts"],  # type: ignore[arg-type]
            idle_w=step["watts"] * step["idle"],  # type: ignore[operator]
            clock_s=step["clock_s"],  # type: ignore[arg-type]
            failed=[DRAM] if step["fails"] else [],
            hidden=sorted(step["hidden"]),  # type: ignore[call-overload]
        )
        if not step["is_missed"] or number == len(history) - 1:
            taken.append(snapshot)
    parts = recorded(taken, top=top)
    for part in parts:
        check_adds_up(part)
        assert len([row for row in part.rows if row.reason is None]) <= top
    for key in zones:
        assert sum(part.zones[key].energy_mj for part in parts) == round(ledger.joules[key] * 1000)
