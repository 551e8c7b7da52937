"""A real daemon process on a fake scanner: `run_fake.py SERIES ARGUMENT...` takes jouled's flags."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes import FakeScanner, FakeSnapshot
from jouled import config, daemon
from jouled.web import server


class HangingScanner(FakeScanner):
    """A scanner one of whose ticks never ends."""

    def __init__(self, *, series: int, notices: Sequence[str], hangs_at: int) -> None:
        super().__init__(series=series, notices=notices)
        self._hangs_at = hangs_at

    def tick(self) -> FakeSnapshot:
        snapshot = super().tick()
        if self.ticks == self._hangs_at:
            os.write(2, b"the scan hangs\n")
            time.sleep(1000)
        return snapshot


def main(series: int, listen: str, *more: str) -> int:
    path = os.environ.get("SETTINGS")
    server.GRACE_S = float(os.environ.get("GRACE_S", server.GRACE_S))
    flags = {"listen": (listen,), "interval": None if path else "200ms", "log.format": "text", "store.url": "none"}
    hangs_at = int(os.environ.get("SCAN_HANGS_AT", "0"))
    return daemon.main(
        config.load(path, flags),
        lambda _: HangingScanner(series=series, notices=more, hangs_at=hangs_at),
        reload=(lambda: config.load(path, flags)) if path else None,
    )


if __name__ == "__main__":
    daemon.leave(main(int(sys.argv[1]), *sys.argv[2:]))
