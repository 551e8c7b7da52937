"""jouled: the power daemon of a Linux host, and the energy of a block of Python.

>>> import jouled
>>> with jouled.measure("work") as m:
...     work()
>>> print(m.joules, m.source)
"""

from __future__ import annotations

import importlib

# Name: the module that has it, and its name there. Each is imported when it is first asked for, so that
# `import jouled` loads nothing. What type checkers see is in __init__.pyi.
_PLACES = {
    "__version__": ("jouled._core", "VERSION"),
    "Cap": ("jouled.capping", "Cap"),
    "CapError": ("jouled.capping", "CapError"),
    "JouledError": ("jouled.errors", "JouledError"),
    "Measurement": ("jouled.measurement", "Measurement"),
    "Meter": ("jouled.meter", "Meter"),
    "PowerManager": ("jouled.power_manager", "PowerManager"),
    "Result": ("jouled.measurement", "Result"),
    "Sampler": ("jouled.series", "Sampler"),
    "cap": ("jouled.capping", "cap"),
    "measure": ("jouled.measurement", "measure"),
    "measured": ("jouled.measurement", "measured"),
    "snapshots": ("jouled.series", "snapshots"),
    "to_frame": ("jouled.export", "to_frame"),
    "use": ("jouled.meter", "use"),
    "write_csv": ("jouled.export", "write_csv"),
    "write_jsonl": ("jouled.export", "write_jsonl"),
    "zones": ("jouled.meter", "zones"),
}

__all__ = [*_PLACES]  # noqa: PLE0604  (its keys are strings)


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(place[0]), place[1])
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
