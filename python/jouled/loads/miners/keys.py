"""What must be known of miners after a restart of the daemon: API keys, and which of them jouled switched off."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec
import trio

from jouled.loads.miners import private_file
from jouled.log import log

BYTES_MAX = 16 * 1024 * 1024
# A disk that hangs keeps a shed for so long, once.
WRITE_S = 2.0


class Kept(msgspec.Struct, omit_defaults=True):
    """Of one miner."""

    key: str | None = None
    is_off: bool = False

    def __repr__(self) -> str:
        """Without the key: it must not get into a log."""
        return f"<Kept {'a key' if self.key else 'no key'}{', switched off' if self.is_off else ''}>"


class Keys(Protocol):
    """By the MAC of a miner. None of it raises, and all of it ends: a disk must not stand in the way of a shed."""

    def key_of(self, mac: str) -> str | None: ...

    def is_off(self, mac: str) -> bool:
        """Whether it was jouled that switched it off: another one's pause is left alone."""
        ...

    async def keep(self, mac: str, key: str | None) -> None: ...

    async def mark(self, mac: str, *, is_off: bool) -> None:
        """On disk when it returns, where that is possible, and so before the miner is told."""
        ...


class MemoryKeys:
    """Forgets with the process: for tests, and for looking only."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}

    def key_of(self, mac: str) -> str | None:
        return self._of(mac).key

    def is_off(self, mac: str) -> bool:
        return self._of(mac).is_off

    async def keep(self, mac: str, key: str | None) -> None:
        await self._change(mac, msgspec.structs.replace(self._of(mac), key=key))

    async def mark(self, mac: str, *, is_off: bool) -> None:
        await self._change(mac, msgspec.structs.replace(self._of(mac), is_off=is_off))

    def _of(self, mac: str) -> Kept:
        return self._kept.get(mac, Kept())

    async def _change(self, mac: str, kept: Kept) -> None:
        self._kept[mac] = kept
        await trio.lowlevel.checkpoint()


class FileKeys(MemoryKeys):
    """In a file that only its owner may read, replaced as a whole; many changes at once are one write."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._lock = trio.Lock()
        # One that hangs keeps it: no other write overtakes it, or is begun behind it.
        self._writer = trio.CapacityLimiter(1)
        self._is_behind = False
        self._kept = _read(path)

    async def _change(self, mac: str, kept: Kept) -> None:
        if self._of(mac) == kept and not self._is_behind:
            await trio.lowlevel.checkpoint()
            return
        self._kept[mac] = kept
        self._is_behind = True
        async with self._lock:
            # Whoever held the lock before wrote this one too; or a write hangs, which was said.
            if not self._is_behind or self._writer.available_tokens == 0:
                return
            await self._write_all()

    async def _write_all(self) -> None:
        self._is_behind = False
        is_written, problem = False, f"not done within {WRITE_S:g} s"
        try:
            with trio.move_on_after(WRITE_S):
                content = msgspec.json.encode(self._kept)
                await trio.to_thread.run_sync(
                    private_file.write, self._path, content, abandon_on_cancel=True, limiter=self._writer
                )
                is_written = True
        except OSError as error:
            problem = error.strerror or str(error)
        finally:
            self._is_behind = self._is_behind or not is_written
        if not is_written:
            log.warning(
                f"write {self._path}: {problem}; after a restart jouled will not know which miners it"
                " switched off: free some space, or check the disk and the directory's owner"
            )


def _read(path: Path) -> dict[str, Kept]:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(BYTES_MAX), type=dict[str, Kept])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        words = getattr(error, "strerror", None) or "it is damaged"
        log.warning(f"read {path}: {words}; miners that are off now count as switched off by their users")
        return {}
