"""The caps on the metrics page."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from jouled.config import Listener
from jouled.wire.caps import CapDraft
from keeping import FakeKeeper
from pages import promtool
from serving import FREE, serving

FULL = Listener(FREE, detail="full")
LABELS = ("owner", "zone", "index", "interface", "limit", "to", "slice")


def samples(page: bytes) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            if sample.name.startswith("jouled_cap_"):
                found.setdefault(sample.name, {})[
                    tuple(sample.labels[name] for name in LABELS if name in sample.labels)
                ] = sample.value
    return found


async def page_of(keeper: FakeKeeper | None) -> bytes:
    async with serving(FULL, keeper=keeper) as rig:
        return (await rig.get("/metrics")).body


async def test_what_is_asked_for_and_what_holds_is_shown_by_zone_and_limit() -> None:
    keeper = FakeKeeper()
    await keeper.hold("operator", CapDraft(150))
    keeper.counters.foreign_writes_total["package", "1"] = 2
    keeper.counters.write_errors_total["slice", "batch.slice"] = 1
    page = await page_of(keeper)
    assert promtool(page) == ""
    found = samples(page)
    assert found["jouled_cap_leases"] == {(): 1}
    assert found["jouled_cap_asked_watts"] == {("operator",): 150}
    assert found["jouled_cap_effective_watts"] == {(): 149.9}
    long_term = [("package", index, "msr", "long_term") for index in "01"]
    assert [found["jouled_cap_limit_watts"][key] for key in long_term] == [74.95, 74.95]
    assert found["jouled_cap_limit_asked_watts"] == dict.fromkeys(long_term, 75)
    assert found["jouled_cap_original_watts"] == dict.fromkeys(long_term, 100)
    assert found["jouled_cap_slice_cpus"] == {("batch.slice",): 2}
    assert found["jouled_cap_writes_total"] == {(): 2}
    assert found["jouled_cap_foreign_writes_total"] == {("package", "1"): 2}
    assert found["jouled_cap_write_errors_total"] == {("slice", "batch.slice"): 1}
    assert found["jouled_cap_restore_failures_total"] == {(): 0}


async def test_no_cap_is_no_number() -> None:
    found = samples(await page_of(FakeKeeper()))
    assert found["jouled_cap_leases"] == {(): 0}
    assert not {"jouled_cap_asked_watts", "jouled_cap_original_watts", "jouled_cap_slice_cpus"} & found.keys()


async def test_blocks_of_programs_are_one_series() -> None:
    keeper = FakeKeeper()
    for number, watts in enumerate((180, 120, 150)):
        await keeper.hold(f"python:4711:{number}", CapDraft(watts))
    assert samples(await page_of(keeper))["jouled_cap_asked_watts"] == {("python",): 120}


async def test_a_zone_left_to_another_program_says_to_which() -> None:
    keeper = FakeKeeper()
    await keeper.hold("operator", CapDraft(30))
    assert samples(await page_of(keeper))["jouled_cap_ceded"] == {("package", "1", "msr", "thermald"): 1}


async def test_a_daemon_that_caps_nothing_shows_nothing_of_it() -> None:
    assert b"jouled_cap" not in await page_of(None)
    assert b"jouled_cap" not in await page_of(FakeKeeper(is_enabled=False))


async def test_what_an_earlier_daemon_left_and_cannot_be_given_back_is_shown_where_capping_is_off_too() -> None:
    keeper = FakeKeeper(is_enabled=False)
    keeper.counters.restore_failures_total = 3
    page = await page_of(keeper)
    assert promtool(page) == ""
    assert samples(page)["jouled_cap_restore_failures_total"] == {(): 3}
