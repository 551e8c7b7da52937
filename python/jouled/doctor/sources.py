"""Where the numbers come from, and why not from a better place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from jouled.doctor.finding import Code, Finding, Severity
from jouled.doctor.subject import Subject

MUCH_STEAL = 0.01
"""From this share on, the hypervisor took so much that CPU time and energy tell different stories."""
POWER_FILE = re.compile(r"(energy|power)\d+_(input|average)")
# As rust/host/src/hwmon_chip.rs: power that CPU time does not explain.
APART = re.compile(
    r"(amdgpu|radeon|nouveau|i915|xe|nvme|mlx4|mlx5|bnxt_en|ixgbe|i40e|ice|iwlwifi|mt7921|sfp|ath10k)(_.*)?"
)
SUPPLIES = ("BAT", "ADP", "AC", "ucsi")
WORDS = {
    "rapl": "RAPL counters in powercap: measured",
    "hwmon": "sensor chips (hwmon): measured",
    "battery": "the battery: measured while it discharges, display included",
    "fake": "invented numbers",
}


def source(subject: Subject) -> Iterator[Finding]:
    """What is used."""
    if subject.source == "estimate":
        yield Finding(
            Code.ESTIMATE,
            Severity.WARNING,
            next((notice for notice in subject.notices if "estimating" in notice), "the numbers are modelled"),
            "A model from CPU load: right in its trend, and up to a factor of two off.",
            "mend what is said below, or set estimate.idle and estimate.max (watts per CPU) from a wall meter",
        )
    elif subject.source is None:
        yield Finding(
            Code.NO_METER,
            Severity.ERROR,
            "no meter works here, not even the model: " + "; ".join(subject.notices),
            "Nothing is measured.",
            "mend what is said below, or set both estimate.idle and estimate.max",
        )
    else:
        yield Finding(Code.SOURCE, Severity.OK, f"numbers come from {WORDS.get(subject.source, subject.source)}")


def virtual_machine(subject: Subject) -> Iterator[Finding]:
    """A guest: its energy is its host's to count."""
    tree = subject.tree
    cpuinfo = tree.text("proc/cpuinfo") or ""
    names = [tree.text(f"sys/class/dmi/id/{file}") for file in ("sys_vendor", "product_name")]
    names.append(tree.text("sys/hypervisor/type"))
    if re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE) or tree.text("sys/hypervisor/type"):
        name = " ".join(filter(None, names)) or "unnamed"
        yield Finding(
            Code.VIRTUAL_MACHINE,
            Severity.NOTE,
            f"this is a virtual machine ({name})",
            "A guest has no energy counters; only its host sees what it draws.",
            "run jouled on the host too: there it shows each guest's watts (level vm)",
        )


def sensors(subject: Subject) -> Iterator[Finding]:
    """Sensor chips that tell power."""
    tree = subject.tree
    used: list[str] = []
    apart: list[str] = []
    for chip in tree.names("sys/class/hwmon"):
        directory = f"sys/class/hwmon/{chip}"
        name = tree.text(f"{directory}/name") or chip
        has_power = any(POWER_FILE.fullmatch(file) for file in tree.names(directory))
        has_power = has_power or _has_product(tree.names(directory))
        if has_power and not name.startswith(SUPPLIES):
            (apart if APART.fullmatch(name) else used).append(f"{chip} ({name})")
    if used:
        is_source = subject.source == "hwmon"
        yield Finding(
            Code.HWMON,
            Severity.OK if is_source else Severity.NOTE,
            f"{'read' if is_source else 'not used'}: sensor chips with power: {', '.join(used)}",
            "" if is_source else f"The source {subject.source} is preferred.",
            "" if is_source else "to use them: --meter hwmon",
        )
    if apart:
        yield Finding(
            Code.HWMON_APART,
            Severity.NOTE,
            f"left out: {', '.join(apart)}",
            "They measure cards, whose power CPU time does not explain.",
            "to read one, name it: --meter hwmon --zone NAME",
        )


def _has_product(files: list[str]) -> bool:
    return any(f"curr{file[2:-6]}_input" in files for file in files if re.fullmatch(r"in\d+_input", file))


def battery(subject: Subject) -> Iterator[Finding]:
    """A battery that feeds the host."""
    tree = subject.tree
    for name in tree.names("sys/class/power_supply"):
        directory = f"sys/class/power_supply/{name}"
        is_main = tree.text(f"{directory}/type") == "Battery" and tree.text(f"{directory}/scope") != "Device"
        if is_main:
            status = tree.text(f"{directory}/status") or "unknown"
            is_source = subject.source == "battery"
            yield Finding(
                Code.BATTERY,
                Severity.NOTE,
                f"{name} is a battery ({status.lower()}); it {'is' if is_source else 'is not'} the source",
                "It tells the whole host's power, but only while it discharges.",
                "" if is_source else "to compare with it: unplug, and jouled --meter battery",
            )


def steal(subject: Subject) -> Iterator[Finding]:
    """Time that a hypervisor gave to others."""
    before, after = subject.before, subject.after
    total = after.total_ticks - before.total_ticks
    stolen = after.steal_ticks - before.steal_ticks
    if total <= 0:
        total, stolen = after.total_ticks, after.steal_ticks
    if total > 0 and stolen / total >= MUCH_STEAL:
        yield Finding(
            Code.STEAL,
            Severity.WARNING,
            f"the hypervisor took {stolen / total:.0%} of this machine's CPU time (steal)",
            "What was stolen is nobody's here: shares of workloads are right, their watts too high.",
            "give the guest CPUs of its own (pinning, no overcommit), or measure on the host",
        )


def meter_words(subject: Subject) -> Iterator[Finding]:
    """Problems in the meter's own words that no other check has found."""
    for line in dict.fromkeys(subject.problems):
        if not re.search(r"energy_uj|max_energy_range_uj", line):
            what, _, fix = line.rpartition("; ")
            yield Finding(Code.METER_SAYS, Severity.WARNING, what or line, "", fix if what else "")


CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    source,
    virtual_machine,
    sensors,
    battery,
    steal,
    meter_words,
)
