"""The energy of a block of code: `measure`, `measured`, and what they give."""

from jouled.measurement.block import Measurement, measure
from jouled.measurement.decorator import measured
from jouled.measurement.result import Result, Scope, ZoneEnergy

__all__ = ["Measurement", "Result", "Scope", "ZoneEnergy", "measure", "measured"]
