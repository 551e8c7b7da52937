"""Another host as a load: the real room of the API over a Unix socket, with a keeper that writes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import msgspec
import pytest
import trio
import trio.testing

from jouled.balance.fleet.words import Point, Span
from jouled.errors import ConfigError
from jouled.loads.node import LAPSED, LEASE_S, Leased, NodeLoad, need_of, owner_of, packages_w, span_of
from jouled.loads.protocol import LoadError
from jouled.wire.caps import CapDraft, Caps, Lease, Owner
from jouled.wire.live import ZoneCount
from keeping import FakeKeeper, capping
from node_orders import order_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = "balance@site"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[tuple[str, FakeKeeper]]:
    with capping(tmp_path) as found:
        yield found


def load_at(url: str) -> NodeLoad:
    return NodeLoad("rack-1", url, owner=OWNER, timeout_s=60.0)


async def test_a_node_is_described_capped_confirmed_and_given_back(room: tuple[str, FakeKeeper]) -> None:
    url, keeper = room
    load = load_at(url)
    assert isinstance(load, Leased)
    said = await load.describe()
    assert (said.id, said.kind, said.span) == ("rack-1", "node", Span(10.0, 200.0, None))
    before = await load.original()
    await load.apply(order_of(150.0))
    assert keeper.leases[OWNER].watts == 150.0
    assert keeper.leases[OWNER].reason == "too much"
    assert await load.confirm(order_of(150.0))
    assert not await load.confirm(order_of(140.0))
    seen = await load.measure()
    assert (seen.state, seen.point, seen.note) == ("running", None, None)
    assert seen.cap_w == pytest.approx(150.0, abs=0.2)
    # Of the packages, read when it was asked.
    assert seen.power_w == pytest.approx(9.9, abs=0.1)
    await load.give_back(before)
    assert keeper.leases == {}
    await load.give_back(before)
    await load.aclose()


async def test_a_cap_of_another_owner_counts_and_does_not_unconfirm_ours(room: tuple[str, FakeKeeper]) -> None:
    url, keeper = room
    load = load_at(url)
    await load.apply(order_of(150.0))
    await keeper.hold("operator", CapDraft(100.0))
    assert await load.confirm(order_of(150.0))
    assert (await load.measure()).cap_w == pytest.approx(100.0, abs=0.2)
    await load.aclose()


async def test_what_the_node_refuses_is_said_in_its_own_words(room: tuple[str, FakeKeeper]) -> None:
    url, keeper = room
    load = load_at(url)
    with pytest.raises(LoadError, match="422 a cap of 500 W cannot be; allowed is 10 W to 200 W"):
        await load.apply(order_of(500.0))
    assert not await load.renew()
    keeper.is_enabled = False
    with pytest.raises(LoadError, match=r"409 .*switch on \[caps\] enabled"):
        await load.apply(order_of(100.0))
    seen = await load.measure()
    assert (seen.state, seen.note) == (
        "held",
        "it caps nothing: power capping is switched off there, or only tried out",
    )
    await load.aclose()


async def test_a_node_that_does_not_answer_is_away(tmp_path: Path) -> None:
    load = load_at(f"unix:{tmp_path}/none")
    seen = await load.measure()
    assert seen.state == "away"
    assert seen.note is not None
    assert "check the address of the load rack-1" in seen.note
    for ask in (load.describe(), load.apply(order_of(100.0)), load.confirm(order_of(100.0)), load.give_back({})):
        with pytest.raises(LoadError, match="check the address of the load rack-1"):
            await ask
    await load.aclose()


class Body(httpx2.AsyncByteStream):
    """As it comes from a network: to be read once."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content

    async def aclose(self) -> None:
        """Nothing is open."""


def response(status: int, body: object) -> httpx2.Response:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return httpx2.Response(status, stream=Body(content))


class FakeNode:
    """Answers as a node does, and remembers what it was told; `refuses` is the status of all answers."""

    def __init__(self) -> None:
        self.state = Caps(
            is_enabled=True,
            is_dry_run=False,
            asked_watts=None,
            effective_watts=190.0,
            min_watts=10.0,
            max_watts=190.0,
            leases=(),
            zones=(),
            slices=(),
        )
        self.asked: list[tuple[str, str]] = []
        self.authorizations: list[str | None] = []
        self.puts: list[float] = []
        self.refuses: int | None = None
        self.is_silent = False
        self.has_power = True

    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self.answer)

    def hold(self, owner: str, watts: float, reason: str | None = None) -> None:
        kept = tuple(lease for lease in self.state.leases if lease.owner not in {owner, LAPSED})
        leases = (*kept, Lease(owner, watts, until=NOW, since=NOW, reason=reason))
        lowest_w = min(lease.watts for lease in leases)
        self.state = msgspec.structs.replace(self.state, leases=leases, asked_watts=lowest_w, effective_watts=lowest_w)

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append((request.method, request.url.path))
        self.authorizations.append(request.headers.get("authorization"))
        if self.is_silent:
            await trio.sleep_forever()
        if self.refuses is not None:
            return response(self.refuses, {"error": "unauthorized", "message": "not known"})
        if request.method == "PUT":
            draft = msgspec.json.decode(request.content, type=CapDraft)
            self.puts.append(draft.watts)
            self.hold(OWNER, draft.watts, draft.reason)
            return response(200, self.state.leases[-1])
        if request.method == "DELETE":
            kept = tuple(lease for lease in self.state.leases if lease.owner != OWNER)
            self.state = msgspec.structs.replace(self.state, leases=kept)
            return response(200, {"released": 1})
        if request.url.path.endswith("/zones"):
            return response(200, self._zones())
        return response(200, self.state)

    def _zones(self) -> dict[str, object]:
        zone = {"index": "0", "source": "rapl", "joules_total": 1.0, "monotonic_seconds": 1.0, "gaps": 0}
        watts = {"package": 60.0, "dram": 9.0} if self.has_power else {"package": None, "dram": 9.0}
        zones = [{**zone, "zone": name, "watts": value} for name, value in watts.items()]
        return {"source": "x", "opened_seconds": 1, "rate_hertz": None, "resolution_joules": None, "zones": zones}


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


def fake_load(node: FakeNode, **more: object) -> NodeLoad:
    return NodeLoad("rack-1", "https://rack-1:9917/", owner=OWNER, transport=node.transport(), **more)  # type: ignore[arg-type]  # as given


async def test_a_lease_is_renewed_before_its_end_and_not_more_often(
    node: FakeNode, autojump_clock: trio.testing.MockClock
) -> None:
    load = fake_load(node)
    assert not await load.renew()
    await load.apply(order_of(100.0))
    renewed_s = []
    for _ in range(20):
        await trio.sleep(5)
        await load.measure()
        if await load.renew():
            renewed_s.append(trio.current_time())
    assert len(renewed_s) == 5
    assert renewed_s[0] <= LEASE_S / 3 + 5
    assert set(node.puts) == {100.0}


async def test_the_controller_that_takes_over_renews_the_lease_of_the_one_before(node: FakeNode) -> None:
    node.hold(OWNER, 80.0, "before")
    load = fake_load(node)
    assert not await load.renew()  # nobody has looked yet
    await load.measure()
    assert await load.renew()
    assert node.puts == [80.0]
    assert node.state.leases[-1].reason == "before"


async def test_one_that_leads_again_renews_what_holds_and_not_what_it_asked_for_once(
    node: FakeNode, autojump_clock: trio.testing.MockClock
) -> None:
    load = fake_load(node)
    await load.apply(order_of(150.0))
    node.hold(OWNER, 60.0)  # by the other controller
    await trio.sleep(LEASE_S)
    await load.measure()
    await load.renew()
    assert node.puts == [150.0, 60.0]


async def test_a_node_that_was_started_anew_gets_its_cap_again(
    node: FakeNode, autojump_clock: trio.testing.MockClock
) -> None:
    load = fake_load(node)
    await load.apply(order_of(100.0))
    node.state = msgspec.structs.replace(node.state, leases=(), effective_watts=190.0)
    await trio.sleep(LEASE_S / 2)
    seen = await load.measure()
    assert seen.cap_w == 190.0
    assert await load.renew()
    assert node.puts == [100.0, 100.0]


async def test_an_order_without_an_answer_is_renewed_for_it_may_have_been_taken(
    node: FakeNode, autojump_clock: trio.testing.MockClock
) -> None:
    load = fake_load(node)
    await load.apply(order_of(150.0))
    node.is_silent = True
    began_s = trio.current_time()
    with pytest.raises(LoadError, match="no whole answer within 5 s"):
        await load.apply(order_of(100.0))
    assert trio.current_time() - began_s == 5
    node.is_silent = False
    assert await load.renew()
    assert node.puts == [150.0, 100.0]


async def test_a_token_is_sent_and_read_again_after_it_was_refused(node: FakeNode) -> None:
    tokens = iter(["first", "second"])
    load = fake_load(node, token=lambda: next(tokens))
    await load.measure()
    node.refuses = 401
    seen = await load.measure()
    assert (seen.state, seen.note) == (
        "away",
        "GET https://rack-1:9917/api/v1/caps: 401 not known; check the token of the load rack-1 and its scopes",
    )
    node.refuses = None
    assert (await load.measure()).state == "running"
    assert list(dict.fromkeys(node.authorizations)) == ["Bearer first", "Bearer second"]


async def test_a_token_that_cannot_be_read_fails_the_load_alone(node: FakeNode) -> None:
    def missing() -> str:
        raise ConfigError("read /none: no such file; put the token there")

    seen = await fake_load(node, token=missing).measure()
    assert (seen.state, seen.note) == ("away", "the load rack-1: read /none: no such file; put the token there")


async def test_power_that_nobody_tells_is_not_zero(node: FakeNode) -> None:
    node.has_power = False
    seen = await fake_load(node).measure()
    assert (seen.state, seen.power_w) == ("running", None)


async def test_a_stranger_at_the_address_is_no_node(node: FakeNode) -> None:
    async def html(_: httpx2.Request) -> httpx2.Response:
        return response(200, b"<html>")

    load = NodeLoad("rack-1", "https://rack-1", transport=httpx2.MockTransport(html))
    with pytest.raises(LoadError, match="check that the load rack-1 answers there"):
        await load.describe()
    assert (await load.measure()).state == "away"


async def test_what_a_node_fell_back_to_ends_when_it_is_given_back(node: FakeNode) -> None:
    node.hold(LAPSED, 60.0, f"safe: the lease of {OWNER} lapsed at 2026-03-01 12:00:00Z")
    await fake_load(node).give_back({"owner": OWNER})
    assert node.state.leases == ()
    assert node.puts == [10.0]


async def test_what_it_fell_back_to_for_another_site_stays(node: FakeNode) -> None:
    node.hold(LAPSED, 60.0, "safe: the lease of balance@other lapsed at 2026-03-01 12:00:00Z")
    await fake_load(node).give_back({"owner": OWNER})
    assert [lease.owner for lease in node.state.leases] == [LAPSED]


def test_a_site_s_name_becomes_an_owner_that_every_node_takes() -> None:
    assert owner_of("hall 1/a") == "balance@hall-1-a"
    assert owner_of(None) == "balance@site"
    for site in (None, "", "x" * 300, "köln\n"):
        msgspec.convert(owner_of(site), Owner)


def test_the_range_is_the_narrower_one_of_both(node: FakeNode) -> None:
    assert span_of(node.state, (None, None), "x") == (10.0, 190.0)
    assert span_of(node.state, (40.0, 150.0), "x") == (40.0, 150.0)
    assert span_of(node.state, (5.0, 400.0), "x") == (10.0, 190.0)
    unknown = msgspec.structs.replace(node.state, max_watts=None)
    assert span_of(unknown, (None, 150.0), "x") == (10.0, 150.0)
    with pytest.raises(LoadError, match="set max of the load"):
        span_of(unknown, (None, None), "x")


def test_what_a_node_needs_is_known_only_below_its_cap(node: FakeNode) -> None:
    assert need_of(node.state, OWNER, 100.0) == pytest.approx(110.0)
    assert need_of(node.state, OWNER, None) is None
    node.hold(OWNER, 100.0)
    assert need_of(node.state, OWNER, 50.0) == pytest.approx(55.0)
    assert need_of(node.state, OWNER, 97.0) is None
    node.hold("operator", 70.0)
    assert need_of(node.state, OWNER, 69.0) == 70.0
    assert need_of(node.state, OWNER, 97.0) == 70.0


async def test_a_preset_is_nothing_that_a_node_has(node: FakeNode) -> None:
    await fake_load(node).apply(order_of(120.0, Point("1100", 120.0, 0.0)))
    assert node.puts == [120.0]


def test_of_two_packages_of_which_one_says_nothing_nobody_knows_the_power() -> None:
    one, other = (ZoneCount("package", index, "rapl", 5.0, 1.0, 120.0, 0) for index in "01")
    core = ZoneCount("core", "0", "rapl", 5.0, 1.0, 70.0, 0)
    assert packages_w([one, core, other]) == 240.0
    assert packages_w([one, core, msgspec.structs.replace(other, watts=None)]) is None
    assert packages_w([core]) is None
