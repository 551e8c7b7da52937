"""The originals of all that is written to hardware, on disk before the first write, so that they can be given back.

No event loop, and quick to import: `joulectl caps restore` stands on it after the daemon was killed.
"""

from __future__ import annotations

from jouled.journal.files import HeldError, JournalError
from jouled.journal.give_back import GivenBack, Restored
from jouled.journal.journal import Begun, Journal
from jouled.journal.page import Entry, Policy

__all__ = ["Begun", "Entry", "GivenBack", "HeldError", "Journal", "JournalError", "Policy", "Restored"]
