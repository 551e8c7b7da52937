"""A host's files by their names below its root, live or captured: `proc/stat`, `sys/class/powercap`."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from pathlib import Path

from jouled.capture.manifest import Manifest

LONGEST_FILE_BYTES = 1 << 20
"""No file that is read here is longer on any known machine; what is longer is cut."""


class Tree:
    """The files of one host. Nothing but these methods reads them, so that what could not be read
    when a host was captured is refused again.
    """

    def __init__(
        self, procfs: str | Path = "/proc", sysfs: str | Path = "/sys", manifest: Manifest | None = None
    ) -> None:
        self.procfs = Path(procfs)
        self.sysfs = Path(sysfs)
        self.manifest = manifest

    @property
    def is_captured(self) -> bool:
        return self.manifest is not None

    def path(self, name: str) -> Path:
        """Where the file is now."""
        top, _, rest = name.partition("/")
        if top == "proc":
            return self.procfs / rest
        if top == "sys":
            return self.sysfs / rest
        return self.procfs.parent / name

    def shown(self, name: str) -> str:
        """How the file is called where its host is."""
        return f"/{name}" if self.is_captured else str(self.path(name))

    def read(self, name: str) -> bytes:
        """The file's bytes. Raises OSError, for a captured file as it did on its host."""
        self._refuse(name)
        with self.path(name).open("rb", buffering=0) as file:
            pieces = []
            length = 0
            # An attribute comes in one piece, a list such as /proc/stat in many.
            while length < LONGEST_FILE_BYTES and (piece := file.read(1 << 16)):
                pieces.append(piece)
                length += len(piece)
        return b"".join(pieces)[:LONGEST_FILE_BYTES]

    def text(self, name: str) -> str | None:
        """The file's text without the white space around it; None where it cannot be read."""
        try:
            return self.read(name).decode(errors="replace").strip()
        except OSError:
            return None

    def number(self, name: str) -> int | None:
        """The file's number; None where it cannot be read or holds none."""
        text = self.text(name)
        try:
            return int(text) if text is not None else None
        except ValueError:
            return None

    def error(self, name: str) -> int | None:
        """Why a file cannot be read, as errno; None where it can."""
        try:
            self.read(name)
        except OSError as error:
            return error.errno
        return None

    def names(self, directory: str) -> list[str]:
        """The names in a directory, sorted, unreadable files included; none where it cannot be read."""
        errors = self.manifest.errors if self.manifest else {}
        refused = {name.removeprefix(f"{directory}/") for name in errors if name.startswith(f"{directory}/")}
        try:
            listed = os.listdir(self.path(directory))  # noqa: PTH208  (names, not paths)
        except OSError:
            listed = []
        return sorted({*listed, *(name for name in refused if "/" not in name)})

    def link(self, name: str) -> str | None:
        """Where a symbolic link leads; None where there is none, or it may not be read."""
        try:
            self._refuse(name)
            return os.readlink(self.path(name))  # noqa: PTH115  (the kernel's are no paths: `pid:[4026531836]`)
        except OSError:
            return None

    def link_error(self, name: str) -> str | None:
        """The errno's word for why a link cannot be read; None where it can."""
        if self.manifest is not None and name in self.manifest.errors:
            return self.manifest.errors[name]
        try:
            os.readlink(self.path(name))  # noqa: PTH115  (as above)
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, "EIO")
        return None

    def exists(self, name: str) -> bool:
        """Whether the file is there, readable or not."""
        errors = self.manifest.errors if self.manifest else {}
        return name in errors or os.path.lexists(self.path(name))

    def mode(self, name: str) -> str | None:
        """Who may read the file: `0440 root:jouled`."""
        if self.manifest is not None and name in self.manifest.modes:
            return self.manifest.modes[name]
        try:
            found = self.path(name).stat()
        except OSError:
            return None
        return f"{stat.S_IMODE(found.st_mode):04o} {_user(found.st_uid)}:{_group(found.st_gid)}"

    def pids(self) -> list[int]:
        """The ids of all processes, rising."""
        return sorted(int(name) for name in self.names("proc") if name.isascii() and name.isdigit())

    def uptime_s(self) -> float | None:
        """Seconds since the host booted, in steps of 0.01."""
        text = self.text("proc/uptime")
        try:
            return float(text.split()[0]) if text else None
        except ValueError:
            return None

    def _refuse(self, name: str) -> None:
        word = self.manifest.errors.get(name) if self.manifest else None
        if word is not None:
            number = getattr(errno, word, errno.EIO)
            raise OSError(number, os.strerror(number), self.shown(name))


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
