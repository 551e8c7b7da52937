"""Passwords of single miners: all of them kept, by their owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

import trio

from jouled.control.fleet.passwords import FILE, Passwords
from jouled.loads.miners.private_file import MODE

MACS = [f"02:00:00:00:00:{number:02x}" for number in range(40)]


async def test_of_many_that_are_given_at_once_none_is_lost(tmp_path: Path) -> None:
    kept = Passwords(tmp_path / FILE)
    async with trio.open_nursery() as nursery:
        for mac in MACS:
            nursery.start_soon(trio.to_thread.run_sync, kept.keep, mac, f"word-{mac}")
    again = Passwords(tmp_path / FILE)
    for mac in MACS:
        assert kept.of(mac) == again.of(mac) == f"word-{mac}"
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == MODE
    assert "word-" not in repr(kept)
