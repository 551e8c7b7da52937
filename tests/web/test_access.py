from __future__ import annotations

import grp
import os
import pwd
import socket
import threading

import pytest

from jouled.config import Access, Listener
from jouled.web import access as access_module
from jouled.web.access import Privileged, is_named, peer_uid
from serving import FREE, policy_of

# A user that every Debian has and whom nobody privileged.
SOMEBODY = pwd.getpwnam("nobody").pw_uid
SOMEBODYS_GROUP = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_uid(ours) == os.getuid()
    with socket.socket() as tcp:
        assert peer_uid(tcp) is None


async def test_the_daemons_own_user_is_privileged_and_a_client_without_one_is_not() -> None:
    privileged = Privileged(Access(privileged=()))
    assert await privileged.has(os.getuid())
    assert not await privileged.has(None)


@pytest.mark.parametrize(
    ("names", "is_in"),
    [
        (("nobody",), True),
        (("root",), False),
        ((f"@{SOMEBODYS_GROUP}",), True),
        (("@root", "@nosuchgroup", "nosuchuser"), False),
        ((SOMEBODYS_GROUP.upper(), "@nobody-else"), False),
        ((), False),
    ],
)
async def test_users_and_groups_are_looked_up_by_name(names: tuple[str, ...], is_in: bool) -> None:
    assert await Privileged(Access(privileged=names)).has(SOMEBODY) is is_in


def test_a_user_without_an_entry_is_in_no_group() -> None:
    assert not is_named(3_999_999_999, {"root"}, {"root"})


def test_groups_beyond_the_first_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getgrouplist", lambda *_: [0, 64_000])
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group((f"g{gid}", "x", gid, [])))
    assert is_named(SOMEBODY, set(), {"g64000"})


async def test_a_user_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def is_named(uid: int, *_: object) -> bool:
        asked.append(uid)
        return True

    monkeypatch.setattr(access_module, "is_named", is_named)
    privileged = Privileged(Access(privileged=("x",)))
    for _ in range(3):
        assert await privileged.has(SOMEBODY)
    assert asked == [SOMEBODY]
    for uid in range(100_000, 100_400):
        await privileged.has(uid)
    assert len(privileged._remembered) == access_module.REMEMBERED_MAX


async def test_who_cannot_be_looked_up_in_time_reads_coarsely_and_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, lines: list[dict[str, str]]
) -> None:
    monkeypatch.setattr(access_module, "LOOKUP_S", 0.05)

    may_answer = threading.Event()

    def slowly(*_: object) -> bool:
        may_answer.wait(60)
        return True

    monkeypatch.setattr(access_module, "is_named", slowly)
    privileged = Privileged(Access(privileged=("x",)))
    assert not await privileged.has(SOMEBODY)
    assert "looking up user" in lines[0]["event"]
    monkeypatch.setattr(access_module, "is_named", lambda *_: True)
    monkeypatch.setattr(access_module, "LOOKUP_S", 60.0)
    may_answer.set()
    assert await privileged.has(SOMEBODY)


async def test_the_listener_or_the_user_decides_how_finely_is_read() -> None:
    assert await policy_of(Listener(FREE)).is_coarse(None)
    assert await policy_of(Listener(FREE)).is_coarse(SOMEBODY)
    assert not await policy_of(Listener(FREE)).is_coarse(os.getuid())
    assert not await policy_of(Listener(FREE, detail="full")).is_coarse(None)
