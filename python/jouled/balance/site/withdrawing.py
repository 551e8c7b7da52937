"""Orders that were wished for and not sent: the next cycle is to find all as if they had never been given."""

from __future__ import annotations

from collections.abc import Collection

from jouled.balance.site.memory import BalanceState
from jouled.balance.site.words import Order


def withdrawn(before: BalanceState, after: BalanceState, orders: Collection[Order]) -> BalanceState:
    """`after` the cycle that gave `orders`, without them. `before` is the state in which it began."""
    if not orders:
        return after
    ids = {order.id for order in orders}
    pending = {load: change for load, change in after.pending.items() if change.order.id not in ids}
    loads = dict(after.loads)
    for order in orders:
        # An earlier change of the same load is still in flight, now that this one did not take its place.
        if (earlier := before.pending.get(order.load)) is not None and order.load not in pending:
            pending[order.load] = earlier
        if (known := before.loads.get(order.load)) is None:
            loads.pop(order.load, None)
        else:
            loads[order.load] = known
    is_all = ids >= {change.order.id for change in after.pending.values()} - {
        change.order.id for change in before.pending.values()
    }
    if not is_all:
        return after._replace(pending=pending, loads=loads)
    return after._replace(
        pending=pending,
        loads=loads,
        # What has been waited for was not used up.
        low_since_s=after.low_since_s if before.low_since_s is None else before.low_since_s,
        raised_s=before.raised_s,
        window=before.window,
        hurried_s=before.hurried_s,
    )
