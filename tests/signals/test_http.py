from __future__ import annotations

import gzip
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
import trio.testing

from answering import Server, answering
from certificates import make_pair
from jouled import http
from jouled.http import Http

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as server:
        yield server


def client(**settings: float) -> Http:
    return Http("carbon", pause_s=0.001, **settings)  # type: ignore[arg-type]  # few, and by name


async def test_an_answer_comes_with_who_asked_and_where(server: Server) -> None:
    server.tell("/x", b'{"a":1}')
    async with client() as asking:
        answer = await asking.get(f"{server.url}/x", params={"zone": "DE"}, headers={"auth-token": "t"})
    assert answer.body == b'{"a":1}'
    assert answer.where == f"GET {server.url}/x"
    asked = server.asked[0]
    assert asked.query == {"zone": "DE"}
    assert asked.headers["user-agent"].startswith("jouled/")
    assert asked.headers["auth-token"] == "t"


@pytest.mark.parametrize(
    ("status", "kind", "fix"),
    [
        (400, http.QuestionError, "does not understand the question: check carbon.zone and carbon.url"),
        (401, http.RejectedError, "check carbon.token"),
        (403, http.RejectedError, "check carbon.token"),
        (404, http.MissingError, "check carbon.zone"),
        (204, http.MissingError, "check carbon.zone"),
        (422, http.QuestionError, "does not understand the question"),
        (429, http.BusyError, "make carbon.refresh longer"),
        (500, http.TroubleError, "their trouble"),
        (503, http.TroubleError, "their trouble"),
    ],
)
async def test_each_refusal_has_a_type_and_says_the_fix(
    server: Server, status: int, kind: type[http.SignalError], fix: str
) -> None:
    server.tell("/x", b"" if status == 204 else b'{"message":"zone \x1b unknown"}', status)
    async with client() as asking:
        with pytest.raises(kind) as caught:
            await asking.get(f"{server.url}/x")
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"GET {server.url}/x: {status}")
    assert fix in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(server.asked) == (http.TRIES if issubclass(kind, http.PASSING) else 1)


async def test_trouble_that_passes_is_tried_again(server: Server) -> None:
    server.tell("/x", b"", 502)
    server.tell("/x", drops=True)
    server.tell("/x", b"here")
    async with client() as asking:
        assert (await asking.get(f"{server.url}/x")).body == b"here"


async def test_a_short_retry_after_is_waited_for_and_a_long_one_is_handed_on(
    server: Server, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server is a thread, of which the clock of the test knows nothing: what it would answer is told here.
    error = http.BusyError("busy")
    waits = [5.0, 3600.0]

    async def busy(*_: object) -> http.Answer:
        error.retry_after_s = waits.pop(0)
        raise error

    asking = client()
    monkeypatch.setattr(asking, "_get", busy)
    with pytest.raises(http.BusyError) as caught:
        await asking.get("http://localhost/x")
    assert caught.value.retry_after_s == 3600.0
    assert trio.current_time() == pytest.approx(5.0)


async def test_the_wait_that_a_server_asks_for_is_read_from_its_answer(server: Server) -> None:
    server.tell("/x", b"", 429, headers={"retry-after": "1200"})
    async with client() as asking:
        with pytest.raises(http.BusyError) as caught:
            await asking.get(f"{server.url}/x")
    assert caught.value.retry_after_s == 1200.0
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        ("Mon, 04 May 2026 12:02:00 GMT", 120.0),
        ("Mon, 04 May 2026 11:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert http.retry_after_s(text, NOW) == seconds


async def test_a_body_that_never_ends_hits_the_deadline(server: Server) -> None:
    server.tell("/x", b"0123456789", hangs=True)
    async with client(deadline_s=0.2, tries=1) as asking:
        with pytest.raises(http.UnreachableError, match=r"no whole answer within 0\.2 s"):
            await asking.get(f"{server.url}/x")


async def test_nobody_there_is_said_with_the_setting_to_check() -> None:
    async with client() as asking:
        with pytest.raises(http.UnreachableError, match=r"GET http://127\.0\.0\.1:1/x: .*; check carbon\.url"):
            await asking.get("http://127.0.0.1:1/x")


async def test_an_address_that_is_none_is_said(server: Server) -> None:
    async with client() as asking:
        for url in ("nonsense", "ftp://127.0.0.1/x", "http://[::1", "http://127.0.0.1:99999/"):
            with pytest.raises(http.SignalError, match=r"carbon\.url"):
                await asking.get(url)


async def test_a_large_body_is_refused_and_so_is_one_that_unpacks_to_it(server: Server) -> None:
    bomb = gzip.compress(bytes(200 * 1024 * 1024), 9)
    assert len(bomb) < 300_000
    server.tell("/large", bytes(2000))
    server.tell("/bomb", bomb, headers={"content-encoding": "gzip"})
    server.tell("/twice", gzip.compress(bomb), headers={"content-encoding": "gzip, gzip"})
    before_kb = _peak_kb()
    async with client(bytes_max=1000) as asking:
        with pytest.raises(http.AnswerError, match="more than 1000 bytes"):
            await asking.get(f"{server.url}/large")
    async with client(bytes_max=1_000_000) as asking:
        with pytest.raises(http.AnswerError, match="more than 1000000 bytes"):
            await asking.get(f"{server.url}/bomb")
        with pytest.raises(http.AnswerError, match="packed as gzip, gzip"):
            await asking.get(f"{server.url}/twice")
    assert _peak_kb() - before_kb < 64 * 1024


def _peak_kb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


async def test_a_broken_compression_is_an_answer_that_is_none(server: Server) -> None:
    server.tell("/x", b"not gzip", headers={"content-encoding": "gzip"})
    async with client() as asking:
        with pytest.raises(http.AnswerError, match="compressed answer is broken"):
            await asking.get(f"{server.url}/x")


async def test_a_compressed_answer_is_unpacked_and_one_that_is_cut_off_is_refused(server: Server) -> None:
    packed = gzip.compress(b'{"a":1}')
    server.tell("/x", packed, headers={"content-encoding": "gzip"})
    server.tell("/cut", packed[:-6], headers={"content-encoding": "gzip"})
    async with client() as asking:
        assert (await asking.get(f"{server.url}/x")).body == b'{"a":1}'
        with pytest.raises(http.AnswerError, match="broken off"):
            await asking.get(f"{server.url}/cut")


async def test_a_redirect_is_followed_on_the_same_host_only(server: Server) -> None:
    server.tell("/old", b"", 302, headers={"location": "/new"})
    server.tell("/new", b"here")
    with answering() as other:
        server.tell("/away", b"", 302, headers={"location": f"{other.url}/stolen"})
        async with client() as asking:
            assert (await asking.get(f"{server.url}/old", headers={"auth-token": "t"})).body == b"here"
            with pytest.raises(http.QuestionError, match=r"sent on to 127\.0\.0\.1; set carbon\.url"):
                await asking.get(f"{server.url}/away", headers={"auth-token": "t"})
        assert not other.asked


async def test_redirects_in_a_ring_end(server: Server) -> None:
    server.tell("/x", b"", 302, headers={"location": "/x"})
    async with client() as asking:
        with pytest.raises(http.QuestionError, match="sent on more than 3 times"):
            await asking.get(f"{server.url}/x")
    assert len(server.asked) == 4


async def test_a_challenge_page_is_named_as_what_it_is(server: Server) -> None:
    server.tell("/x", b"<!DOCTYPE html><title>Just a moment...</title>", 403)
    async with client() as asking:
        with pytest.raises(http.RejectedError, match="a page for browsers came instead"):
            await asking.get(f"{server.url}/x")


async def test_a_certificate_of_nobody_is_refused(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, "localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.cert, pair.key)
    with answering(tls) as server:
        server.tell("/x", b"secret")
        async with client(tries=1) as asking:
            with pytest.raises(http.UnreachableError, match=r"(?i)certificate"):
                await asking.get(f"{server.url}/x")
        assert not server.asked
