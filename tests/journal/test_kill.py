"""kill -9 at a sample of the steps; `make caps-kill` tries every one."""

from __future__ import annotations

import shutil

import pytest

from killing_caps import run


def test_after_kill_9_at_any_step_restoring_finds_the_originals() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is missing; apt-get install strace")
    capping, restoring = run(14)
    assert (capping, restoring) == (14, 7)
