from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from fakes import FakeSnapshot
from jouled import systemd
from jouled.errors import ConfigError


def test_without_systemd_nothing_is_sent_or_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify(READY=1)


def test_fields_are_sent_in_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.notify(READY=1, STATUS="measuring")
        assert receiver.recv(1024) == b"READY=1\nSTATUS=measuring"


def test_the_status_line_has_the_watts() -> None:
    assert systemd.status_line(FakeSnapshot()) == "package 12.5 W; 7 processes in 3 cgroups; scan 2.0 ms"
    assert systemd.status_line(FakeSnapshot(watts={})).startswith("no zone has a reading; ")


@pytest.mark.parametrize(
    ("watchdog_us", "period_s", "fields"),
    [
        (None, 5.0, {}),
        ("30000000", 5.0, {"WATCHDOG_USEC": 30_000_000}),  # said again: a reload may have made it longer before
        ("30000000", 60.0, {"WATCHDOG_USEC": 180_000_000}),
        ("soon", 5.0, {}),
    ],
)
def test_the_watchdog_is_never_shorter_than_three_periods(
    watchdog_us: str | None, period_s: float, fields: dict[str, int]
) -> None:
    environ = {} if watchdog_us is None else {"WATCHDOG_USEC": watchdog_us}
    assert systemd.watchdog_fields(period_s, environ) == fields


def test_a_socket_of_systemd_that_is_gone_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    monkeypatch.setattr(systemd, "problems", set())
    for _ in range(3):
        systemd.notify(WATCHDOG=1)
    assert caplog.messages == [
        "notify /nowhere/notify: No such file or directory; systemd hears nothing of this daemon"
    ]


def test_sockets_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def inherited(count: str) -> list[socket.socket]:
        return systemd.inherited_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})

    with pytest.raises(ConfigError, match=r"^LISTEN_FDS=x: not a number; "):
        inherited("x")
    with (tmp_path / "file").open("w") as file:
        monkeypatch.setattr(systemd, "FIRST_SOCKET_FD", file.fileno())
        with pytest.raises(ConfigError, match=r"Socket operation on non-socket; jouled\.socket may open sockets only"):
            inherited("1")
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    monkeypatch.setattr(systemd, "FIRST_SOCKET_FD", datagrams.detach())
    with pytest.raises(ConfigError, match=r"is not a stream; write ListenStream="):
        inherited("1")


def test_sockets_meant_for_another_process_are_left_alone() -> None:
    assert systemd.inherited_sockets({"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1"}) == []
    assert systemd.inherited_sockets({}) == []
