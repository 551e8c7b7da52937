"""A daemon process with a page of two megabytes, for `test_crowd.py`: `run_crowd.py SETTINGS`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes import FakeScanner
from jouled import config, daemon

SERIES = 40_000

if __name__ == "__main__":
    settings = config.load(sys.argv[1], {"log.format": "text", "store.url": "none"})
    daemon.leave(daemon.main(settings, lambda _: FakeScanner(series=SERIES)))
