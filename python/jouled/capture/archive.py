"""A capture on disk: a compressed archive of two states, written once, unpacked without trust."""

from __future__ import annotations

import io
import os
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from jouled.capture.manifest import FORMAT, Manifest
from jouled.capture.state import State, collect
from jouled.capture.tree import Tree
from jouled.errors import JouledError

BEFORE, AFTER = "0", "1"
MOST_MEMBERS = 500_000
MOST_BYTES = 512 << 20
"""What is unpacked at most: an archive of unknown origin shall not fill the disk."""


class CaptureError(JouledError):
    """A capture cannot be written, or what was named is none."""


def save(
    path: Path,
    tree: Tree,
    *,
    interval_s: float = 5.0,
    is_anonymous: bool = False,
    pause: Callable[[float], object] = time.sleep,
    wall_s: float | None = None,
) -> Manifest:
    """Captures the host into the new file `path`: one state, and after `interval_s` another.

    An interval of 0 takes one state only. Raises CaptureError where the file cannot be written.
    """
    import jouled

    _check_free(path)
    first = collect(tree, is_anonymous=is_anonymous)
    second = None
    if interval_s > 0:
        pause(interval_s)
        second = collect(tree, is_anonymous=is_anonymous)
    after = second or first
    host = os.uname()
    manifest = Manifest(
        jouled=jouled.__version__,
        captured_seconds=time.time() if wall_s is None else wall_s,
        interval_seconds=_between(first, second) if second else None,
        kernel=host.release,
        machine=host.machine,
        is_anonymous=is_anonymous,
        errors={**first.errors, **after.errors},
        modes={**first.modes, **after.modes},
        links={**first.links, **after.links},
        gone=tuple(sorted(first.files.keys() - after.files.keys())),
        left_out={kind: count for kind, count in (first.left_out | after.left_out).items() if count},
    )
    _write(path, manifest, first, second)
    return manifest


def load(path: Path, directory: Path) -> Manifest:
    """Unpacks a capture into the empty `directory`: its first state in `0/`, what the second has of
    its own in `1/`. Raises CaptureError for a file that is no capture, or one that would do harm.
    """
    try:
        # As a stream: nothing is held in memory, and what was counted is what is written.
        with tarfile.open(path, "r|gz") as archive:
            archive.extractall(directory, members=_checked(archive, path), filter="data")
        manifest = msgspec.json.decode((directory / "manifest.json").read_bytes(), type=Manifest)
    except (tarfile.TarError, zlib.error, EOFError, msgspec.MsgspecError, FileNotFoundError) as error:
        if not path.exists():
            raise CaptureError(f"read {path}: no such file; make one with joulectl capture FILE") from error
        raise CaptureError(f"read {path}: {_said(error)}; name a file that joulectl capture has written") from error
    except OSError as error:
        raise CaptureError(f"read {path}: {error.strerror or error}; name a capture that you may read") from error
    if manifest.format > FORMAT:
        raise CaptureError(f"read {path}: it is of format {manifest.format}; use jouled {manifest.jouled} or newer")
    link_up(directory / BEFORE, manifest)
    return manifest


def link_up(root: Path, manifest: Manifest) -> None:
    """Makes the links of a capture, after its files. Those of processes that are not there (yet) are
    left out. Raises CaptureError for a link that leads out of the capture.
    """
    for name, target in manifest.links.items():
        is_exe = name.startswith("proc/") and name.endswith("/exe")
        place = root / name
        if is_exe and not place.parent.exists():
            continue
        if not _is_inside(root, name):
            raise CaptureError(f"link {name}: it lies outside the capture; do not use this file")
        if not os.path.lexists(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
        # Executables are read as names and never opened; what any other link leads to is read.
        if not is_exe and not place.resolve().is_relative_to(root.resolve()):
            raise CaptureError(f"link {name}: it leads out of the capture; do not use this file")


def put(root: Path, name: str, text: bytes) -> None:
    """Writes a file of a capture in place, and never through a link. Raises CaptureError."""
    place = root / name
    if not _is_inside(root, name) or place.is_symlink():
        raise CaptureError(f"write {name}: a link lies in its place; do not use this file")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text)


def _is_inside(root: Path, name: str) -> bool:
    return _is_plain(name) and (root / name).parent.resolve().is_relative_to(root.resolve())


def _is_plain(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _checked(archive: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    """The members, as long as they are files of a capture and not too many."""
    count = length = 0
    for member in archive:
        count, length = count + 1, length + member.size
        top = PurePosixPath(member.name).parts[:1]
        if not member.isreg() or not _is_plain(member.name) or top not in {(BEFORE,), (AFTER,), ("manifest.json",)}:
            raise CaptureError(f"read {path}: {member.name!r} is no file of a capture; do not use this file")
        if count > MOST_MEMBERS or length > MOST_BYTES:
            raise CaptureError(f"read {path}: it is larger than any capture; do not use this file")
        yield member


def _between(first: State, second: State) -> float:
    def uptime_s(state: State) -> float:
        return float(state.files.get("proc/uptime", b"0").split()[0])

    return round(uptime_s(second) - uptime_s(first), 2)


def _check_free(path: Path) -> None:
    """Before anything is waited for; whether it can be written is seen for certain only when it is."""
    if os.path.lexists(path):
        raise CaptureError(f"write {path}: it exists; name another file, or remove it")
    if not path.parent.is_dir():
        raise CaptureError(f"write {path}: no directory {path.parent}; name a file in a directory that you may write")
    if not os.access(path.parent, os.W_OK):
        raise CaptureError(f"write {path}: permission denied; name a file in a directory that you may write")


def _write(path: Path, manifest: Manifest, first: State, second: State | None) -> None:
    changed = {}
    if second:
        changed = {name: text for name, text in second.files.items() if first.files.get(name) != text}
    try:
        # For its owner alone: who runs what on a host is not everybody's to know.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            _pack(file, manifest, first.files, changed)
    except FileExistsError as error:
        raise CaptureError(f"write {path}: it exists; name another file, or remove it") from error
    except OSError as error:
        raise CaptureError(f"write {path}: {error.strerror}; name a file in a directory that you may write") from error


def _pack(file: BinaryIO, manifest: Manifest, before: dict[str, bytes], after: dict[str, bytes]) -> None:
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        members = {"manifest.json": msgspec.json.format(msgspec.json.encode(manifest), indent=1)}
        members |= {f"{BEFORE}/{name}": text for name, text in before.items()}
        members |= {f"{AFTER}/{name}": text for name, text in after.items()}
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(text), int(manifest.captured_seconds)
            archive.addfile(member, io.BytesIO(text))


def _said(error: Exception) -> str:
    return str(error) or "it ends too early"
