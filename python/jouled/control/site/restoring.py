"""Loads as they were found, given back by hand: without the daemon, from what it has left on the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import trio

from jouled.config import Config
from jouled.control.site.leaving import Left, restored
from jouled.control.site.originals import Kept, Originals, directory_of
from jouled.errors import ConfigError
from jouled.journal import JournalError
from jouled.loads.actuator import Actuator
from jouled.log import log

# A miner that restarts answers after a while; whoever waits here can call again.
RESTORE_S = 120.0
BY_CAPS = "this host's caps are given back by `joulectl caps restore`"

OpenLoads: TypeAlias = Callable[[Config, Sequence[Kept]], list[Actuator]]


def left_behind(config: Config) -> tuple[Kept, ...]:
    """What would be given back; beside a daemon too. Raises JournalError."""
    return Originals.read(directory_of(config.state_dir)).loads


def restore(config: Config, open_loads: OpenLoads | None = None) -> tuple[Left, ...]:
    """Each load as it was found, the latest first. What failed stays in the journal, with the reason.

    Raises HeldError where the daemon runs, and JournalError where the journal cannot be read or written.
    """
    originals = Originals.open(directory_of(config.state_dir))
    try:
        if not originals.loads:
            return ()
        return trio.run(_restore, config, originals, open_loads or opened)
    finally:
        originals.close()


async def _restore(config: Config, originals: Originals, open_loads: OpenLoads) -> tuple[Left, ...]:
    kept = originals.loads
    done: list[Left] = []
    for host in [one for one in kept if one.kind == "host"]:
        originals.drop(host.load)
        log.info(f"balance: {host.name}: {BY_CAPS}")
    devices = [one for one in kept if one.kind != "host"]
    actuators = {actuator.id: actuator for actuator in open_loads(config, devices)}
    try:
        with trio.move_on_after(RESTORE_S):
            await restored(devices, actuators.get, originals, done.append)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
            for actuator in actuators.values():
                await actuator.aclose()
        told = {left.load for left in done}
        for one in devices:
            if one.load not in told:
                problem = f"no answer within {RESTORE_S:g} s"
                originals.note_problem(one.load, problem)
                done.append(Left(one.load, one.name, problem))
        try:
            originals.save_now()
        except JournalError as error:
            log.warning(f"balance: {error}")
    return tuple(done)


def opened(config: Config, kept: Sequence[Kept]) -> list[Actuator]:
    """By the settings of now, and miners by where they answered last."""
    from jouled.loads.fleet import open_known

    try:
        return open_known(config, [(one.kind, one.load, one.address) for one in kept])
    except ConfigError as error:
        log.warning(f"balance: {error}")
        return []
