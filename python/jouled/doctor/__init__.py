"""What is wrong with measuring on a host: pure functions from its files, and what was seen, to findings."""

from __future__ import annotations

from jouled.doctor.checks import examine
from jouled.doctor.finding import Code, Finding, Severity
from jouled.doctor.subject import DaemonSeen, Look, Subject, look

__all__ = ["Code", "DaemonSeen", "Finding", "Look", "Severity", "Subject", "examine", "look"]
