"""Orders as the balancer gives them."""

from __future__ import annotations

from jouled.balance.fleet.words import Point
from jouled.balance.site.words import Order


def order_of(power_w: float, point: Point | None = None, *, load: str = "rack-1") -> Order:
    return Order(
        id="order-1",
        load=load,
        kind="shed",
        point=point,
        power_w=power_w,
        before_point=None,
        before_w=None,
        is_urgent=False,
        reason="too much",
    )
