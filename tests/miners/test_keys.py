"""What must be known of miners after a restart."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from unittest.mock import patch

import pytest
import trio

from jouled.loads.miners import private_file
from jouled.loads.miners.keys import FileKeys

MAC = "02:00:00:00:00:01"


async def test_a_key_and_a_mark_outlive_the_process_in_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    path = tmp_path / "miners.json"
    kept = FileKeys(path)
    await kept.keep(MAC, "s" * 32)
    await kept.mark(MAC, is_off=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    after = FileKeys(path)
    assert after.key_of(MAC) == "s" * 32
    assert after.is_off(MAC)
    assert after.key_of("02:00:00:00:00:02") is None
    assert not after.is_off("02:00:00:00:00:02")
    assert os.listdir(tmp_path) == ["miners.json"], "nothing is left beside it"  # noqa: PTH208  (pathlib's blocks as much)


async def test_a_mark_is_on_disk_when_it_returns_and_many_are_few_writes(tmp_path: Path) -> None:
    path = tmp_path / "miners.json"
    kept = FileKeys(path)
    writes = 0
    write = private_file.write

    def counted(path: Path, content: bytes) -> None:
        nonlocal writes
        writes += 1
        write(path, content)

    with patch.object(private_file, "write", counted):
        async with trio.open_nursery() as nursery:
            for number in range(60):

                async def mark(mac: str = f"02:00:00:00:00:{number:02x}") -> None:
                    await kept.mark(mac, is_off=True)
                    assert FileKeys(path).is_off(mac)

                nursery.start_soon(mark)
        await kept.mark(MAC, is_off=True)
    assert 1 <= writes <= 3, "the second write holds all that came during the first; what is known is not written"


async def test_a_full_disk_does_not_stand_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "miners.json"
    kept = FileKeys(path)
    await kept.mark(MAC, is_off=True)
    assert kept.is_off(MAC)
    path.parent.mkdir()
    await kept.mark(MAC, is_off=True)
    assert FileKeys(path).is_off(MAC), "what is behind is written with the next"


async def test_a_disk_that_hangs_does_not_stand_in_the_way_either(tmp_path: Path) -> None:
    kept, ends, began = FileKeys(tmp_path / "miners.json"), threading.Event(), threading.Event()
    write = private_file.write

    def hung(path: Path, content: bytes) -> None:
        began.set()
        ends.wait()
        write(path, content)

    macs = [f"02:00:00:00:00:{number:02x}" for number in range(60)]

    async def mark(mac: str) -> None:
        await kept.mark(mac, is_off=True)

    try:
        with patch.object(private_file, "write", hung), trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                for mac in macs:
                    nursery.start_soon(mark, mac)
        assert began.is_set()
        assert all(kept.is_off(mac) for mac in macs)
    finally:
        ends.set()
    with trio.fail_after(30):
        while not all(FileKeys(tmp_path / "miners.json").is_off(mac) for mac in macs):
            await kept.mark(MAC, is_off=True)
            await trio.sleep(0.01)


async def test_a_write_that_is_cancelled_is_made_up_for(tmp_path: Path) -> None:
    path = tmp_path / "miners.json"
    kept = FileKeys(path)
    with trio.CancelScope() as scope:
        scope.cancel()
        await kept.mark(MAC, is_off=True)
    await kept.mark(MAC, is_off=True)
    assert FileKeys(path).is_off(MAC)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 3}'])
async def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "miners.json"
    path.write_bytes(content)
    kept = FileKeys(path)
    assert kept.key_of(MAC) is None
    await kept.keep(MAC, "s" * 32)
    assert FileKeys(path).key_of(MAC) == "s" * 32


async def test_no_key_is_shown(tmp_path: Path) -> None:
    kept = FileKeys(tmp_path / "miners.json")
    await kept.keep(MAC, "s" * 32)
    assert "s" * 32 not in repr(kept._kept)
    assert "s" * 32 not in repr(kept)
