"""Power limits: what they say, and who else writes them or reads the counters."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

from jouled.doctor.finding import Code, Finding, Severity
from jouled.doctor.subject import PowercapZone, Subject

# By what the kernel keeps of a program's name: 15 characters.
WRITERS = {
    "thermald": "systemctl disable --now thermald",
    "tuned": "tuned-adm off, or a profile that leaves power alone",
    "power-profiles-": "systemctl disable --now power-profiles-daemon",
    "auto-cpufreq": "systemctl disable --now auto-cpufreq",
    "tlp": "tlp.conf: CPU_*_POWER settings off",
    "throttled": "systemctl disable --now throttled",
    "geopmd": "systemctl disable --now geopm",
    "zeusd": "stop zeusd",
}
READERS = [
    "scaphandre",
    "kepler",
    "alumet-agent",
    "hwpc-sensor",
    "powerjoular",
    "ceems_exporter",
    "turbostat",
    "powerstat",
    "node_exporter",
    "prometheus-node",
    "rezolus",
    "telegraf",
]


def constraints(subject: Subject, zone: PowercapZone) -> list[tuple[str, str]]:
    """The zone's constraints as (`constraint_0`, `long_term`), as long as there are any."""
    tree = subject.tree
    found = []
    for number in range(8):
        name = tree.text(f"{zone.directory}/constraint_{number}_name")
        if name is None:
            break
        found.append((f"constraint_{number}", name))
    return found


def enabled(subject: Subject) -> Iterator[Finding]:
    """Zones whose limits do not act. Their counters count all the same."""
    for zone in subject.zones:
        if subject.tree.text(f"{zone.directory}/enabled") == "0" and constraints(subject, zone) and zone.is_top:
            yield Finding(
                Code.ZONE_DISABLED,
                Severity.NOTE,
                f"{zone.id} ({zone.name}) has enabled = 0: its power limits do not act",
                "Nothing is measured less. A cap would have no effect; firmware that locks the limits shows 0 too.",
                f"echo 1 > {subject.tree.shown(f'{zone.directory}/enabled')}; if it reads 0 again, unlock power limits in "
                "the firmware",
            )


def locked(subject: Subject) -> Iterator[Finding]:
    """Limits that the kernel will not tell: locked by the firmware, or none of this zone's."""
    for zone in subject.zones:
        refused = [
            name
            for constraint, name in constraints(subject, zone)
            if subject.tree.error(f"{zone.directory}/{constraint}_power_limit_uw") == errno.ENODATA
        ]
        if refused:
            yield Finding(
                Code.LIMITS_LOCKED,
                Severity.NOTE,
                f"{zone.id} ({zone.name}): no data for its limits {', '.join(refused)}",
                "The firmware has locked them (all Dell servers do), or the zone has no such limit. Nothing is measured "
                "less; it cannot be capped.",
                "unlock power limits in the firmware (Custom Power Profile), or cap through the BMC",
            )


def missing(subject: Subject) -> Iterator[Finding]:
    """Counters without limits, as AMD's servers have them."""
    packages = [zone for zone in subject.zones if zone.package is not None]
    if packages and not any(constraints(subject, zone) for zone in packages):
        yield Finding(
            Code.LIMITS_MISSING,
            Severity.NOTE,
            f"{packages[0].id} ({packages[0].name}) has a counter and no power limit",
            "AMD's powercap only counts. Nothing is measured less.",
            "nothing to do for measuring; AMD servers are capped through HSMP (modprobe amd_hsmp)",
        )


def lowered(subject: Subject) -> Iterator[Finding]:
    """Limits below what the processor is made for: somebody set them."""
    for zone in subject.zones:
        for constraint, name in constraints(subject, zone):
            limit = subject.tree.number(f"{zone.directory}/{constraint}_power_limit_uw")
            most = subject.tree.number(f"{zone.directory}/{constraint}_max_power_uw")
            # A maximum of 0 says nothing; on some chips it is below the limit that they come with.
            if name == "long_term" and zone.package and limit and most and limit < 0.95 * most:
                yield Finding(
                    Code.LIMIT_LOWERED,
                    Severity.NOTE,
                    f"{zone.id} ({zone.name}): {name} is {limit / 1e6:g} W, the processor is made for {most / 1e6:g} W",
                    "Firmware, a BMC or a tool has capped this socket.",
                    f"if nobody meant it: echo {most} > "
                    f"{subject.tree.shown(f'{zone.directory}/{constraint}_power_limit_uw')}",
                )


def mmio(subject: Subject) -> Iterator[Finding]:
    """Two registers limit client chips, and the lower one wins."""
    others = {zone.name: zone for zone in subject.zones if not zone.is_mmio}
    for zone in (zone for zone in subject.zones if zone.is_mmio and zone.name in others):
        first = {name: constraint for constraint, name in constraints(subject, others[zone.name])}
        for constraint, name in constraints(subject, zone):
            if name not in first:
                continue
            here = subject.tree.number(f"{zone.directory}/{constraint}_power_limit_uw")
            there = subject.tree.number(f"{others[zone.name].directory}/{first[name]}_power_limit_uw")
            if here and there and here < there:
                yield Finding(
                    Code.MMIO_LIMIT_LOWER,
                    Severity.NOTE,
                    f"{zone.id}: {name} is {here / 1e6:g} W through MMIO and {there / 1e6:g} W through MSR",
                    "The lower one acts: what other tools write to the MSR has no effect.",
                    f"nothing to do for measuring; the limit is {subject.tree.shown(zone.directory)}/{constraint}_power_limit_uw",
                )


def others(subject: Subject) -> Iterator[Finding]:
    """Other programs that write limits or read the counters."""
    comms = {comm: pid for pid, comm in subject.comms.items()}
    for writer, fix in WRITERS.items():
        if writer in comms:
            yield Finding(
                Code.OTHER_WRITER,
                Severity.NOTE,
                f"{writer} (pid {comms[writer]}) is running, which sets power limits",
                "Two writers undo each other's limits; jouled names a foreign write and does not fight it.",
                f"nothing to do for measuring; where jouled shall cap: {fix}",
            )
    readers = [reader[:15] for reader in READERS if reader[:15] in comms]
    if readers:
        yield Finding(
            Code.OTHER_READER,
            Severity.NOTE,
            f"{', '.join(readers)} may read the same counters",
            "Counters are not used up by being read: both are right, both cost energy.",
            "nothing to do; stop what nobody looks at",
        )


CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (enabled, locked, missing, lowered, mmio, others)
