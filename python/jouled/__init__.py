"""jouled: the power daemon of a Linux host."""

from __future__ import annotations

__all__ = ["__version__"]

__version__: str


def __getattr__(name: str) -> str:
    # The version is looked up when it is asked for: importlib.metadata costs more to import than
    # all of this package's own modules.
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("jouled")
