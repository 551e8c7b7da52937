"""What is said of a key, for help, file, schema and manual."""

from __future__ import annotations

from typing import Any

from msgspec import Meta

DAY_S = 24 * 3600.0
YEAR_S = 365 * DAY_S


def about(
    description: str,
    *,
    flag: str | None = None,
    metavar: str | None = None,
    least: float | None = None,
    most: float | None = None,
    absent: str | None = None,
    example: object = None,
    allowed: str | None = None,
    is_live: bool = False,
) -> Meta:
    """What is said of a key. `absent` is what holds where there is no value, `example` a value to show
    there; `is_live` is for what a reload applies.
    """
    bounds: dict[str, Any] = {"minimum": least, "maximum": most}
    return Meta(
        description=description,
        extra_json_schema={name: bound for name, bound in bounds.items() if bound is not None},
        extra={
            "flag": flag,
            "metavar": metavar,
            "least": least,
            "most": most,
            "absent": absent,
            "example": example,
            "allowed": allowed,
            "is_live": is_live,
        },
    )
