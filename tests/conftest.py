"""Fixtures that every room uses."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog
from structlog.testing import capture_logs

# The rooms of tests are folders, not packages: this is where they find `fakes`.
sys.path.insert(0, str(Path(__file__).parent))

pytest_plugins = ["stores"]

# The same examples each time, however slow the machine is: a change is refused for what it changed. Others are looked
# for by `make py-test PYTEST_ARGS=--hypothesis-profile=default`.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same")


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
