"""What single miners are unlocked with: in a file that only its owner may read, and never shown."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec

from jouled.errors import JouledError
from jouled.loads.miners import private_file
from jouled.log import log

FILE = "miner-passwords.json"
BYTES_MAX = 4 * 1024 * 1024


class Passwords:
    """By MAC. `path` None forgets with the process. Writing blocks: call `keep` in a worker thread."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._kept = {} if path is None else _read(path)

    def __repr__(self) -> str:
        """Without what they are."""
        return f"<Passwords of {len(self._kept)} miners>"

    def of(self, mac: str) -> str | None:
        return self._kept.get(mac)

    def keep(self, mac: str, password: str) -> None:
        """On disk when it returns. Raises JouledError."""
        with self._mutex:
            changed = self._kept | {mac: password}
            if self._path is not None:
                try:
                    private_file.write(self._path, msgspec.json.encode(changed))
                except OSError as error:
                    raise JouledError(
                        f"write {self._path}: {error.strerror}; the password was not taken: let jouled write there"
                    ) from error
            self._kept = changed


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(BYTES_MAX), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        words = getattr(error, "strerror", None) or "it is damaged"
        log.warning(f"read {path}: {words}; give the passwords of miners that have their own anew")
        return {}
