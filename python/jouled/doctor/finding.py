"""One thing that the doctor found, and the stable words for all that it can find."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    """How much a finding matters; from `warning` on the numbers are not what they could be."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class Code(StrEnum):
    """A finding's word, which stays the same from version to version."""

    # The source of the numbers.
    SOURCE = "source"
    ESTIMATE = "estimate-in-use"
    NO_METER = "no-meter"
    VIRTUAL_MACHINE = "virtual-machine"
    HWMON = "hwmon-power"
    HWMON_APART = "hwmon-apart"
    BATTERY = "battery"
    STEAL = "steal-time"
    # RAPL counters.
    RAPL = "rapl-readable"
    RAPL_MISSING = "rapl-missing"
    RAPL_PERF_ONLY = "rapl-only-in-perf"
    RAPL_DENIED = "rapl-denied"
    POWERCAP_MASKED = "powercap-masked"
    MIRRORED_DIES = "mirrored-dies"
    OWN_DIES = "dies-of-their-own"
    MMIO_DOUBLE = "mmio-double"
    PSYS_WHOLE_JOULES = "psys-whole-joules"
    PSYS_IMPLAUSIBLE = "psys-implausible"
    RANGE_UNREADABLE = "range-unreadable"
    ZONE_FAILS = "zone-fails"
    COUNTER_FROZEN = "counter-frozen"
    ENERGY_FILTER = "energy-filter"
    # Power limits.
    ZONE_DISABLED = "limits-disabled"
    LIMITS_LOCKED = "limits-locked"
    LIMITS_MISSING = "limits-missing"
    LIMIT_LOWERED = "limit-lowered"
    MMIO_LIMIT_LOWER = "mmio-limit-lower"
    OTHER_WRITER = "other-writer"
    OTHER_READER = "other-reader"
    # Caps of jouled.
    CAP_IN_FORCE = "cap-in-force"
    CAPS_UNWRITABLE = "caps-unwritable"
    CAPS_FOREIGN = "caps-foreign-writer"
    CAPS_NOT_RESTORED = "caps-not-restored"
    CAPS_LEFT = "caps-left-over"
    # Who is billed.
    CGROUPS = "cgroup-layout"
    CPUACCT_MISSING = "cpuacct-missing"
    NO_CGROUPS = "no-cgroups"
    CGROUP_NAMESPACE = "cgroup-namespace"
    PID_NAMESPACE = "pid-namespace"
    PROC_HIDEPID = "proc-hidepid"
    EXE_UNREADABLE = "exe-unreadable"
    # Rights.
    CAPABILITY_WITHOUT_EFFECT = "capability-without-effect"
    DESCRIPTOR_LIMIT = "descriptor-limit"
    # The daemon.
    DAEMON = "daemon"
    DAEMON_ABSENT = "daemon-absent"
    DAEMON_UNREACHABLE = "daemon-unreachable"
    DAEMON_DENIED = "daemon-denied"
    DAEMON_STALE = "daemon-stale"
    SCAN_ERRORS = "scan-errors"
    LATE_TICKS = "late-ticks"
    READ_ERRORS = "read-errors"
    COUNTER_RESETS = "counter-resets"
    UNREADABLE = "unreadable-processes"
    # What a meter said that no check has words for.
    METER_SAYS = "meter-says"


class Finding(Struct, frozen=True, omit_defaults=True):
    """What was found, why it matters, and the command or setting that mends it."""

    code: Code
    severity: Severity
    what: str
    why: str = ""
    fix: str = ""

    @property
    def is_trouble(self) -> bool:
        return self.severity.rank > Severity.NOTE.rank
