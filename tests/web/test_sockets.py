from __future__ import annotations

import grp
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jouled.config import Limits, Listener
from jouled.errors import ConfigError
from jouled.web import sockets, unix_socket
from jouled.web.sockets import Place


def bind(*addresses: str) -> list[Place]:
    return sockets.open_all([Listener(address) for address in addresses])


def test_a_port_given_twice_is_not_blamed_on_others() -> None:
    (probe,) = bind("0.0.0.0:0")
    port = probe.socket.getsockname()[1]
    probe.close()
    with pytest.raises(
        ConfigError, match=r"Address already in use; another --listen has it already; \[::\] takes IPv4"
    ):
        bind(f"0.0.0.0:{port}", f"[::]:{port}")


def test_an_address_of_a_name_that_this_host_does_not_have_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
    elsewhere = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))
    unknown = (socket.AF_APPLETALK, socket.SOCK_STREAM, 6, "", ("::1", 0))
    found = [unknown, elsewhere, here]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    (listener,) = bind("localhost:0")
    with closing(listener):
        assert listener.socket.getsockname()[0] == "127.0.0.1"
    found.remove(here)
    with pytest.raises(ConfigError, match=r"^listen on localhost:0: Cannot assign requested address; no interface"):
        bind("localhost:0")


def test_a_port_in_use_names_the_address_and_the_fix() -> None:
    (first,) = bind("127.0.0.1:0")
    with closing(first):
        address = f"127.0.0.1:{first.socket.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"^listen on {address}: Address already in use; another program"):
            bind(address)


def test_when_one_address_fails_the_others_are_given_back() -> None:
    (probe,) = bind("127.0.0.1:0")
    free = f"127.0.0.1:{probe.socket.getsockname()[1]}"
    probe.close()
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:9917: .*no interface of this host has this address"):
        bind(free, "192.0.2.1:9917")
    (again,) = bind(free)
    again.close()


@pytest.mark.parametrize("name", ["no-such-host.invalid", ".", "a..b", "a" * 70, "\udcff"])
def test_a_name_that_does_not_resolve(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^listen on {re.escape(name)}:9917: .*; give an address of this host"):
        bind(f"{name}:9917")


@pytest.mark.parametrize(
    ("address", "shown"),
    [("127.0.0.1:0", "http://127.0.0.1:"), ("0.0.0.0:0", "http://127.0.0.1:"), ("[::1]:0", "http://[::1]:")],
)
def test_urls_are_for_a_browser(address: str, shown: str) -> None:
    (place,) = bind(address)
    with closing(place):
        assert place.url.startswith(shown)


def test_accepted_connections_inherit_the_limits() -> None:
    (listener,) = bind("127.0.0.1:0")
    with closing(listener), closing(socket.create_connection(listener.socket.getsockname())):
        accepted, _ = listener.socket.accept()
        with closing(accepted):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == sockets.USER_TIMEOUT_MS
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


# ---- Unix sockets ----


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jouled.sock"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_unix_socket_is_its_owners_and_groups_alone_and_goes_when_it_is_closed(path: Path) -> None:
    (place,) = bind(f"unix:{path}")
    assert place.url == place.page_url == f"unix:{path}"
    assert mode_of(path) == 0o660
    place.close()
    assert not path.exists()


def test_nobody_may_connect_before_the_group_is_set(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    monkeypatch.setattr(unix_socket, "_hand_over", lambda name: modes.append(mode_of(Path(name))))
    unix_socket.bind(str(path)).close()
    assert modes == [0o600]


def test_the_socket_of_a_dead_daemon_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    (place,) = bind(f"unix:{path}")
    with closing(place), closing(socket.socket(socket.AF_UNIX)) as client:
        client.connect(str(path))
        place.socket.accept()[0].close()


@pytest.mark.parametrize("is_full", [False, True])
def test_the_socket_of_a_live_daemon_is_refused_and_left_alone(path: Path, is_full: bool) -> None:
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen(0)
        with socket.socket(socket.AF_UNIX) as waiting:
            if is_full:
                waiting.connect(str(path))
            with pytest.raises(ConfigError, match=f"^listen on unix:{path}: another daemon listens there; stop it"):
                bind(f"unix:{path}")
        assert path.is_socket()


def test_a_file_that_is_no_socket_is_not_removed(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ConfigError, match=f"^listen on unix:{path}: there is a file that is no socket; remove it"):
        bind(f"unix:{path}")
    assert path.read_text() == "precious"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    with pytest.raises(ConfigError, match=f"No such file or directory; make the folder {folder}, or start jouled by"):
        bind(f"unix:{folder}/jouled.sock")


def test_a_path_that_has_become_anothers_is_left_alone(path: Path) -> None:
    (place,) = bind(f"unix:{path}")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as another:
        another.bind(str(path))
        place.close()
        assert path.is_socket()


def test_when_another_address_fails_the_path_is_given_back(path: Path) -> None:
    with pytest.raises(ConfigError, match="no interface of this host"):
        bind(f"unix:{path}", "192.0.2.1:9917")
    assert not path.exists()


def test_the_group_is_set_where_this_host_has_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = next(gid for gid in (1, 2) if gid != path.parent.stat().st_gid)
    monkeypatch.setattr(grp, "getgrnam", lambda _: grp.struct_group(("jouled", "x", other, [])))
    changed: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "chown", lambda *arguments: changed.append(arguments))
    (place,) = bind(f"unix:{path}")
    place.close()
    assert changed == [(str(path), -1, other)]


def test_a_group_that_may_not_be_set_is_said_and_the_daemon_starts(
    path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[Any]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(grp, "getgrnam", lambda _: grp.struct_group(("jouled", "x", 64_000, [])))
    monkeypatch.setattr(os, "chown", refuse)
    (place,) = bind(f"unix:{path}")
    place.close()
    (line,) = lines
    assert line["event"] == (
        f"chown {path} to group jouled: Operation not permitted; "
        "start jouled as root or in that group, or its members cannot read here"
    )


# ---- sockets that systemd opened ----


@pytest.fixture
def inherited() -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    yield opened
    for each in opened:
        each.close()


def tcp(opened: list[socket.socket]) -> str:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    opened.append(listener)
    return f"127.0.0.1:{listener.getsockname()[1]}"


def unix(opened: list[socket.socket], path: Path) -> str:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    opened.append(listener)
    return f"unix:{path}"


def test_inherited_sockets_have_the_settings_of_their_address(
    inherited: list[socket.socket], path: Path, lines: list[Any]
) -> None:
    listeners = [
        Listener(unix(inherited, path), detail="full"),
        Listener(tcp(inherited), limits=Limits(connections=7)),
    ]
    places = sockets.open_all(listeners[::-1], inherited)
    assert [place.listener for place in places] == listeners
    assert [place.socket for place in places] == inherited
    assert lines == []
    for place in places:
        place.close()
    assert path.is_socket()  # it is systemd's


def test_a_name_matches_the_address_it_stands_for(inherited: list[socket.socket]) -> None:
    port = tcp(inherited).rpartition(":")[2]
    (place,) = sockets.open_all([Listener(f"localhost:{port}", detail="full")], inherited)
    assert place.listener.detail == "full"


def test_an_inherited_tcp_socket_that_no_setting_names_is_said(
    inherited: list[socket.socket], lines: list[Any]
) -> None:
    address = tcp(inherited)
    (place,) = sockets.open_all([Listener("127.0.0.1:1", detail="full")], inherited)
    assert place.listener == Listener(address)
    assert [line["event"] for line in lines] == [
        f"http://{address}: opened by systemd and not in listen: everybody who reaches it may read",
        "listen on 127.0.0.1:1: left to jouled.socket; add ListenStream=127.0.0.1:1 there",
    ]


def test_a_guarded_listener_is_never_replaced_by_an_open_socket(inherited: list[socket.socket]) -> None:
    tcp(inherited)
    guarded = Listener("127.0.0.1:1", tokens=("sha256$" + 64 * "0",))
    with pytest.raises(ConfigError, match=r"listen on 127\.0\.0\.1:1: guarded by the settings.* ListenStream=127"):
        sockets.open_all([guarded], inherited)


def test_sockets_of_the_other_kind_are_opened_here(inherited: list[socket.socket], path: Path) -> None:
    listeners = [Listener("127.0.0.1:0"), Listener(unix(inherited, path))]
    places = sockets.open_all(listeners, inherited)
    assert [place.listener for place in places] == listeners[::-1]
    for place in places:
        place.close()
