"""Who may ask the API what: tokens, scopes, origins, hosts, rates, and the record of every write."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import trio
from litestar import Litestar
from sqlalchemy import select

from jouled.bookkeeping import audit as audits
from jouled.bookkeeping import tokens
from jouled.config import Listener
from jouled.config.books import ApiSettings
from jouled.store import Store
from jouled.store.schema.access import audit
from jouled.web import secrets
from jouled.web.api import audit as auditing
from jouled.web.api import tokens as checked
from jouled.web.api.application import application
from jouled.web.api.door import Door
from jouled.web.api.tokens import REMEMBERED_S
from jouled.web.request import AsgiApp, Message
from serving import FREE, Reply, peer_of, serving

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SITE = b'{"name":"Hydro plant","id":"plant","price_per_kwh":0.123457}'

UNREAD = b'{"name":"never read"}'


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@functools.cache
def _application() -> Litestar:
    """It takes some tenths of a second, and knows no store."""
    return application(clock=lambda: NOW)


class Desk:
    """A door, and a client at it."""

    def __init__(self, store: Store, **settings: Any) -> None:
        self.store = store
        self.now = NOW
        self.door = Door(cast("AsgiApp", _application()), store, ApiSettings(**settings), lambda: self.now)

    def token(self, *scopes: str, expires_at: datetime | None = None) -> tokens.NewToken:
        return self.store.write(lambda connection: tokens.create(connection, "plc-7", scopes, expires_at, NOW))

    def records(self) -> list[tuple[str, str, str, int]]:
        query = select(audit.c.who, audit.c.method, audit.c.path, audit.c.status).order_by(audit.c.seq)
        return [tuple(row) for row in self.store.read(lambda connection: connection.execute(query).all())]

    async def ask(
        self,
        method: str = "GET",
        path: str = "/api/v1/sites",
        body: bytes = b"",
        *,
        query: str = "",
        uid: int | None = None,
        address: str = "127.0.0.1:9917",
        token: str = "",
        **more: str,
    ) -> Answer:
        headers = {"host": "localhost", **({"content-type": "application/json"} if body else {})}
        headers |= {"authorization": f"Bearer {token}"} if token else {}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items() if value],
            "state": {"peer": peer_of(Listener(address), uid=uid)},
        }
        sent: list[Message] = []

        async def receive() -> Message:
            assert body is not UNREAD, "nobody may ask for it"
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.door(scope, receive, send)
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Store(state_dir=str(tmp_path)) as store:
        yield Desk(store)


async def test_reading_is_open_on_this_machine_and_writing_is_not(desk: Desk) -> None:
    assert (await desk.ask()).status == 200
    refused = await desk.ask("POST", body=SITE)
    assert (refused.status, refused.json["error"]) == (401, "unauthorized")
    assert refused.headers["www-authenticate"] == 'Bearer realm="jouled"'


async def test_who_is_at_the_unix_socket_may_write(desk: Desk) -> None:
    assert (await desk.ask("POST", body=SITE, uid=1000, address="unix:/run/j")).status == 201
    assert desk.records() == [("uid 1000", "POST", "/api/v1/sites", 201)]


async def test_other_machines_read_only_with_a_token(desk: Desk) -> None:
    far: dict[str, Any] = {"address": "0.0.0.0:9917", "host": "power.example"}
    assert (await desk.ask(**far)).status == 401
    assert (await desk.ask(**far, token=desk.token("read").secret)).status == 200
    assert (await desk.ask(**far, token=desk.token("write:readings").secret)).status == 200


async def test_whom_the_listeners_own_gate_let_in_reads_without_one(desk: Desk) -> None:
    digest = hashlib.sha256(b"its own").hexdigest()
    peer = peer_of(Listener("0.0.0.0:9917", tokens=(f"sha256${digest}",), plaintext=True))
    request: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/api/v1/sites",
        "query_string": b"",
        "headers": [],
        "state": {"peer": peer},
    }
    statuses = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        statuses.append(message.get("status"))

    await desk.door(request, receive, send)
    assert statuses[0] == 200


async def test_a_token_lets_do_what_its_scopes_say(desk: Desk) -> None:
    made = desk.token("write:sites")
    assert (await desk.ask("POST", body=SITE, token=made.secret)).status == 201
    other = await desk.ask("POST", body=SITE, token=desk.token("write:readings").secret)
    assert (other.status, other.json["message"]) == (403, "token plc-7 has not the scope write:sites; use one that has")
    assert (await desk.ask("PUT", "/api/v1/sites/plant", SITE, token=desk.token("admin").secret)).status == 200


async def test_a_token_that_is_none_is_refused_even_for_reading(desk: Desk) -> None:
    assert (await desk.ask(token="jouled_" + "x" * 43)).status == 401
    assert (await desk.ask(token="jouled_" + "x" * 4000)).status == 401


async def test_a_token_expires(desk: Desk) -> None:
    made = desk.token("read", expires_at=NOW + timedelta(minutes=1))
    assert (await desk.ask(token=made.secret)).status == 200
    desk.now = NOW + timedelta(minutes=1)
    assert (await desk.ask(token=made.secret)).status == 401


async def test_a_revoked_token_is_refused_within_seconds(desk: Desk, autojump_clock: trio.testing.MockClock) -> None:
    # The clock of the look-ups stands still while threads work.
    autojump_clock.autojump_threshold = float("inf")
    made = desk.token("read")
    assert (await desk.ask(token=made.secret)).status == 200
    desk.store.write(lambda connection: tokens.revoke(connection, made.token.id, NOW))
    autojump_clock.jump(REMEMBERED_S)
    assert (await desk.ask(token=made.secret)).status == 401


async def test_only_the_hash_of_a_token_is_kept(desk: Desk) -> None:
    made = desk.token("read")
    rows = desk.store.read(lambda connection: connection.exec_driver_sql("SELECT * FROM tokens").all())
    assert made.secret not in str(rows)
    assert made.secret.startswith("jouled_")


async def test_when_a_token_was_used_is_known(store: Store) -> None:
    desk = Desk(store)
    made = desk.token("read")
    await desk.ask(token=made.secret)
    (known,) = desk.store.read(tokens.listed)
    assert known.used_at == NOW


async def test_guessing_tokens_is_slowed_down(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked, "WRONG_PER_S", 0.01)
    slow = Desk(desk.store)
    assert [(await slow.ask(token=f"jouled_{number:043}")).status for number in range(3)] == [401, 429, 429]


async def test_each_write_is_recorded_once_in_its_own_commit(store: Store) -> None:
    desk = Desk(store)
    secret = desk.token("write:sites").secret
    await desk.ask("POST", body=SITE, token=secret)
    await desk.ask("POST", body=SITE, token=secret)
    await desk.ask("POST", body=b"{", token=secret)
    await desk.ask("POST", body=SITE)
    await desk.ask()
    assert desk.records() == [
        ("token plc-7", "POST", "/api/v1/sites", 201),
        ("token plc-7", "POST", "/api/v1/sites", 409),
        ("token plc-7", "POST", "/api/v1/sites", 400),
        ("address ", "POST", "/api/v1/sites", 401),
    ]
    bodies = desk.store.read(lambda connection: connection.execute(select(audit.c.body_sha256)).scalars().all())
    assert bodies[0] == hashlib.sha256(SITE).hexdigest()


async def test_refused_writes_cannot_fill_the_record(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "REFUSED_PER_S", 0.01)
    slow = Desk(desk.store)
    for _ in range(3):
        await slow.ask("POST", body=SITE)
    assert len(slow.records()) == 1


def test_the_oldest_records_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "ENTRIES_MAX", 100)
    monkeypatch.setattr(audits, "PRUNE_EVERY", 10)
    entry = audits.Entry(NOW, "w" * 999, "a" * 99, "POST", "/\0" + "p" * 999, None)

    def put(connection: Any) -> None:
        for _ in range(150):
            audits.put(connection, entry, 200)

    store.write(put)
    assert len(store.read(lambda connection: connection.execute(select(audit.c.seq)).all())) == 100


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost", "sec_fetch_site": "same-origin"}, 201),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"content_type": ""}, 415),
        ({"content_encoding": "gzip"}, 415),
        ({"content_encoding": "identity"}, 201),
        ({"content_type": "application/json; charset=utf-8"}, 201),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1:9917"}, 201),
        ({"host": "[::1]:9917"}, 201),
        ({"host": "LOCALHOST"}, 201),
    ],
)
async def test_pages_of_other_sites_cannot_write(desk: Desk, headers: dict[str, Any], status: int) -> None:
    assert (await desk.ask("POST", body=SITE, token=desk.token("admin").secret, **headers)).status == status


async def test_a_name_that_points_here_cannot_read(desk: Desk) -> None:
    assert (await desk.ask(host="rebound.example")).status == 403
    assert (await desk.ask(host="rebound.example", address="unix:/run/j", uid=0)).status == 200


async def test_each_client_has_its_rate(desk: Desk) -> None:
    desk = Desk(desk.store, read_hz=2.0, write_hz=1.0)
    assert [(await desk.ask()).status for _ in range(3)] == [200, 200, 429]
    late = await desk.ask()
    assert (late.json["error"], late.headers["retry-after"]) == ("too_many_requests", "1")
    assert (await desk.ask(token=desk.token("read").secret)).status == 200


async def test_answers_may_not_be_kept_framed_or_run(desk: Desk) -> None:
    for answer in (await desk.ask(), await desk.ask("POST", body=SITE)):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


async def test_an_amount_keeps_all_of_its_digits(desk: Desk) -> None:
    answer = await desk.ask("POST", body=SITE.replace(b"0.123457", b"1234567.654321"), uid=0)
    assert b'"price_per_kwh":1234567.654321,' in answer.body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b'{"name":"x","total_capacity":"5"}', 400),
        (b'{"name":"x","nmae":"y"}', 400),
        (b'{"name":"x\\u0000"}', 400),
        (b'{"name":"\xff"}', 400),
        (b'{"name":"x","total_capacity":1e999}', 400),
        (b'{"name":"x","timezone":"Mars/Olympus"}', 422),
        (b'{"name":"x","price_per_kwh":0.1234567}', 422),
        (b'{"name":"x","price_per_kwh":1e30}', 422),
        (b'{"name":"x","price_per_kwh":1e400}', 422),
    ],
)
async def test_a_body_that_cannot_be_is_never_a_defect(desk: Desk, body: bytes, status: int) -> None:
    answer = await desk.ask("POST", body=body, uid=0)
    assert answer.status == status
    assert set(answer.json) <= {"error", "message", "detail"}
    # What tells neither its place nor its fix.
    assert "what the books can hold" not in answer.json["message"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limmit=3", "unknown parameter 'limmit'; there is cursor, limit"),
        ("limit=3&limit=4", "parameter 'limit' is given twice"),
        ("limit=x", "limit: Expected `int`, got `str`"),
        ("limit=0", "limit: Expected `int` >= 1"),
        ("limit=null", "limit is never null; leave it out"),
        ("cursor=%00", "parameter 'cursor' holds the character 0"),
    ],
)
async def test_a_query_that_cannot_be_is_refused_with_the_reason(desk: Desk, query: str, words: str) -> None:
    answer = await desk.ask(query=query)
    assert (answer.status, answer.json["error"], answer.json["message"]) == (400, "invalid_request", words)


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ("2026-03-01T12:00:00Z", True),
        ("2026-03-01T12:00:00%2B01:00", True),
        ("2026-03-01T12:00:00+01:00", False),
        ("2026-03-01T12:00:00", False),
        ("2026-03-01", False),
        ("1772366400", False),
    ],
)
async def test_an_instant_has_its_zone(desk: Desk, value: str, is_one: bool) -> None:
    answer = await desk.ask(path="/api/v1/readings/facility/plant", query=f"start_time={value}")
    assert ("RFC 3339" not in answer.json.get("message", "")) is is_one
    assert is_one or answer.status == 400


async def test_unknown_paths_and_methods_are_said_in_the_same_form(desk: Desk) -> None:
    lost = await desk.ask(path="/api/v1/nothing")
    assert (lost.status, lost.json["error"]) == (404, "not_found")
    wrong = await desk.ask("DELETE", uid=0)
    assert (wrong.status, wrong.json["error"]) == (405, "method_not_allowed")
    assert set(wrong.headers["allow"].split(", ")) >= {"GET", "POST"}
    options = await desk.ask("OPTIONS")
    assert (options.status, options.body) == (204, b"")
    assert set(options.headers["allow"].split(", ")) == {"GET", "POST", "OPTIONS"}


async def test_head_is_get_without_its_body(desk: Desk) -> None:
    got, head = await desk.ask(), await desk.ask("HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(got.body))


async def test_behind_a_listeners_own_secrets_a_token_of_the_store_reads_all_and_writes_by_its_scope(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "listener"
    path.write_text(secrets.hash_token(b"its own"))
    writer = store.write(lambda c: tokens.create(c, "plc-7", ("write:sites",), None, datetime.now(UTC))).secret
    other = store.write(lambda c: tokens.create(c, "plc-8", ("write:readings",), None, datetime.now(UTC))).secret
    # Refused tokens come from one address, of which many would be slowed down.
    async with serving(Listener(FREE, tokens=(f"file:{path}",)), store=store) as rig:

        async def ask(secret: str, path: str, method: str = "GET", body: bytes = b"") -> int:
            lines = [
                f"{method} {path} HTTP/1.1",
                "host: localhost",
                "connection: close",
                f"content-length: {len(body)}",
                *(["content-type: application/json"] if body else []),
                *([f"authorization: Bearer {secret}"] if secret else []),
            ]
            return Reply.of(await rig.send("\r\n".join([*lines, "", ""]).encode() + body)).status

        for known in (writer, other, "its own"):
            for path_read in ("/metrics", "/readyz", "/api/v1/snapshot?limit=1", "/api/v1/sites"):
                assert await ask(known, path_read) in {200, 503}, (known, path_read)
        for unknown in ("", "not its own", "jouled_" + "x" * 43):
            for path_read in ("/metrics", "/api/v1/snapshot?limit=1", "/api/v1/sites"):
                assert await ask(unknown, path_read) == 401, (unknown, path_read)
            assert await ask(unknown, "/api/v1/sites", "POST", SITE) == 401
        assert await ask("", "/livez") == 200
        assert await ask("its own", "/api/v1/sites", "POST", SITE) == 401
        assert await ask(other, "/api/v1/sites", "POST", SITE) == 403
        assert await ask(writer, "/api/v1/sites", "POST", SITE) == 201


async def test_who_may_only_read_is_refused_before_its_body_is_asked_for(desk: Desk) -> None:
    read = desk.token("read").secret
    for status, token in ((401, ""), (403, read)):
        answer = await desk.ask("POST", body=UNREAD, token=token)
        assert (answer.status, set(answer.json)) == (status, {"error", "message"})
    assert [record[3] for record in desk.records()] == [401, 403]
