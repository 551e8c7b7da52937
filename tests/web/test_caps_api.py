"""Power caps over the API: who may, what is answered, and that it needs no store."""

from __future__ import annotations

import json
import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from jouled.bookkeeping import tokens
from jouled.config import Access, Listener
from jouled.config.books import ApiSettings
from jouled.errors import JouledError
from jouled.store import Store
from jouled.web.access import Policy, Privileged
from jouled.web.api.application import open_door
from jouled.web.api.caps import CapsOff, CapsOn
from jouled.web.api.door import Door
from jouled.web.api.no_store import NoStore
from jouled.web.gate import Gate
from jouled.web.peer import Peer, Slots
from jouled.web.request import Message
from keeping import NOW, FakeKeeper
from serving import FREE, Reply, Rig, serving
from streams import listening_to, upgrading

CAPS = "/api/v1/caps"
FULL = Listener(FREE, detail="full")


class Desk:
    """A door in front of a keeper, and users of the Unix socket."""

    def __init__(self, keeper: FakeKeeper, store: Store | None = None) -> None:
        self.keeper = keeper
        self.access = Access()
        caps = CapsOn(keeper)  # type: ignore[arg-type]  # of its shape
        self.door: Door = open_door(store or NoStore(), ApiSettings(), lambda: NOW, caps=caps)

    async def ask(
        self, method: str, path: str = CAPS, body: Any = None, *, uid: int | None = 0, token: str = ""
    ) -> Reply:
        listener = Listener("unix:/run/j" if uid is not None else "127.0.0.1:9917")
        policy = Policy(listener, self.access, Gate(listener), Privileged(self.access))
        peer = Peer(policy, streams=Slots(2), uid=uid)
        sent = b"" if body is None else json.dumps(body).encode()
        headers = {b"host": b"localhost", **({b"content-type": b"application/json"} if sent else {})}
        if token:
            headers[b"authorization"] = f"Bearer {token}".encode()
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": list(headers.items()),
            "state": {"peer": peer},
        }
        out: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(message: Message) -> None:
            out.append(message)

        await self.door(scope, receive, send)
        head = {name.decode(): value.decode() for name, value in out[0]["headers"]}
        return Reply(out[0]["status"], head, b"".join(message.get("body", b"") for message in out[1:]))


@pytest.fixture
def desk() -> Desk:
    return Desk(FakeKeeper())


async def test_a_cap_is_taken_shown_and_given_up_without_a_store(desk: Desk) -> None:
    taken = await desk.ask("PUT", f"{CAPS}/operator", {"watts": 150, "ttl_seconds": 600, "reason": "heat"})
    assert (taken.status, taken.json) == (
        200,
        {
            "owner": "operator",
            "watts": 150.0,
            "until": "2026-03-01T12:10:00Z",
            "since": "2026-03-01T12:00:00Z",
            "reason": "heat",
            "on_lapse": None,
        },
    )
    seen = (await desk.ask("GET")).json
    assert (seen["asked_watts"], seen["effective_watts"]) == (150.0, 149.9)
    assert [lease["owner"] for lease in seen["leases"]] == ["operator"]
    assert (await desk.ask("DELETE", f"{CAPS}/operator")).json == {"released": 1}
    gone = await desk.ask("DELETE", f"{CAPS}/operator")
    assert (gone.status, gone.json["message"]) == (404, "operator has no cap here; GET /api/v1/caps says who has")
    assert (await desk.ask("GET")).json["asked_watts"] is None


async def test_a_dry_run_answers_with_the_plan_and_changes_nothing(desk: Desk) -> None:
    planned = await desk.ask("PUT", f"{CAPS}/operator?dry_run=true", {"watts": 150})
    assert planned.status == 200
    assert planned.json["writes"] == [
        {
            "path": "/sys/class/powercap/intel-rapl:0/constraint_0_power_limit_uw",
            "what": "package-0 long_term",
            "before": "100000000",
            "after": "75000000",
        }
    ]
    assert desk.keeper.leases == {}
    assert desk.keeper.counters.writes_total == 0


async def test_the_operators_way_out_ends_all_of_them(desk: Desk) -> None:
    for owner in ("operator", "python:1:1"):
        await desk.ask("PUT", f"{CAPS}/{owner}", {"watts": 150})
    assert (await desk.ask("DELETE")).json == {"released": 2}
    assert (await desk.ask("DELETE")).json == {"released": 0}


@pytest.mark.parametrize("watts", [9.9, 200.1])
@pytest.mark.parametrize("query", ["", "?dry_run=true"])
async def test_what_cannot_be_is_refused_with_the_range(desk: Desk, watts: float, query: str) -> None:
    refused = await desk.ask("PUT", f"{CAPS}/operator{query}", {"watts": watts})
    assert refused.status == 422
    assert refused.json["message"] == f"a cap of {watts:g} W cannot be; allowed is 10 W to 200 W"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"watts": 0}, "watts"),
        ({"watts": None}, "watts"),
        ({"watts": "150"}, "watts"),
        ({"watts": 150, "ttl_seconds": 0}, "ttl_seconds"),
        ({"watts": 150, "ttl": 60}, "ttl"),
        ({}, "watts"),
    ],
)
async def test_a_malformed_cap_is_refused_with_its_place(desk: Desk, body: Any, words: str) -> None:
    refused = await desk.ask("PUT", f"{CAPS}/operator", body)
    assert (refused.status, words in refused.json["message"]) == (400, True), refused.body
    assert desk.keeper.leases == {}


@pytest.mark.parametrize("owner", ["market", "balance"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_nobody_speaks_for_jouled_itself(desk: Desk, owner: str, method: str) -> None:
    refused = await desk.ask(method, f"{CAPS}/{owner}", {"watts": 150} if method == "PUT" else None)
    assert (refused.status, f"the owner {owner} is jouled's own" in refused.json["message"]) == (422, True)


@pytest.mark.parametrize("owner", ["-x", "a b", "%0a", "a%0A", "x" * 65, "a%2Fb"])
async def test_an_owner_is_a_plain_name(desk: Desk, owner: str) -> None:
    from urllib.parse import unquote

    assert (await desk.ask("PUT", f"{CAPS}/{unquote(owner)}", {"watts": 150})).status in {400, 404, 405}
    assert desk.keeper.leases == {}


async def test_where_capping_is_off_a_cap_is_a_conflict_that_names_the_fix() -> None:
    desk = Desk(FakeKeeper(is_enabled=False))
    refused = await desk.ask("PUT", f"{CAPS}/operator", {"watts": 150})
    assert refused.status == 409
    assert "switch on [caps] enabled" in refused.json["message"]


async def test_a_journal_that_cannot_be_written_is_503_with_its_reason(desk: Desk) -> None:
    desk.keeper.trouble = JouledError("write /var/lib/jouled/caps/journal.json: no space left on device; make room")
    refused = await desk.ask("PUT", f"{CAPS}/operator", {"watts": 150})
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert "no space left on device; make room" in refused.json["message"]


async def test_at_the_socket_only_the_privileged_may_cap(desk: Desk) -> None:
    refused = await desk.ask("PUT", f"{CAPS}/operator", {"watts": 150}, uid=12_345)
    assert refused.status == 403
    assert refused.json["message"] == (
        "uid 12345 may not set power caps; run as root, or name the user in access.privileged"
    )
    assert (await desk.ask("GET", uid=12_345)).status == 200
    assert desk.keeper.leases == {}


async def test_the_settings_say_who_is_privileged_and_root_always_is(desk: Desk) -> None:
    user = pwd.getpwall()[-1]
    desk.access = Access(privileged=(user.pw_name,))
    for uid in (user.pw_uid, 0):
        assert (await desk.ask("PUT", f"{CAPS}/operator", {"watts": 150}, uid=uid)).status == 200
    assert (await desk.ask("PUT", f"{CAPS}/operator", {"watts": 150}, uid=12_345)).status == 403


async def test_over_tcp_without_a_store_everybody_here_reads_and_nobody_writes(desk: Desk) -> None:
    assert (await desk.ask("GET", uid=None)).status == 200
    assert (await desk.ask("PUT", f"{CAPS}/operator", {"watts": 150}, uid=None)).status == 401
    token = f"{tokens.MARK}{'x' * 40}"
    refused = await desk.ask("PUT", f"{CAPS}/operator", {"watts": 150}, uid=None, token=token)
    assert refused.status == 401
    assert "no store here (store.url = none), and so no tokens; use the Unix socket" in refused.json["message"]


async def test_without_a_store_there_are_caps_and_no_books(desk: Desk) -> None:
    assert (await desk.ask("GET", "/api/v1/sites")).status == 404
    described = (await desk.ask("GET", "/api/v1/openapi.json")).json["paths"]
    assert {CAPS, f"{CAPS}/{{owner}}"} <= described.keys()
    assert "/api/v1/sites" not in described


@pytest.mark.parametrize(("scope", "status"), [("control", 200), ("admin", 200), ("write:sites", 403), ("read", 403)])
async def test_a_token_needs_the_scope(tmp_path: Path, scope: str, status: int) -> None:
    with Store(state_dir=str(tmp_path)) as store:
        made = store.write(lambda connection: tokens.create(connection, "plc", (scope,), None, NOW))
        desk = Desk(FakeKeeper(), store)
        put = await desk.ask("PUT", f"{CAPS}/operator", {"watts": 150}, uid=None, token=made.secret)
        assert put.status == status
        assert bool(desk.keeper.leases) is (status == 200)


async def test_without_a_store_the_log_says_who_did_what(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    for method in ("PUT", "PUT", "DELETE"):
        await desk.ask(method, f"{CAPS}/operator", {"watts": 150} if method == "PUT" else None)
    captured = capsys.readouterr()
    said = [line for line in (captured.out + captured.err).splitlines() if "uid 0" in line]
    assert ["PUT" in line for line in said] == [True, False]
    assert "DELETE /api/v1/caps/operator" in said[1]


@asynccontextmanager
async def capped_room(**more: Any) -> AsyncIterator[tuple[Rig, FakeKeeper]]:
    keeper = FakeKeeper()
    async with serving(FULL, keeper=keeper, **more) as rig:
        yield rig, keeper


async def test_the_stream_tells_of_each_change() -> None:
    async with capped_room() as (rig, keeper), listening_to(rig, "?topics=caps") as events:
        keeper.publish()
        (first,) = await events.take(1)
        assert (first.topic, first.id, first.body["asked_watts"]) == ("caps", None, None)
        rig.tick()  # snapshots are another topic
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.hold, "operator", _draft(150))
        (second,) = await events.take(1)
        assert (second.topic, second.body["asked_watts"], second.body["leases"][0]["owner"]) == (
            "caps",
            150.0,
            "operator",
        )


async def test_a_websocket_tells_of_caps_too() -> None:
    async with capped_room() as (rig, keeper), upgrading(rig, "?topics=caps") as shaken:
        assert shaken.status == 101
        keeper.publish()
        message = await shaken.socket.message()
        assert (message["topic"], message["id"], message["body"]["is_enabled"]) == ("caps", None, True)


async def test_where_nothing_is_capped_the_stream_has_no_caps_and_the_routes_name_the_fix() -> None:
    async with serving(FULL) as rig:
        refused = await rig.get("/api/v1/stream?topics=caps")
        assert (refused.status, refused.json["message"].split(";")[0]) == (400, "there are no caps here")
        for path in (CAPS, f"{CAPS}/operator"):
            off = await rig.get(path)
            assert off.status == 409
            assert "set caps.enabled = true" in off.json["message"]
        assert (await rig.get(f"{CAPS}x")).status == 404


async def test_books_without_capping_show_the_limits_as_they_are(tmp_path: Path, two_packages: Path) -> None:
    with Store(state_dir=str(tmp_path)) as store:
        door = open_door(store, caps=CapsOff(sysfs=str(two_packages)))
        desk = Desk(FakeKeeper())
        desk.door = door
        seen = (await desk.ask("GET")).json
        assert (seen["is_enabled"], seen["effective_watts"]) == (False, 220.0)
        assert [(zone["zone"], zone["index"], zone["effective_watts"]) for zone in seen["zones"]] == [
            ("package", "0", 100.0),
            ("package", "1", 120.0),
        ]
        assert (await desk.ask("PUT", f"{CAPS}/operator", {"watts": 150})).status == 409
        assert (await desk.ask("DELETE")).status == 409
        planned = (await desk.ask("PUT", f"{CAPS}/operator?dry_run=true", {"watts": 150})).json
        assert [(write["before"], write["after"]) for write in planned["writes"]] == [
            ("100000000", "75000000"),
            ("120000000", "75000000"),
        ]
        assert "set caps.enabled = true" in planned["problems"][0]
        refused = await desk.ask("PUT", f"{CAPS}/operator?dry_run=true", {"watts": 9})
        assert (refused.status, "allowed is 10 W" in refused.json["message"]) == (422, True)


@pytest.fixture
def two_packages(tmp_path: Path) -> Path:
    sysfs = tmp_path / "sys"
    for number, watts in enumerate((100, 120)):
        zone = sysfs / "class" / "powercap" / f"intel-rapl:{number}"
        zone.mkdir(parents=True)
        files = {
            "name": f"package-{number}",
            "enabled": "1",
            "energy_uj": "1000000",
            "max_energy_range_uj": "262143328850",
            "constraint_0_name": "long_term",
            "constraint_0_power_limit_uw": f"{watts}000000",
            "constraint_0_max_power_uw": "105000000",
            "constraint_0_time_window_us": "27983872",
        }
        for name, text in files.items():
            (zone / name).write_text(f"{text}\n")
    return sysfs


def _draft(watts: float) -> Any:
    from jouled.wire.caps import CapDraft

    return CapDraft(watts)
