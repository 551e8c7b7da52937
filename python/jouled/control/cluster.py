"""What a Kubernetes cluster is told of this node: its cap, and the market's slot behind it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jouled.config import Config
from jouled.sharing.kubernetes import Teller, open_teller
from jouled.sharing.node_notes import Market, Told

if TYPE_CHECKING:  # a host without a market imports none of it
    from jouled.control.caps.keeper import CapKeeper
    from jouled.control.market.market import Market as Prices


def open_cluster(config: Config, keeper: CapKeeper | None, prices: Prices | None) -> Teller:
    """Its `run` is a sink of the daemon: it ends after the caps were given back. Raises ConfigError."""

    def holds() -> Told:
        state = None if keeper is None else keeper.state()
        market = None if prices is None else market_of(prices, config.market.timezone)
        if state is None:
            return Told(market=market)
        return Told(None if state.is_dry_run else state.asked_watts, state.max_watts, market)

    return open_teller(config, holds, lambda: None if keeper is None else left_by(keeper))


def market_of(prices: Prices, timezone: str) -> Market | None:
    found = prices.slot(datetime.now(UTC))
    return None if found is None else Market(found[1].series.provider, found[0], timezone)


def left_by(keeper: CapKeeper) -> float | None:
    """The cap that stays when the daemon has ended, by its settings."""
    state, settings = keeper.state(), keeper.settings
    if state.is_dry_run or settings.on_exit == "restore":
        return None
    return state.asked_watts if settings.on_exit == "hold" else settings.safe_w
