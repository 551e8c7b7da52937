"""A host on file: what a scan and the doctor read, saved, so that it can be read again anywhere."""

from __future__ import annotations

from jouled.capture.archive import CaptureError, load, save
from jouled.capture.manifest import Manifest
from jouled.capture.tree import Tree

__all__ = ["CaptureError", "Manifest", "Tree", "load", "save"]
