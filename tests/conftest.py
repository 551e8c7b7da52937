"""Fixtures that every room uses."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

# The rooms of tests are folders, not packages: this is where they find `fakes`.
sys.path.insert(0, str(Path(__file__).parent))

pytest_plugins = ["stores"]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """The daemon sets up logging for the whole process; no test may inherit that."""
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    structlog.reset_defaults()


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """What is logged, as dictionaries."""
    with capture_logs() as captured:
        yield captured
