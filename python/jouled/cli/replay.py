"""The host that a verb reads: this one, a directory in its shape, or a capture that is unpacked for it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from jouled.capture import CaptureError, Manifest, Tree, archive, load


class Host:
    """Where the host's files are. A captured one has two states, the first one at the beginning."""

    def __init__(
        self, procfs: Path | str, sysfs: Path | str, manifest: Manifest | None = None, later: Path | None = None
    ) -> None:
        self.procfs = str(procfs)
        self.sysfs = str(sysfs)
        self.manifest = manifest
        self._later = later

    @property
    def is_captured(self) -> bool:
        """Whether these are files on disk, which do not move by themselves."""
        return self.manifest is not None

    @property
    def tree(self) -> Tree:
        """The host's files by name."""
        return Tree(self.procfs, self.sysfs, self.manifest)

    def advance(self) -> bool:
        """Puts the second state in place of the first; False where there is none (any more).

        Files are written in place, as the kernel's attributes keep their inode: whoever has one open
        reads the new text.
        """
        if self._later is None or self.manifest is None:
            return False
        later, self._later = self._later, None
        if not later.is_dir():
            return False
        tree = self.tree
        for file in sorted(later.rglob("*")):
            if file.is_file() and not file.is_symlink():
                archive.put(tree.procfs.parent, str(file.relative_to(later)), file.read_bytes())
        for name in self.manifest.gone:
            tree.path(name).unlink(missing_ok=True)
        self._bury(tree)
        archive.link_up(tree.procfs.parent, self.manifest)
        return True

    def _bury(self, tree: Tree) -> None:
        """A process whose files went has no directory either."""
        pids = {name.split("/")[1] for name in (self.manifest.gone if self.manifest else ()) if name.endswith("/stat")}
        for pid in pids:
            if pid.isdigit():
                shutil.rmtree(tree.path(f"proc/{pid}"), ignore_errors=True)


@contextmanager
def host(root: str | None) -> Iterator[Host]:
    """The host at `root`: None is this one; a directory holds `proc` and `sys`, and may hold the
    `manifest.json` of a capture; a file is a capture, unpacked for the time of the block.

    Raises CaptureError where `root` is none of these.
    """
    if root is None:
        yield Host("/proc", "/sys")
        return
    place = Path(root)
    if place.is_dir() and (place / "proc").is_dir() and (place / "sys").is_dir():
        yield Host(place / "proc", place / "sys", _manifest_of(place))
        return
    with tempfile.TemporaryDirectory(prefix="joulectl-") as directory:
        manifest = _unpack(place, Path(directory))
        yield Host(
            Path(directory, archive.BEFORE, "proc"),
            Path(directory, archive.BEFORE, "sys"),
            manifest,
            Path(directory, archive.AFTER),
        )


def _unpack(place: Path, directory: Path) -> Manifest:
    if not place.is_dir():
        manifest = load(place, directory)
    elif (place / archive.BEFORE).is_dir():
        # A capture that somebody unpacked by hand: copied, for the second state is written over the first.
        for state in (archive.BEFORE, archive.AFTER):
            if (place / state).is_dir():
                shutil.copytree(place / state, directory / state, ignore=_links)
        manifest = _manifest_of(place)
        archive.link_up(directory / archive.BEFORE, manifest)
    else:
        raise CaptureError(f"read {place}: it holds no proc and no sys; name a capture, or a directory with both")
    for top in ("proc", "sys"):
        (directory / archive.BEFORE / top).mkdir(parents=True, exist_ok=True)
    return manifest


def _links(directory: str, names: list[str]) -> set[str]:
    """Links are made from the manifest, which says where each may lead."""
    return {name for name in names if Path(directory, name).is_symlink()}


def _manifest_of(directory: Path) -> Manifest:
    path = directory / "manifest.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return Manifest()
    except (OSError, msgspec.MsgspecError) as error:
        raise CaptureError(f"read {path}: {error}; name a file that joulectl capture has written") from error
