"""Fixtures of the booted box; scripts/e2e says which process is its first."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from e2e.box import Box
from e2e.zones import Zones


@pytest.fixture(scope="session")
def box() -> Box:
    box = Box(int(os.environ["E2E_BOX"]), os.environ["E2E_LAYOUT"])
    # alice may ask the daemon through its socket, bob may not.
    box.run("systemd-sysusers", "-", stdin="u alice - -\nu bob - -\nm alice jouled\n")
    return box


@pytest.fixture(scope="session")
def zones(box: Box) -> Iterator[Zones]:
    zones = Zones(box)
    yield zones
    zones.close()


@pytest.fixture
def daemon(box: Box, zones: Zones) -> Iterator[Box]:
    """Runs on zones of 40 W and 10 W, scans five times a second; whatever a test sets is gone after it."""
    box.as_installed()
    box.settings(zones.settings)
    box.restart()
    yield box
    box.as_installed()
