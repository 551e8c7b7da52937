"""jouled: the power daemon of a Linux host."""

from __future__ import annotations

__all__ = ["__version__"]

__version__: str


def __getattr__(name: str) -> str:
    # Looked up when it is asked for, so that `import jouled` loads nothing.
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from jouled._core import VERSION

    return VERSION
