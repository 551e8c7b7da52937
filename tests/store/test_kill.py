"""kill -9 while the store is written. `scripts/kill_store.py` does it twenty times."""

from __future__ import annotations

import killing


def test_no_acknowledged_write_is_lost_or_doubled_by_kill_9(store_url: str) -> None:
    rounds = killing.run(store_url, rounds=3, seed=3)

    assert all(each.acknowledged for each in rounds)
