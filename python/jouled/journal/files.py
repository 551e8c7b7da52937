"""Files as the journal needs them: its own, durable and locked; the kernel's, read and written as they are."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from jouled.errors import JouledError, one_line
from jouled.journal.page import BYTES_MAX

# In the state directory.
DIRECTORY = "caps"
FILE = "journal.json"
LOCK = "lock"
# An attribute of the kernel is a line or two.
ATTRIBUTE_BYTES_MAX = 4096


class JournalError(JouledError):
    """The journal cannot be read or made durable, or others hold it. Nothing was written to hardware."""


class HeldError(JournalError):
    """Another program holds the journal: it is in charge of the limits. `pid` is None where nobody knows."""

    def __init__(self, message: str, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


# ---- the kernel's attributes ----


def read_attribute(path: str) -> str:
    """Its exact bytes, each as the character of its number. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        _refuse_other(descriptor, path)
        return os.read(descriptor, ATTRIBUTE_BYTES_MAX).decode("latin-1")
    finally:
        os.close(descriptor)


def write_attribute(path: str, value: str) -> None:
    """In one write, into the file that is there. Raises OSError."""
    content = value.encode("latin-1")
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        _refuse_other(descriptor, path)
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.EIO, "it took a part only", path)
        # The kernel takes a write as the whole value; a plain file that stands in for it would keep the end
        # of a longer value that stood there before.
        with suppress(OSError):
            os.ftruncate(descriptor, len(content))
    finally:
        os.close(descriptor)


def inode_of(path: str) -> int:
    """Raises OSError."""
    return Path(path).lstat().st_ino


def _refuse_other(descriptor: int, path: str) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", path)


def boot_id(procfs: str) -> str | None:
    """Which life of the kernel this is; None where it does not tell."""
    with suppress(OSError):
        return read_attribute(f"{procfs}/sys/kernel/random/boot_id").strip() or None
    return None


# ---- the journal's own ----


def load(directory: str, most: int = BYTES_MAX) -> bytes | None:
    """What the journal's file holds, and no more than a byte above `most`; None where there is none.

    Raises JournalError.
    """
    path = f"{directory}/{FILE}"
    try:
        with _opened(directory) as place:
            descriptor = os.open(FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise JournalError(f"read {path}: {_why(error)}; run this as root or as the daemon's user") from error
    try:
        _refuse_other(descriptor, path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most + 1)
    except OSError as error:
        raise JournalError(f"read {path}: {_why(error)}; look at the disk") from error
    finally:
        os.close(descriptor)


def is_there(directory: str) -> bool:
    """Whether there is a journal's file. One that cannot be looked at is not there: writing it anew says why."""
    try:
        return stat.S_ISREG(Path(directory, FILE).lstat().st_mode)
    except OSError:
        return False


def save(directory: str, content: bytes | None) -> None:
    """Durable when it returns, whole or not at all; None removes the file. Raises JournalError.

    A new file, its bytes on the disk, its name over the old one's, and the name on the disk.
    """
    path, new = f"{directory}/{FILE}", f"{FILE}.new"
    try:
        with _opened(directory) as place:
            # A leftover of a life that was cut short, or a link that somebody put there.
            _remove(new, place)
            try:
                if content is None:
                    _remove(FILE, place)
                else:
                    _put(new, content, place)
                    os.rename(new, FILE, src_dir_fd=place, dst_dir_fd=place)
                os.fsync(place)
            except OSError:
                with suppress(OSError):
                    os.unlink(new, dir_fd=place)
                raise
    except OSError as error:
        raise JournalError(
            f"write {path}: {_why(error)}; no limit is changed until it can be written: make room, or set state_dir"
        ) from error


@contextmanager
def _opened(directory: str) -> Iterator[int]:
    """The directory itself and no link in its place, for as long as its files are touched. Raises OSError.

    Whoever owns the state directory could put a link there while root restores, and have root make, remove
    and cut files in a directory of its choice.
    """
    if Path(directory).is_symlink():
        raise OSError(errno.ELOOP, "it is a link, where a directory belongs", directory)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _remove(name: str, place: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=place)


def _put(name: str, content: bytes, place: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(name, flags, 0o600, dir_fd=place)
    try:
        _give_to_owner(descriptor, place)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_to_owner(descriptor: int, place: int) -> None:
    """What root makes in a directory of the daemon's user, that user must be able to read. Raises OSError."""
    owner, made = os.fstat(place), os.fstat(descriptor)
    if os.geteuid() != 0 or owner.st_uid in {0, made.st_uid}:
        return
    if made.st_nlink > 1 and stat.S_ISREG(made.st_mode):
        # Another name of somebody's file: nothing that root has just made.
        raise OSError(errno.EMLINK, "it has another name elsewhere")
    os.fchown(descriptor, owner.st_uid, owner.st_gid)


def make_directory(directory: str) -> None:
    """For nobody but its owner. Raises JournalError."""
    try:
        parent = Path(directory).parent
        parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            Path(directory).mkdir(0o700)
            place = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                with _opened(directory) as descriptor:
                    _give_to_owner(descriptor, place)
                os.fsync(place)
            finally:
                os.close(place)
    except OSError as error:
        raise JournalError(f"make {directory}: {_why(error)}; set state_dir to a directory of the daemon's") from error


@contextmanager
def locked(directory: str, holder: str, guards: Sequence[str] = (), procfs: str = "/proc") -> Iterator[None]:
    """Alone with the journal. The lock ends with the process, however that ends. Raises HeldError, JournalError.

    `guards` are directories of the kernel, locked as well: a daemon with another state directory would
    write the same limits.
    """
    descriptors: list[int] = []
    path = f"{directory}/{LOCK}"
    try:
        try:
            with _opened(directory) as place:
                descriptors.append(_open_lock(place))
                _refuse_other(descriptors[0], path)
                _give_to_owner(descriptors[0], place)
        except OSError as error:
            raise JournalError(f"open {path}: {_why(error)}; run this as root or as the daemon's user") from error
        try:
            _lock(descriptors[0], path)
        except OSError as error:
            # A file system without locks: better none at all than two controllers.
            raise JournalError(f"lock {path}: {_why(error)}; set state_dir to a local disk") from error
        trusted = {0, os.geteuid(), os.fstat(descriptors[0]).st_uid}
        for guard in guards:
            with suppress(OSError):  # a host without power limits has no such directory
                descriptors.append(os.open(guard, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                _lock_guard(descriptors[-1], guard, procfs, trusted)
        # For whoever comes second; on a full disk they are told less.
        with suppress(OSError):
            os.ftruncate(descriptors[0], 0)
            os.pwrite(descriptors[0], f"{os.getpid()} {holder}\n".encode(), 0)
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _open_lock(place: int) -> int:
    """Raises OSError."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(LOCK, os.O_RDWR | os.O_CREAT | flags, 0o600, dir_fd=place)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        # A disk that fails is often switched to read-only: what is journalled on it is to be given back all the same.
        return os.open(LOCK, os.O_RDONLY | flags, dir_fd=place)


def _lock(descriptor: int, path: str) -> None:
    """Raises HeldError, and OSError where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid, name = _holder(descriptor)
        who = f"{name} (process {pid})" if pid is not None else name
        raise HeldError(
            f"{path} is held by {who}: it is in charge of the limits; stop it, or release its caps by"
            " joulectl caps set none",
            pid,
        ) from None


def _lock_guard(descriptor: int, path: str, procfs: str, trusted: Collection[int]) -> None:
    """Everybody can open such a directory, and whoever may not write limits is in charge of none: a lock of
    theirs must not keep a host capped. Raises HeldError, and OSError where there are no locks.
    """
    try:
        _lock(descriptor, path)
    except HeldError:
        holders = lock_holders(descriptor, procfs)
        if not holders or any(_owner(pid, procfs) in {None, *trusted} for pid in holders):
            raise


def lock_holders(descriptor: int, procfs: str = "/proc") -> set[int]:
    """The processes that hold a flock on this file, by /proc/locks; empty where that does not tell."""
    inode = os.fstat(descriptor).st_ino
    try:
        lines = Path(procfs, "locks").read_text().splitlines()
    except OSError:
        return set()
    # `2: FLOCK  ADVISORY  WRITE 4711 00:19:1042 0 EOF`; lines of those who wait have `->` behind the number.
    words = [line.split() for line in lines if "->" not in line]
    return {
        int(word[4])
        for word in words
        if len(word) > 5 and word[1] == "FLOCK" and word[5].rpartition(":")[2] == str(inode)
    }


def _owner(pid: int, procfs: str) -> int | None:
    """The effective user. Of the directory itself the owner is root where the process has changed its user."""
    try:
        status = Path(procfs, str(pid), "status").read_text()
    except OSError:
        return None
    return next((int(line.split()[2]) for line in status.splitlines() if line.startswith("Uid:")), None)


def _holder(descriptor: int) -> tuple[int | None, str]:
    """Who holds the lock, by what it wrote into the file; a directory's lock tells no more than that it is held."""
    try:
        pid, _, name = os.pread(descriptor, 256, 0).decode(errors="replace").strip().partition(" ")
    except OSError:
        return None, "another jouled"
    if not pid.isascii() or not pid.isdigit():
        return None, "another program"
    return int(pid), one_line(name) or "another program"


def _why(error: OSError) -> str:
    return str(error.strerror).lower()
