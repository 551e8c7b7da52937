"""A Unix socket of our own: nobody's but the group's from the first moment, and taken away at the end."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from jouled.errors import ConfigError
from jouled.log import log

GROUP = "jouled"
MODE = 0o660


class OwnPath:
    """A socket's path, for as long as it is the socket that was bound there."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._identity = _identity(path)

    def remove(self) -> None:
        if self._identity is not None and _identity(self._path) == self._identity:
            with suppress(OSError):
                Path(self._path).unlink()


def bind(path: str) -> socket.socket:
    """Replaces the socket of a dead daemon, and refuses to take that of a live one."""
    _make_way(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Nobody may connect before the group has been set.
    umask = os.umask(0o177)
    try:
        listening.bind(path)
    except OSError as error:
        listening.close()
        raise _refusal(path, error) from error
    finally:
        os.umask(umask)
    _hand_over(path)
    return listening


def _make_way(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refusal(path, error) from error
    if not stat.S_ISSOCK(found.st_mode):
        raise ConfigError(f"listen on unix:{path}: there is a file that is no socket; remove it or choose another path")
    if _is_live(path):
        raise ConfigError(f"listen on unix:{path}: another daemon listens there; stop it, or choose another path")
    try:
        Path(path).unlink()
    except OSError as error:
        raise _refusal(path, error) from error


def _is_live(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        # Whatever else it says, somebody may be there: too many waiting, or not for us to connect to.
        return probe.connect_ex(path) not in {errno.ECONNREFUSED, errno.ENOENT}


def _hand_over(path: str) -> None:
    """To the group, where this host has it; without it the socket is its owner's alone, and root's."""
    try:
        gid = grp.getgrnam(GROUP).gr_gid
    except KeyError:
        gid = None
    if gid is not None and Path(path).stat().st_gid != gid:
        try:
            os.chown(path, -1, gid)
        except OSError as error:
            log.warning(
                f"chown {path} to group {GROUP}: {error.strerror}; start jouled as root or in that group, "
                "or its members cannot read here"
            )
    Path(path).chmod(MODE)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _refusal(path: str, error: OSError) -> ConfigError:
    folder = Path(path).parent
    fixes = {
        errno.ENOENT: f"make the folder {folder}, or start jouled by its unit, which makes /run/jouled",
        errno.EACCES: f"start jouled as a user who may write to {folder}",
        errno.EROFS: "choose a path on a file system that can be written",
    }
    fix = fixes.get(error.errno or 0, "choose another path with --listen")
    return ConfigError(f"listen on unix:{path}: {error.strerror or error}; {fix}")
