"""Who may read finely: energy in fine grain tells of secrets that a processor works with."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from collections import OrderedDict

import trio

from jouled.config import Access, Listener
from jouled.log import Once
from jouled.web.gate import Gate

# Users whose groups are remembered, until the settings are read again.
REMEMBERED_MAX = 256
# A directory of users on the network may answer late, or never; then the user reads coarsely.
LOOKUP_S = 2.0
# `struct ucred`: pid, uid, gid.
UCRED = struct.Struct("3i")


def peer_uid(client: socket.socket) -> int | None:
    """The user at the other end of a Unix socket, as the kernel knows it; None over TCP."""
    if client.family != socket.AF_UNIX:
        return None
    _, uid, _ = UCRED.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))
    # In another user namespace than ours it has no number here, and -1 is nobody's.
    return int(uid) if uid >= 0 else None


class Privileged:
    """The users that `access.privileged` names, and the daemon's own."""

    def __init__(self, access: Access) -> None:
        self._names = {name for name in access.privileged if not name.startswith("@")}
        self._groups = {name[1:] for name in access.privileged if name.startswith("@")}
        self._remembered: OrderedDict[int, bool] = OrderedDict()
        self._limiter = trio.CapacityLimiter(1)
        self._problems = Once()

    def __repr__(self) -> str:
        return f"<Privileged {sorted(self._names)} {sorted(self._groups)}>"

    async def has(self, uid: int | None) -> bool:
        if uid is None:
            return False
        if uid == os.getuid() or (uid == 0 and "root" in self._names):
            return True
        if uid not in self._remembered:
            is_in = await self._look_up(uid)
            if is_in is None:
                return False
            self._remembered[uid] = is_in
            if len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        return self._remembered[uid]

    async def _look_up(self, uid: int) -> bool | None:
        """None where nobody could tell in time."""
        with trio.move_on_after(LOOKUP_S):
            return await trio.to_thread.run_sync(
                is_named, uid, self._names, self._groups, limiter=self._limiter, abandon_on_cancel=True
            )
        self._problems.warning(f"looking up user {uid} took longer than {LOOKUP_S:g} s; such users read coarsely")
        return None


def is_named(uid: int, names: set[str], groups: set[str]) -> bool:
    """Whether the user database knows this user by one of these names, or in one of these groups."""
    try:
        user = pwd.getpwuid(uid)
    except (KeyError, OSError):
        return False
    if user.pw_name in names:
        return True
    if not groups:
        return False
    for gid in os.getgrouplist(user.pw_name, user.pw_gid):
        try:
            if grp.getgrgid(gid).gr_name in groups:
                return True
        except (KeyError, OSError):
            continue
    return False


class Policy:
    """What one listener's settings, and the common ones, say of its clients. New settings make a new one."""

    def __init__(self, listener: Listener, access: Access, gate: Gate, privileged: Privileged) -> None:
        self.listener = listener
        self.access = access
        self.gate = gate
        self._privileged = privileged

    async def is_coarse(self, uid: int | None) -> bool:
        """Whether this client is held to `access`."""
        if self.listener.detail == "full":
            return False
        return not await self.is_privileged(uid)

    async def is_privileged(self, uid: int | None) -> bool:
        """Whether it is the daemon's own user, or one that `access.privileged` names."""
        return await self._privileged.has(uid)
