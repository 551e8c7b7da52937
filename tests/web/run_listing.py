"""The real daemon, which on SIGUSR2 writes the names of its modules: `run_listing.py FILE FLAG...`."""

from __future__ import annotations

import runpy
import signal
import sys
from pathlib import Path


def main(path: str) -> None:
    def write(*_: object) -> None:
        whole = Path(f"{path}.part")
        whole.write_text("\n".join(sys.modules))
        whole.replace(path)

    signal.signal(signal.SIGUSR2, write)
    runpy.run_module("jouled", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv.pop(1))
