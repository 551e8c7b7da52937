from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from fake_daemon import FakeDaemon, Handler, fake_daemon
from jouled import client as client_module
from jouled.client import Client, DaemonError, DeniedError, Event, NotRunningError, Place, events
from jouled.wire import Counters, ZoneCount
from sample_snapshots import UNITS, snapshot


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with fake_daemon() as found:
        yield found


def test_a_snapshot_comes_as_it_was_sent_over_tcp_and_over_a_socket(tmp_path: Path) -> None:
    for place in (None, tmp_path / "jouled.sock"):
        with fake_daemon(place) as daemon:
            daemon.says("/api/v1/snapshot", snapshot())
            assert Client(daemon.url).snapshot() == snapshot()


def test_every_question_has_its_path(daemon: FakeDaemon) -> None:
    counters = Counters("rapl", 5.0, 10.0, 0.001, (ZoneCount("package", "0", "rapl", 12.5, 77.0, 20.0, 0),))
    daemon.says("/api/v1/snapshot", snapshot())
    daemon.says("/api/v1/zones", snapshot().zones)
    daemon.says("/api/v1/zones?now=1", counters)
    daemon.says("/api/v1/workloads", UNITS)
    daemon.says("/metrics", "jouled_ticks_total 7\n")
    daemon.says("/readyz", "not ready: no scan\n", 503)
    client = Client(daemon.url)
    client.snapshot(("process", "unit"), sort="joules", limit=50)
    assert client.zones() == snapshot().zones
    assert client.counters() == counters
    assert client.workloads("unit", limit=20) == UNITS
    assert client.metrics() == "jouled_ticks_total 7\n"
    assert client.readiness() == (False, "not ready: no scan")
    assert [path for path, _ in daemon.asked] == [
        "/api/v1/snapshot?level=process,unit&sort=joules&limit=50",
        "/api/v1/zones",
        "/api/v1/zones?now=1",
        "/api/v1/workloads?level=unit&limit=20",
        "/metrics",
        "/readyz",
    ]


def test_a_path_in_the_url_stands_before_every_other(daemon: FakeDaemon) -> None:
    daemon.says("/box/metrics", "1\n")
    assert Client(f"{daemon.url}/box/").metrics() == "1\n"


def test_a_stream_gives_each_snapshot_and_says_that_it_has_ended(daemon: FakeDaemon) -> None:
    daemon.streams(snapshot(2), snapshot(3))
    stream = Client(daemon.url).stream(("unit",), interval_s=0.5)
    assert [next(stream).sequence, next(stream).sequence] == [2, 3]
    with pytest.raises(NotRunningError, match=r"/api/v1/stream\?level=unit&interval=0.5: the daemon ended the stream"):
        next(stream)


def test_a_stream_that_falls_silent_ends_after_the_time_out(daemon: FakeDaemon) -> None:
    daemon.streams(snapshot(2), ends=False)
    stream = Client(daemon.url, timeout_s=1.0).stream()
    next(stream)
    with pytest.raises(NotRunningError, match=r"nothing came for 1 s"):
        next(stream)


def test_a_stream_lasts_longer_than_its_time_out_while_something_comes(daemon: FakeDaemon) -> None:
    def route(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(8):
            handler.wfile.write(b": still here\n\n")
            daemon.stopped.wait(0.3)
        handler.wfile.write(b"event: snapshot\ndata: %s\n\n" % msgspec.json.encode(snapshot(9)))

    daemon.routes["/api/v1/stream"] = route
    assert next(Client(daemon.url, timeout_s=2.0).stream()).sequence == 9


def test_events_are_parsed_as_the_standard_says() -> None:
    lines = b": comment\n\nevent: a\ndata: 1\ndata:2\n\ndata: x\r\n\r\nid: 3\n\ndata: cut off\n".splitlines(
        keepends=True
    )
    assert list(events(lines)) == [Event("a", "1\n2"), Event("message", "x")]
    with pytest.raises(ValueError, match="more than 3 bytes"):
        list(events([b"data: 1234\n"], bytes_max=3))


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("http://ada:se%20cret@127.0.0.1:{}", "Basic YWRhOnNlIGNyZXQ="),
        ("http://127.0.0.1:{}", "Bearer tok"),
    ],
)
def test_credentials_come_from_the_url_before_the_environment(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, url: str, header: str
) -> None:
    monkeypatch.setenv("JOULED_TOKEN", "tok")
    daemon.says("/metrics", "")
    Client(url.format(daemon.url.rpartition(":")[2])).metrics()
    assert daemon.asked[0][1]["Authorization"] == header


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (401, '{"error":"who are you"}', DeniedError, "401: who are you; give user:password@ in the URL, or a token"),
        (403, "no", DeniedError, "403: no; run as root or join group jouled"),
        (400, '{"error":"level \'x\' is none","allowed":["unit","vm"]}', DaemonError, "is none; allowed: unit, vm"),
        (
            400,
            '{"error":"invalid_request","message":"level \'x\' is none","detail":{"allowed":["unit","vm"]}}',
            DaemonError,
            "400: level 'x' is none; allowed: unit, vm",
        ),
        (404, '{"error":"not_found","message":"no such","detail":[1]}', DaemonError, "404: no such"),
        (404, "", DaemonError, "404: Not Found"),
        (500, "x" * 5000, DaemonError, "500: " + "x" * 200),
        (200, "<html>", DaemonError, "is it a jouled of this version that listens there?"),
        (200, '{"version":1}', DaemonError, "Expected `str`, got `int`"),
    ],
)
def test_an_answer_that_is_none_is_an_error_with_its_place(
    daemon: FakeDaemon, status: int, body: str, kind: type[DaemonError], message: str
) -> None:
    daemon.says("/api/v1/snapshot", body, status)
    with pytest.raises(kind) as caught:
        Client(daemon.url).snapshot()
    assert str(caught.value).startswith(f"{daemon.url}/api/v1/snapshot: ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


def trickle(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b" ")
        if handler.server.stopped.wait(0.02):
            return


def trickled_head(handler: Handler) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1000:
        handler.wfile.write(bytes([byte]))
        if handler.server.stopped.wait(0.02):
            return


@pytest.mark.parametrize("route", [trickle, trickled_head])
def test_a_daemon_that_sends_drop_by_drop_does_not_hold_a_call(
    daemon: FakeDaemon, route: Callable[[Handler], None]
) -> None:
    def slow(handler: Handler) -> None:
        handler.server.stopped = daemon.stopped
        route(handler)

    daemon.routes["/metrics"] = slow
    start_s = time.monotonic()
    with pytest.raises(NotRunningError, match=r"answer within 0\.3 s"):
        Client(daemon.url, timeout_s=0.3).metrics()
    # All of it would take twenty seconds.
    assert time.monotonic() - start_s < 18


def test_an_answer_without_end_is_cut(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "ANSWER_BYTES_MAX", 1000)
    daemon.says("/metrics", "x" * 1001)
    with pytest.raises(DaemonError, match="more than 1000 bytes; is it jouled"):
        Client(daemon.url).metrics()
    daemon.says("/metrics", "x" * 1000)
    assert len(Client(daemon.url).metrics()) == 1000


def test_who_is_no_web_server_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            other, _ = server.accept()
            with other:
                other.recv(1000)
                other.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(DaemonError, match=url):
            Client(url).metrics()
        thread.join()


def test_nobody_there_says_how_to_start_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    with pytest.raises(NotRunningError, match=rf"http://127\.0\.0\.1:{free}: Connection refused; start the daemon"):
        Client(f"http://127.0.0.1:{free}").metrics()
    with pytest.raises(NotRunningError, match=r"nowhere: No such file or directory; start the daemon"):
        Client(f"unix:{tmp_path}/nowhere").metrics()


def test_the_usual_places_are_asked_in_turn_and_the_one_that_answers_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, daemon: FakeDaemon
) -> None:
    monkeypatch.setattr(client_module, "PLACES", (f"unix:{tmp_path}/none", daemon.url))
    daemon.says("/metrics", "")
    client = Client()
    client.metrics()
    assert client.url == daemon.url
    monkeypatch.setattr(client_module, "PLACES", (f"unix:{tmp_path}/none", f"unix:{tmp_path}/too"))
    with pytest.raises(NotRunningError, match=rf"no daemon at unix:{tmp_path}/none or unix:{tmp_path}/too; start it"):
        Client().metrics()


def test_a_socket_that_may_not_be_opened_says_more_than_a_port_without_a_listener(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: client_module.UnixConnection) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(client_module.UnixConnection, "connect", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    monkeypatch.setattr(client_module, "PLACES", ("unix:/run/x.sock", f"http://127.0.0.1:{free}"))
    with pytest.raises(DeniedError, match=r"unix:/run/x\.sock: permission denied; run as root or join group jouled"):
        Client().metrics()


@pytest.mark.parametrize(
    "url", ["box:9917", "ftp://box", "unix:", "unix:here", "http://", "http://box:port", "http://[::1", "http://b/?x=1"]
)
def test_a_wrong_address_is_told_how_to_be_written(url: str) -> None:
    with pytest.raises(DaemonError, match=r"write unix:/PATH"):
        Client(url)


def test_addresses_are_understood() -> None:
    assert Place.parse("unix:///run/a.sock") == Place("unix:/run/a.sock", path="/run/a.sock")
    assert Place.parse("https://[::1]:9/x/") == Place("https://[::1]:9/x/", None, "::1", 9, "/x", is_tls=True)
    assert Place.parse("http://box").port == 80


def test_a_password_is_in_no_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    with pytest.raises(NotRunningError) as caught:
        Client(f"http://ada:secret@127.0.0.1:{free}").metrics()
    assert "secret" not in f"{caught.value!r}{Client(f'http://ada:secret@127.0.0.1:{free}')!r}"
    with pytest.raises(DaemonError) as wrong:
        Client("http://ada:secret@box:port")
    assert "secret" not in str(wrong.value)


def test_the_client_is_light() -> None:
    program = (
        "import sys, jouled.client;"
        "print([name for name in ('ssl', 'trio', 'asyncio', 'click', 'rich', 'jouled._core') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    # The standard library's http.client imports ssl where there is one.
    assert done.stdout.strip() in {"[]", "['ssl']"}
