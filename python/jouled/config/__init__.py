"""What the operator may set: a TOML file, overridden by the environment, overridden by flags, checked as a whole."""

from __future__ import annotations

from jouled.config.address import UNIX, split_address
from jouled.config.loading import DEFAULT_PATH, FILE_BYTES_MAX, Traced, find, load, trace
from jouled.config.reload import Changes, changes, merged
from jouled.config.settings import (
    Access,
    Config,
    Estimate,
    Fake,
    Limits,
    Listener,
    Log,
    Terminated,
    Tls,
)
from jouled.errors import ConfigError

__all__ = [
    "DEFAULT_PATH",
    "FILE_BYTES_MAX",
    "UNIX",
    "Access",
    "Changes",
    "Config",
    "ConfigError",
    "Estimate",
    "Fake",
    "Limits",
    "Listener",
    "Log",
    "Terminated",
    "Tls",
    "Traced",
    "changes",
    "find",
    "load",
    "merged",
    "split_address",
    "trace",
]
