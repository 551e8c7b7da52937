# What type checkers see of the package; __init__.py imports each name when it is asked for.

from jouled.capping import Cap, CapError, cap
from jouled.errors import JouledError
from jouled.export import to_frame, write_csv, write_jsonl
from jouled.measurement import Measurement, Result, measure, measured
from jouled.meter import Meter, use, zones
from jouled.power_manager import PowerManager
from jouled.series import Sampler, snapshots

__all__ = [
    "Cap",
    "CapError",
    "JouledError",
    "Measurement",
    "Meter",
    "PowerManager",
    "Result",
    "Sampler",
    "__version__",
    "cap",
    "measure",
    "measured",
    "snapshots",
    "to_frame",
    "use",
    "write_csv",
    "write_jsonl",
    "zones",
]

__version__: str
