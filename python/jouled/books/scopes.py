"""What a token lets do: few words, each a kind of record that its holder may change."""

from __future__ import annotations

from collections.abc import Collection

from jouled.errors import InvalidError

READ = "read"
CONTROL = "control"
ADMIN = "admin"
# What each lets do; every one of them lets read, and admin lets do everything.
SCOPES = {
    READ: "read the books, the measurements and the metrics",
    "write:readings": "record readings, load metrics and the power of devices",
    "write:sites": "make and change sites, circuits, zones, meters, devices and planned events",
    "write:budgets": "set budgets and emission factors",
    "write:decisions": "propose, approve and cancel decisions, and judge recommendations",
    "execute": "carry decisions out",
    CONTROL: "set and lift power caps",
    ADMIN: "everything",
}
ALL = frozenset(SCOPES)


def checked(scopes: Collection[str]) -> tuple[str, ...]:
    """Each once, in the order of the table. Raises InvalidError for none at all, and for a word that is no scope."""
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        what = f"scope {unknown[0]!r} is not known" if unknown else "a token without a scope lets do nothing"
        raise InvalidError(f"{what}; there is {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in scopes)


def may(granted: Collection[str], wanted: str) -> bool:
    """Whoever may write or execute may read."""
    if wanted == READ:
        return bool(granted)
    return wanted in granted or ADMIN in granted
