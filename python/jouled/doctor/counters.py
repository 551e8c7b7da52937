"""RAPL: whether its counters are there, may be read, and say what they seem to say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby

from jouled.doctor.finding import Code, Finding, Severity
from jouled.doctor.subject import CAP_DAC_READ_SEARCH, POWERCAP, PowercapZone, Subject

DENIED = frozenset({"EACCES", "EPERM"})
# A copy of a die's register may be one update old: 1 J covers 1 kW for a millisecond.
MIRROR_TOLERANCE_UJ = 1_000_000
STANDS_STILL_S = 0.5
"""A package that draws a watt moves its counter every millisecond; so long it never stands still."""
MASKED = "sys/devices/virtual/powercap"


def presence(subject: Subject) -> Iterator[Finding]:
    """Whether there are counters, and who hides them where there are none."""
    tree = subject.tree
    entries = [name for name in tree.names(POWERCAP) if name.startswith("intel-rapl")]
    dangling = [name for name in entries if tree.link(f"{POWERCAP}/{name}") and not tree.names(f"{POWERCAP}/{name}")]
    if dangling or _is_mounted_over(subject):
        where = tree.shown(f"{POWERCAP}/{dangling[0]}" if dangling else MASKED)
        yield Finding(
            Code.POWERCAP_MASKED,
            Severity.ERROR,
            f"{where} leads nowhere: the container's runtime masks /sys/devices/virtual/powercap",
            "Runtimes hide the energy counters since 2023 because they are a side channel (CVE-2020-8694).",
            "mount the host's /sys into the container at another place (-v /sys:/host/sys:ro) and start jouled with "
            "--sysfs /host/sys; or podman run --security-opt unmask=/sys/devices/virtual/powercap, "
            "docker run --security-opt systempaths=unconfined",
        )
    elif not subject.zones:
        yield from _absence(subject)


def _absence(subject: Subject) -> Iterator[Finding]:
    tree = subject.tree
    cpuinfo = tree.text("proc/cpuinfo") or ""
    if tree.exists("sys/bus/event_source/devices/power/type"):
        yield Finding(
            Code.RAPL_PERF_ONLY,
            Severity.WARNING,
            "the kernel counts energy for perf (the PMU power) but shows no powercap zone",
            "jouled reads powercap; without it the numbers are modelled.",
            "use a kernel with CONFIG_POWERCAP and CONFIG_INTEL_RAPL, then modprobe intel_rapl_msr",
        )
    elif "hypervisor" in cpuinfo.split() or ("GenuineIntel" not in cpuinfo and "AuthenticAMD" not in cpuinfo):
        # A guest has none, and other processors have other sensors: the source says what is used.
        return
    else:
        yield Finding(
            Code.RAPL_MISSING,
            Severity.WARNING,
            f"{tree.shown(POWERCAP)} holds no RAPL counter, which this processor should have",
            "Without counters the numbers are modelled, or come from a coarser sensor.",
            "modprobe intel_rapl_msr (AMD: Linux 5.8 and later), and echo intel_rapl_msr > /etc/modules-load.d/rapl.conf",
        )


def _is_mounted_over(subject: Subject) -> bool:
    mounts = subject.tree.text("proc/self/mountinfo") or ""
    return re.search(rf"^\S+ \S+ \S+ \S+ /{MASKED} ", mounts, re.MULTILINE) is not None


def readability(subject: Subject) -> Iterator[Finding]:
    """Whether who looks may read the counters."""
    zones = subject.zones
    denied = [zone for zone in zones if subject.refusal(zone) in DENIED]
    readable = [zone for zone in zones if isinstance(subject.value(zone), int)]
    if readable:
        names = ", ".join(sorted(zone.name for zone in readable))
        yield Finding(Code.RAPL, Severity.OK, f"{len(readable)} of {len(zones)} RAPL counters can be read: {names}")
    if denied:
        yield _denied(subject, denied)
    for zone in zones:
        word = subject.refusal(zone)
        if word is not None and word not in DENIED:
            yield _failing(subject, zone, word)


def _denied(subject: Subject, denied: list[PowercapZone]) -> Finding:
    path = subject.tree.shown(denied[0].energy)
    mode = subject.tree.mode(denied[0].energy)
    others = f" and {len(denied) - 1} more" if len(denied) > 1 else ""
    uid = subject.uid
    who = f"uid {uid}" if uid is not None else "this user"
    return Finding(
        Code.RAPL_DENIED,
        Severity.ERROR,
        f"read {path}{others}: permission denied for {who}{f' (mode {mode})' if mode else ''}",
        "Linux 5.10 made the counters root's alone (CVE-2020-8694).",
        "run as root, or install jouled's udev rule (udevadm trigger --subsystem-match=powercap) and join its group: "
        "usermod -aG jouled USER; a unit may have AmbientCapabilities=CAP_DAC_READ_SEARCH",
    )


def _failing(subject: Subject, zone: PowercapZone, word: str) -> Finding:
    path = subject.tree.shown(zone.energy)
    reason = "holds no number" if word == "number" else f"fails with {word}"
    return Finding(
        Code.ZONE_FAILS,
        Severity.WARNING,
        f"{path} ({zone.name}) {reason}",
        "The zone is left out; all others are measured.",
        "see dmesg | grep -i rapl; a driver that was loaded again (modprobe -r intel_rapl_msr; modprobe "
        "intel_rapl_msr) or a kernel update mends most",
    )


def capability(subject: Subject) -> Iterator[Finding]:
    """A capability that may be had and is not: the classic of containers and units with User=."""
    is_denied = any(subject.refusal(zone) in DENIED for zone in subject.zones)
    if not is_denied or subject.uid == 0 or subject.is_capable(CAP_DAC_READ_SEARCH) is not False:
        return
    if subject.is_capable(CAP_DAC_READ_SEARCH, which="CapBnd"):
        yield Finding(
            Code.CAPABILITY_WITHOUT_EFFECT,
            Severity.ERROR,
            "CAP_DAC_READ_SEARCH is in the bounding set and not in the effective set",
            "A capability that is only allowed does nothing for a user other than root.",
            "in a unit AmbientCapabilities=CAP_DAC_READ_SEARCH beside CapabilityBoundingSet=; in a container run as "
            "uid 0 (runAsUser: 0) with this capability alone, or setcap cap_dac_read_search+ep on the program",
        )


def dies(subject: Subject) -> Iterator[Finding]:
    """Dies that show one register under several names, and dies that do not."""
    tops = [zone for zone in subject.zones if zone.die is not None and not zone.is_mmio]
    for package, group in groupby(sorted(tops, key=lambda zone: zone.package or ""), key=lambda zone: zone.package):
        zones = list(group)
        values = [value for zone in zones if (value := subject.value(zone)) is not None]
        if len(zones) < 2 or len(values) < len(zones):
            continue
        if max(values) - min(values) <= MIRROR_TOLERANCE_UJ:
            yield Finding(
                Code.MIRRORED_DIES,
                Severity.NOTE,
                f"the {len(zones)} dies of package {package} show one counter under {len(zones)} names",
                "AMD counts per package; tools that add the dies up say a multiple. jouled counts it once.",
                "nothing to do; Linux 6.12 and later show it once",
            )
        else:
            yield Finding(
                Code.OWN_DIES, Severity.OK, f"the {len(zones)} dies of package {package} have counters of their own"
            )


def mmio(subject: Subject) -> Iterator[Finding]:
    """The MMIO registers of client chips, which repeat package 0."""
    others = {zone.name: zone for zone in subject.zones if not zone.is_mmio}
    for zone in subject.zones:
        if zone.is_mmio and zone.name in others:
            yield Finding(
                Code.MMIO_DOUBLE,
                Severity.NOTE,
                f"{zone.id} repeats {others[zone.name].id} ({zone.name})",
                "Added up, the package would count twice. jouled counts it once.",
                "nothing to do",
            )


def psys(subject: Subject) -> Iterator[Finding]:
    """The platform's counter: not trustworthy everywhere."""
    for zone in subject.zones:
        if not zone.name.startswith("psys") or (value := subject.value(zone)) is None:
            continue
        grown = subject.growth_uj(zone) or 0
        if value and value % 1_000_000 == 0 and grown % 1_000_000 == 0:
            yield Finding(
                Code.PSYS_WHOLE_JOULES,
                Severity.WARNING,
                f"{zone.id} (psys) counts whole joules only",
                "Below a minute its power is one of a few steps; on such servers it is of the first socket only.",
                'leave it out: --zone package --zone dram, or zones = ["package", "dram"] in the settings',
            )
        yield from _implausible(subject, zone)


def _implausible(subject: Subject, zone: PowercapZone) -> Iterator[Finding]:
    packages = [
        growth
        for other in subject.zones
        if other.package and other.die is None and not other.is_mmio
        if (growth := subject.growth_uj(other)) is not None
    ]
    platform = subject.growth_uj(zone)
    # A tenth covers what the counters are read apart, and whole joules.
    if platform is not None and packages and platform + 1_000_000 < 0.9 * sum(packages):
        yield Finding(
            Code.PSYS_IMPLAUSIBLE,
            Severity.WARNING,
            f"{zone.id} (psys) grew by {platform / 1e6:.1f} J while its packages drew {sum(packages) / 1e6:.1f} J",
            "The platform holds its packages: the firmware has not calibrated this counter.",
            "leave it out: --zone package --zone dram; compare with a meter at the wall",
        )


def ranges(subject: Subject) -> Iterator[Finding]:
    """Where a counter wraps: unknown, its wraps cannot be corrected."""
    hidden = [
        zone
        for zone in subject.zones
        if subject.value(zone) is not None and not subject.tree.number(f"{zone.directory}/max_energy_range_uj")
    ]
    if hidden:
        path = subject.tree.shown(f"{hidden[0].directory}/max_energy_range_uj")
        yield Finding(
            Code.RANGE_UNREADABLE,
            Severity.WARNING,
            f"{path} cannot be read{f', nor those of {len(hidden) - 1} more zones' if len(hidden) > 1 else ''}",
            "Each time such a counter wraps, the energy of that interval is left out (never guessed).",
            f"run as root, or chmod a+r {path.replace(hidden[0].id, '*')}",
        )


def stillness(subject: Subject) -> Iterator[Finding]:
    """Counters that do not move."""
    elapsed_s = subject.elapsed_s
    if elapsed_s is None or elapsed_s < STANDS_STILL_S:
        return
    for zone in subject.zones:
        if subject.growth_uj(zone) != 0:
            continue
        whole = (subject.value(zone) or 0) % 1_000_000 == 0
        if zone.name.startswith("psys") and whole and elapsed_s < 5:
            continue  # whole joules may stand still so long
        is_main = zone.package is not None or zone.name.startswith("psys")
        yield Finding(
            Code.COUNTER_FROZEN,
            Severity.WARNING if is_main else Severity.NOTE,
            f"{zone.id} ({zone.name}) did not move in {elapsed_s:.1f} s",
            "A package always draws power. A counter that stands still is no measurement."
            if is_main
            else "This processor has the register and does not fill it; its zone will show 0 W.",
            f"leave it out with --zone; see dmesg | grep -i rapl{'' if is_main else ' (common on client chips)'}",
        )


def energy_filter(subject: Subject) -> Iterator[Finding]:
    """The noise that Intel adds to counters where enclaves are on."""
    cpuinfo = subject.tree.text("proc/cpuinfo") or ""
    if subject.zones and re.search(r"^flags\s*:.*\bsgx\b", cpuinfo, re.MULTILINE):
        yield Finding(
            Code.ENERGY_FILTER,
            Severity.NOTE,
            "SGX is on: the processor may add noise to its counters (the PLATYPUS mitigation)",
            "Sums over seconds stay right; single milliseconds do not.",
            "if nothing needs enclaves, turn SGX off in the firmware; measure blocks of 100 ms and more",
        )


CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    presence,
    readability,
    capability,
    dies,
    mmio,
    psys,
    ranges,
    stillness,
    energy_filter,
)
