"""How often one client may ask: a bucket for each address, and a bounded number of them."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

import trio

from jouled.web.gate import Bucket

# Each is some 200 bytes. Whoever has so many addresses is held up by none of this, but by the connections' limit.
CLIENTS_MAX = 4096


class Rate:
    """So many a second for each key, and a second's worth at once."""

    def __init__(self, per_s: float, clock: Callable[[], float] = trio.current_time) -> None:
        self._per_s = per_s
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Rate {self._per_s:g}/s [{len(self._buckets)} clients]>"

    def wait_s(self, key: str) -> int:
        """0 where it may go on, and one is taken; else the whole seconds after which it may come again."""
        now_s = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(max(1, int(self._per_s)), self._per_s, now_s)
            if len(self._buckets) > CLIENTS_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        wait_s = bucket.wait_s(now_s)
        if wait_s > 0:
            return math.ceil(wait_s)
        bucket.take()
        return 0
