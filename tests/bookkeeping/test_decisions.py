"""Decisions in the store, on both engines: their whole life, and that none is carried out twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import trio
from sqlalchemy import select

from jouled.bookkeeping import balancing, decisions
from jouled.bookkeeping.executing import execute, look_after
from jouled.books.load import Bands
from jouled.config.books import Load as LoadSettings
from jouled.errors import ConflictError, InvalidError, NotFoundError, StoreError
from jouled.loads.registry import RUN, Loads
from jouled.store import Store
from jouled.store.schema.events import messages
from jouled.wire.decisions import Decision, DecisionDraft, Decisions
from plants import BROKEN, NOW, FakeClock, FakeLoad, make_site, mill, see

BANDS = Bands()


@pytest.fixture
def books(store: Store) -> Store:
    store.write(mill)
    return store


def draft(**fields: Any) -> DecisionDraft:
    values = {"decision_type": "scale_down", "reason": "a peak", "source_zone_id": "hall-1", "load_shift_amount": 5.0}
    return DecisionDraft(facility_id="mill", **{**values, **fields})


def proposed(books: Store, **fields: Any) -> Decision:
    return books.write(lambda connection: decisions.propose(connection, draft(**fields), "ann", NOW))[0]


def approved(books: Store, **fields: Any) -> Decision:
    decision = proposed(books, **fields)
    return books.write(lambda connection: decisions.approve(connection, decision.id, "bob", "agreed", NOW))


def get(books: Store, decision_id: str) -> Decision:
    return books.read(lambda connection: decisions.get(connection, decision_id))


def begun(books: Store, decision_id: str, executor: str, deadline_at: Any = NOW + timedelta(minutes=1)) -> Decision:
    return books.write(
        lambda connection: decisions.start(
            connection, decision_id, "ann", NOW, executor=executor, deadline_at=deadline_at
        )
    )


def listed(books: Store, **how: Any) -> Decisions:
    return books.read(lambda connection: decisions.listed(connection, "mill", **how))


def balance(books: Store, at: Any = NOW) -> Decisions:
    return books.write(lambda connection: balancing.balance(connection, "mill", "ann", at, BANDS))


async def carried_out(
    books: Store, decision: Decision, load: FakeLoad, clock: Callable[[], Any] | None = None
) -> Decision:
    return await execute(books, Loads({"hall-1": load}), decision.id, "cyd", clock or FakeClock())


async def test_a_decision_keeps_who_did_what_when_and_why(books: Store) -> None:
    decision = approved(books, inputs={"load_kw": 90}, expected={"load_kw": 85})
    load = FakeLoad()
    done = await carried_out(books, decision, load)
    assert (done.status, done.result, done.executed_at, done.completed_at) == ("completed", "moved 5.0 kW", NOW, NOW)
    assert (done.inputs, done.expected, done.observed) == ({"load_kw": 90}, {"load_kw": 85}, None)
    steps = books.read(lambda connection: decisions.with_steps(connection, decision.id)).steps
    assert [(step.who, step.from_status, step.to_status, step.why) for step in steps] == [
        ("ann", None, "proposed", "a peak"),
        ("bob", "proposed", "approved", "agreed"),
        ("cyd", "approved", "executing", "asked for"),
        ("cyd", "executing", "completed", "moved 5.0 kW"),
    ]
    assert [(order.id, order.status) for order in load.orders] == [(decision.id, "executing")]


def test_every_change_is_told_on_the_stream(books: Store) -> None:
    decision = approved(books)
    query = select(messages.c.topic, messages.c.body).order_by(messages.c.seq)
    told = books.read(lambda connection: connection.execute(query).all())
    assert [(row.topic, row.body["id"], row.body["status"]) for row in told] == [
        ("decisions", decision.id, "proposed"),
        ("decisions", decision.id, "approved"),
    ]


def test_decisions_of_the_future_are_listed_too(books: Store) -> None:
    later = proposed(books, scheduled_at=NOW + timedelta(days=7))
    now = proposed(books)
    assert [one.id for one in listed(books).decisions] == [now.id, later.id]
    assert [one.id for one in listed(books, status="pending").decisions] == [now.id, later.id]
    assert listed(books, status="approved").count == 0


def test_a_long_list_comes_in_pages(books: Store) -> None:
    made = [proposed(books).id for _ in range(5)]
    first = listed(books, limit=2)
    rest = listed(books, limit=10, cursor=first.next_cursor)
    assert [one.id for one in (*first.decisions, *rest.decisions)] == made[::-1]
    assert rest.next_cursor is None


def test_the_same_key_is_the_same_decision(books: Store) -> None:
    first = proposed(books, key="k")
    assert proposed(books, key="k").id == first.id
    with pytest.raises(ConflictError):
        proposed(books, key="k", reason="another")
    assert listed(books).count == 1


def test_zones_have_to_be_the_sites(books: Store) -> None:
    books.write(partial(make_site, site_id="other"))
    for fields in ({"source_zone_id": "nowhere"}, {"target_zone_id": "nowhere"}):
        with pytest.raises(InvalidError, match="has no zone 'nowhere'"):
            proposed(books, **fields)
    with pytest.raises(NotFoundError):
        books.write(
            lambda connection: decisions.propose(
                connection, DecisionDraft(facility_id="no", decision_type="optimize", reason="x"), "ann", NOW
            )
        )


async def test_without_a_load_it_fails_with_a_clear_word_and_stays_approved(books: Store) -> None:
    decision = approved(books)
    with pytest.raises(ConflictError, match="no load is attached to zone 'hall-1'"):
        await execute(books, Loads(), decision.id, "ann", FakeClock())
    assert (get(books, decision.id).status, get(books, decision.id).executed_at) == ("approved", None)
    nowhere = approved(books, decision_type="optimize", source_zone_id=None)
    with pytest.raises(ConflictError, match="names no zone"):
        await execute(books, Loads(), nowhere.id, "ann", FakeClock())


async def test_what_is_not_approved_is_not_carried_out(books: Store) -> None:
    load = FakeLoad()
    decision = proposed(books)
    with pytest.raises(ConflictError, match="is proposed and cannot become executing; approve it first"):
        await carried_out(books, decision, load)
    books.write(lambda connection: decisions.cancel(connection, decision.id, "ann", "no need", NOW))
    with pytest.raises(ConflictError, match="is cancelled"):
        await carried_out(books, decision, load)
    assert load.orders == []
    found = get(books, decision.id)
    assert (found.status, found.cancelled_at, found.result) == ("cancelled", NOW, "no need")


@pytest.mark.parametrize("defect", [BROKEN, RuntimeError("a bug")])
async def test_a_load_that_fails_makes_the_decision_failed(books: Store, defect: Exception, lines: Any) -> None:
    done = await carried_out(books, approved(books), FakeLoad(defect))
    assert done.status == "failed"
    assert str(defect) in (done.result or "")
    assert done.completed_at is None


async def test_a_load_that_never_answers_is_not_waited_for(books: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jouled.bookkeeping.executing.PATIENCE_S", 0.01)
    load = FakeLoad(during=trio.sleep_forever)
    load.limit_s = 0.01
    done = await carried_out(books, approved(books), load)
    assert (done.status, "did not answer within" in (done.result or "")) == ("failed", True)


async def test_of_two_who_execute_at_once_one_wins(books: Store) -> None:
    decision, load = approved(books), FakeLoad(during=trio.lowlevel.checkpoint)
    ended: list[str] = []

    async def one() -> None:
        try:
            ended.append((await carried_out(books, decision, load)).status)
        except ConflictError as error:
            ended.append(str(error)[:8])

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(one)
    assert sorted(ended) == ["completed", *["decision"] * 7]
    assert len(load.orders) == 1


async def test_a_client_that_goes_away_does_not_leave_it_half_done(books: Store) -> None:
    decision = approved(books)
    with trio.CancelScope() as client:

        async def leave() -> None:
            client.cancel()
            await trio.lowlevel.checkpoint()

        await carried_out(books, decision, FakeLoad(during=leave))
    assert get(books, decision.id).status == "completed"


async def test_a_store_that_is_away_for_a_moment_does_not_lose_the_result(
    books: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jouled.bookkeeping.executing.RETRY_S", 0.01)
    commit, failures = books.commit, iter([True, True])

    async def away(work: Any) -> Any:
        if get(books, decision.id).status == "executing" and next(failures, False):
            raise StoreError("the store is away")
        return await commit(work)

    decision = approved(books)
    monkeypatch.setattr(books, "commit", away)
    assert (await carried_out(books, decision, FakeLoad())).status == "completed"


async def test_both_loads_of_a_shift_act_the_source_first_and_a_failure_ends_it(books: Store) -> None:
    order: list[str] = []

    def load(name: str, fails: Exception | None = None) -> FakeLoad:
        async def note() -> None:
            order.append(name)

        return FakeLoad(fails, during=note)

    shift = {"decision_type": "shift_load", "target_zone_id": "hall-2"}
    loads = Loads({"hall-2": load("in"), "hall-1": load("out")})
    done = await execute(books, loads, approved(books, **shift).id, "ann", FakeClock())
    assert (done.status, order) == ("completed", ["out", "in"])
    order.clear()
    loads = Loads({"hall-2": load("in"), "hall-1": load("out", BROKEN)})
    done = await execute(books, loads, approved(books, **shift).id, "ann", FakeClock())
    assert (done.status, order) == ("failed", ["out"])


def test_what_is_too_late_expires_and_cannot_be_approved(books: Store) -> None:
    early = proposed(books, expires_at=NOW + timedelta(hours=1))
    late = approved(books)
    at = NOW + timedelta(hours=2)
    with pytest.raises(ConflictError, match="is expired"):
        books.write(lambda connection: decisions.approve(connection, early.id, "ann", "x", at))
    assert books.write(lambda connection: decisions.expire(connection, at)) == 1
    assert (get(books, early.id).status, get(books, late.id).status) == ("expired", "approved")


async def test_an_approved_one_that_is_too_late_is_not_carried_out(books: Store) -> None:
    decision, clock, load = approved(books), FakeClock(), FakeLoad()
    clock.pass_by(days=2)
    with pytest.raises(ConflictError, match="is expired"):
        await carried_out(books, decision, load, clock)
    assert load.orders == []


def test_what_an_earlier_life_was_executing_has_failed(books: Store) -> None:
    ours, mine, others, late = (approved(books).id for _ in range(4))
    begun(books, ours, "here/an-earlier-life")
    begun(books, mine, f"here/{RUN}")
    begun(books, others, "there/its-life")
    begun(books, late, "there/its-life", NOW - timedelta(seconds=1))
    assert books.write(lambda connection: decisions.fail_interrupted(connection, "here", RUN, NOW)) == 2
    assert [get(books, one).status for one in (ours, mine, others, late)] == [
        "failed",
        "executing",
        "executing",
        "failed",
    ]
    assert "the daemon ended while it was executing" in (get(books, ours).result or "")
    assert "not finished in time" in (get(books, late).result or "")


async def test_the_effect_is_observed_after_the_loads_have_settled(books: Store) -> None:
    books.write(partial(see, kw=95, zone="hall-1"))
    done = await carried_out(books, approved(books), FakeLoad())
    settle = timedelta(minutes=1)

    def look(after: timedelta) -> int:
        return books.write(lambda connection: decisions.observe(connection, settle, NOW + after))

    books.write(partial(see, kw=94, zone="hall-1", at=NOW + timedelta(seconds=30)))
    assert look(timedelta(seconds=90)) == 0
    assert get(books, done.id).observed is None
    books.write(partial(see, kw=80, zone="hall-1", at=NOW + timedelta(seconds=120), window_duration=30))
    books.write(partial(see, kw=86, zone="hall-1", at=NOW + timedelta(seconds=150), window_duration=60))
    assert look(timedelta(seconds=160)) == 1
    observed = get(books, done.id).observed
    assert observed is not None
    assert observed["zones"]["hall-1"] == {"before_kw": 95.0, "after_kw": 84.0, "change_kw": -11.0}
    assert look(timedelta(seconds=170)) == 0


async def test_an_effect_that_is_never_measured_stays_unknown(books: Store) -> None:
    done = await carried_out(books, approved(books), FakeLoad())
    for hours in (1, 13, 30):
        at = NOW + timedelta(hours=hours)
        books.write(partial(decisions.observe, settle=timedelta(minutes=1), now=at))
    assert get(books, done.id).observed is None


def test_auto_balance_has_a_real_target(books: Store) -> None:
    books.write(partial(see, kw=95, zone="hall-1"))
    books.write(partial(see, kw=10, zone="hall-2"))
    found = balance(books)
    assert [(one.decision_type, one.source_zone_id, one.target_zone_id) for one in found.decisions] == [
        ("shift_load", "hall-1", "hall-2")
    ]
    (decision,) = found.decisions
    assert (decision.load_shift_amount, decision.priority, decision.triggering_condition) == (15, 2, "peak_shaving")
    assert decision.scheduled_at == NOW + timedelta(minutes=1)
    assert decision.inputs["source"]["load_kw"] == 95
    assert decision.expected["target"] == {"zone_id": "hall-2", "before_kw": 10.0, "after_kw": 25.0}


def test_auto_balance_does_not_pile_up_equal_decisions(books: Store) -> None:
    books.write(partial(see, kw=120, zone="hall-1"))
    books.write(partial(see, kw=10, zone="hall-2"))
    first = balance(books)
    assert [one.decision_type for one in first.decisions] == ["scale_down", "shift_load"]
    again = balance(books)
    assert again.count == 0
    assert "is open already" in (again.reason or "")
    for one in first.decisions:
        books.write(partial(decisions.cancel, decision_id=one.id, who="ann", why="no", now=NOW))
    assert balance(books).count == 2


def test_auto_balance_with_nothing_to_do_says_why(books: Store) -> None:
    assert "the load of zone hall-1 is not known" in (balance(books).reason or "")
    books.write(partial(see, kw=95, zone="hall-1"))
    books.write(partial(see, kw=79.9999, zone="hall-2"))
    assert "no other zone has free capacity" in (balance(books).reason or "")
    assert "is not known" in (balance(books, NOW + timedelta(hours=3)).reason or "")
    assert listed(books).count == 0


async def test_the_keeper_looks_after_all_of_it(books: Store, lines: Any) -> None:
    interrupted, late = approved(books).id, proposed(books).id
    begun(books, interrupted, "here/an-earlier-life")
    clock = FakeClock(NOW + timedelta(days=2))
    loads = Loads(settings=LoadSettings(settle_s=1.0), node="here")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(look_after, books, loads, clock, 0.01)
        with trio.fail_after(60):
            while len(lines) < 2:  # noqa: ASYNC110  (the log has no event)
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert (get(books, late).status, get(books, interrupted).status) == ("expired", "failed")
    assert {line["event"] for line in lines} == {
        "decisions were interrupted; look at their loads",
        "decisions expired",
    }
