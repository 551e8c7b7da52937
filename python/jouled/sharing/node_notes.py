"""What a cluster's object of this node says of caps and of the market: the keys of powercap, and what of them changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from jouled.balance.steps import period_of
from jouled.books.prices import Slot

MAX_POWER = "rapl/max_power_uw"
POWER = "rapl/pmax"
LAST_UPDATE = "rapl/last-update"
PROVIDER = "rapl/provider"
PERIOD = "rapl/market-period"
VOLUME = "rapl/market-volume"
PRICE = "rapl/market-price"
INITIALIZED = "power-manager/initialized"
# Who programs of that cluster look for.
WRITER = "kcas-power-manager"

ANNOTATIONS = (MAX_POWER, POWER, LAST_UPDATE, PROVIDER, PERIOD, VOLUME, PRICE, INITIALIZED)
LABELS = (MAX_POWER, POWER)
UW_OF_W = 1_000_000
# Labels wake every watch of nodes, and may move pods: a cap that moves by less than this part of itself
# changes none.
LABEL_STEP = 0.05

# None removes a key, as a merge patch does.
Notes = Mapping[str, str | None]


class Market(NamedTuple):
    """The slot of the market that is now."""

    provider: str
    slot: Slot
    timezone: str


class Told(NamedTuple):
    """What holds now. A cap of None is no cap; a market of None is not known."""

    cap_w: float | None = None
    max_w: float | None = None
    market: Market | None = None


def notes_of(told: Told) -> dict[str, str | None]:
    """All but the time of the last change, which is that of any other."""
    market = told.market
    return {
        MAX_POWER: _microwatts(told.max_w),
        POWER: _microwatts(told.cap_w),
        PROVIDER: None if market is None else market.provider,
        PERIOD: None if market is None else period_of(market.slot.start, market.slot.end, market.timezone),
        VOLUME: None if market is None else _decimal(market.slot.volume_mwh, 1),
        PRICE: None if market is None else _decimal(market.slot.price, 2),
        INITIALIZED: WRITER,
    }


def labels_of(told: Told, known: Mapping[str, str]) -> dict[str, str | None]:
    """As the annotations of the same names; a value that is near the one that is `known` stays as that is."""
    wanted = {MAX_POWER: _microwatts(told.max_w), POWER: _microwatts(told.cap_w)}
    return {key: known[key] if _is_near(value, known.get(key)) else value for key, value in wanted.items()}


def ended(left_w: float | None) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """Annotations and labels of a daemon that has ended: none, but those of a cap that it left on purpose."""
    if left_w is None:
        return dict.fromkeys(ANNOTATIONS), dict.fromkeys(LABELS)
    power = {POWER: _microwatts(left_w)}
    return {**dict.fromkeys((PROVIDER, PERIOD, VOLUME, PRICE)), **power}, power


def changes(wanted: Notes, known: Mapping[str, str]) -> dict[str, str | None]:
    """What a patch has to hold so that `known` becomes `wanted`."""
    return {key: value for key, value in wanted.items() if known.get(key) != value}


def patch(
    wanted: Notes, wanted_labels: Notes, known: Mapping[str, str], known_labels: Mapping[str, str], now: datetime
) -> dict[str, object] | None:
    """A merge patch of the node's metadata; None where nothing has changed."""
    noted, labelled = changes(wanted, known), changes(wanted_labels, known_labels)
    if not noted and not labelled:
        return None
    stamp = now.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    # What takes everything back takes the time back as well.
    told_at = {} if LAST_UPDATE in wanted else {LAST_UPDATE: stamp}
    metadata: dict[str, object] = {"annotations": {**noted, **told_at}}
    if labelled:
        metadata["labels"] = labelled
    return {"metadata": metadata}


def _is_near(value: str | None, known: str | None) -> bool:
    if value is None or known is None or not known.isascii() or not known.isdigit():
        return False
    return abs(int(value) - int(known)) <= LABEL_STEP * int(known)


def _microwatts(power_w: float | None) -> str | None:
    return None if power_w is None else str(round(power_w * UW_OF_W))


def _decimal(value: Decimal | None, places: int) -> str | None:
    """A rounded zero has no sign."""
    if value is None:
        return None
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if not float(text) else text
