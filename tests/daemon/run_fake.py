"""A real daemon process on a fake scanner: `run_fake.py SERIES ARGUMENT...` takes jouled's flags."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes import FakeScanner
from jouled import config, daemon


def main(series: int, listen: str, *more: str) -> int:
    settings = config.load(None, {"listen": (listen,), "interval": "200ms", "log.format": "text"})
    return daemon.main(settings, lambda _: FakeScanner(series=series, notices=more))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
