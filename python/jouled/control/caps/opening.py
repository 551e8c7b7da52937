"""The start: alone with the limits, and what an earlier life has left is dealt with before anything else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from jouled.balance.leases import SAFE, Bounds, Held, Leases, adopted, missed
from jouled.balance.limit_plan import bounds
from jouled.balance.writes import Write
from jouled.config import Config
from jouled.control.caps.acting import LimitHands, originals_of
from jouled.control.caps.squeezing import Squeezer
from jouled.errors import UnsupportedError
from jouled.journal import Journal, JournalError, Restored
from jouled.loads.cgroup import Cgroups
from jouled.loads.rapl import Rapl
from jouled.log import log

# The cap that on_exit = safe has left behind holds so long, unless somebody asks for one before.
SAFE_BRIDGE_S = 300.0
SAFE_REASON = "left by on_exit = safe, until somebody asks"


class Opened(NamedTuple):
    """What the keeper of caps begins with."""

    hands: LimitHands
    # Of an earlier life, adopted.
    leases: Leases


def directory_of(config: Config) -> str:
    """Where the journal is."""
    return f"{config.state_dir}/caps"


def open_hands(
    config: Config,
    *,
    clock: Callable[[], float] = time.monotonic,
    wall: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Opened | None:
    """None where there is nothing to do: capping is switched off, and nothing is left of a time when it was not.

    Raises HeldError, which names the program that is in charge of the limits, and JournalError.
    """
    caps = config.caps
    if caps.dry_run:
        _warn_of_leftover(config)
        if not caps.enabled:
            return None
        return Opened(_hands(config, None, clock), Leases())
    if not caps.enabled:
        return _give_back_leftover(config)
    journal = _open_journal(config)
    for item in journal.voided:
        log.info(f"caps: {item.path}: the host was started anew, which has set {item.what} anew; nothing to give back")
    leases = Leases()
    if journal.is_there:
        leases = _dealt_with(config, journal, clock(), wall())
    return Opened(_hands(config, journal, clock), leases)


def _hands(
    config: Config, journal: Journal | None, clock: Callable[[], float], *, gives_back_only: bool = False
) -> LimitHands:
    squeezer = None
    if config.caps.slices and not gives_back_only:
        cgroups = Cgroups(config.sysfs, dry_run=config.caps.dry_run)
        squeezer = Squeezer(config.caps, cgroups, cpus=os.cpu_count() or 1, interval_s=config.interval_s, clock=clock)
    return LimitHands(
        config.caps,
        Rapl(config.sysfs, dry_run=config.caps.dry_run),
        journal,
        sysfs=config.sysfs,
        procfs=config.procfs,
        squeezer=squeezer,
        gives_back_only=gives_back_only,
        clock=clock,
    )


def _open_journal(config: Config) -> Journal:
    return Journal.open(
        directory_of(config),
        procfs=config.procfs,
        sysfs=config.sysfs,
        holder="jouled",
        guards=(f"{config.sysfs}/class/powercap",),
    )


def _dealt_with(config: Config, journal: Journal, now_s: float, wall: datetime) -> Leases:
    """What the policy of now says of what an earlier life has left: given back, or gone on with."""
    caps = config.caps
    leases = _adopted(config, journal, now_s, wall)
    # A cap that has lapsed is fallen back from, however the daemon has ended: nobody has given it up.
    if caps.on_exit == "restore" and (caps.lapse_w is None or not leases.held):
        _say(journal.restore())
        _forget_leases(journal)
        return Leases()
    log.info(
        f"caps: {len(journal.entries)} limits of an earlier jouled are as it left them, by on_exit = {config.caps.on_exit}"
    )
    if caps.on_exit == "safe" and caps.safe_w is not None and journal.entries:
        bridge = Held(SAFE, caps.safe_w, now_s, now_s + SAFE_BRIDGE_S, SAFE_REASON)
        leases = Leases((*leases.without(SAFE).held, bridge))
    _mark_as_ours(journal)
    return leases


def _adopted(config: Config, journal: Journal, now_s: float, wall: datetime) -> Leases:
    """Those of an earlier life that have time left, and what the node has fallen back to."""
    caps = config.caps
    if caps.on_exit == "restore" and caps.lapse_w is None:
        return Leases()
    leases, problems = adopted(journal.leases, journal.leases_at or wall, now_s, wall, _bounds(config, journal))
    for problem in problems:
        log.warning(f"caps: {problem}")
    if caps.on_exit == "restore":
        # What was to end has ended with the daemon.
        leases = Leases(tuple(lease for lease in leases.held if not lease.lifts))
    return leases if caps.lapse_w is None else missed(journal.leases, leases, caps.lapse_w, now_s, wall)


def _bounds(config: Config, journal: Journal) -> Bounds:
    caps = config.caps
    try:
        allowed = bounds(Rapl(config.sysfs).read(), originals_of(journal.entries))
    except UnsupportedError:
        return Bounds(caps.min_w, caps.max_w, caps.lease_max_s)
    known = [most for most in (caps.max_w, allowed.max_w) if most is not None]
    return Bounds(max(caps.min_w, allowed.min_w), min(known, default=None), caps.lease_max_s)


def _mark_as_ours(journal: Journal) -> None:
    """From now on a kill is a kill: what was left on purpose before is no longer."""
    if journal.left is None:
        return
    try:
        journal.begin([Write(entry.path, entry.what, entry.wrote, entry.identity) for entry in journal.entries])
    except JournalError as error:
        log.warning(f"caps: {error}")


def _give_back_leftover(config: Config) -> Opened | None:
    """Capping was switched off since: what an earlier life has left capped is given back all the same."""
    try:
        journal = _open_journal(config)
    except JournalError as error:
        # Measuring is no reason to refuse: others are in charge of it, or the operator must look at it.
        log.error(f"caps: {error}")
        return None
    for item in journal.voided:
        log.info(f"caps: {item.path}: the host was started anew, which has set {item.what} anew; nothing to give back")
    _say(journal.restore())
    _forget_leases(journal)
    if not journal.entries:
        journal.close()
        return None
    return Opened(_hands(config, journal, time.monotonic, gives_back_only=True), Leases())


def _forget_leases(journal: Journal) -> None:
    try:
        journal.keep_leases(())
    except JournalError as error:
        log.warning(f"caps: {error}")


def _warn_of_leftover(config: Config) -> None:
    """A dry run writes nothing, the originals neither."""
    try:
        journal = Journal.read(directory_of(config), procfs=config.procfs, sysfs=config.sysfs)
    except JournalError as error:
        log.warning(f"caps: {error}")
        return
    if journal.entries:
        log.warning(
            f"caps: {len(journal.entries)} limits of an earlier jouled are still capped, and a dry run writes nothing;"
            " `joulectl caps restore` gives them back"
        )


def _say(restored: Restored) -> None:
    for item in restored.items:
        if item.outcome == "restored":
            log.info(f"caps: {item.path}: given back, as an earlier jouled could not", holds=(item.holds or "").strip())
        elif item.outcome not in {"already", "void"}:
            log.warning(f"caps: {item.problem or item.path}")
    if restored.problem is not None:
        log.warning(f"caps: {restored.problem}")
