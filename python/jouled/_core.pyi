"""
The measuring core of jouled: scans a host and keeps its ledger.
"""

from typing import Final, SupportsFloat, SupportsIndex, final

__all__ = ["VERSION", "LimitConstraint", "LimitZone", "Meter", "Reading", "ScanStats", "Scanner", "Snapshot", "Workload", "Zone", "ZoneCount", "allot", "read_limits", "thread_cpu_ns", "tree_cpu_ns", "write_limit"]

VERSION: Final[str]
"""
The version of jouled.
"""

@final
class LimitConstraint:
    """
    One limit of a zone. None is what the zone does not have, or did not tell.
    """
    @property
    def max_power_uw(self, /) -> int | None:
        """
        What the processor is made for, in microwatts: no hard maximum.
        """
    @property
    def max_window_us(self, /) -> int | None:
        """
        The longest window in microseconds.
        """
    @property
    def min_power_uw(self, /) -> int | None:
        """
        The least that may be asked for, in microwatts.
        """
    @property
    def min_window_us(self, /) -> int | None:
        """
        The shortest window in microseconds.
        """
    @property
    def name(self, /) -> str:
        """
        "long_term", "short_term", "peak_power", or a name that is not known.
        """
    @property
    def number(self, /) -> int:
        """
        The N of its files constraint_N_*.
        """
    @property
    def power_uw(self, /) -> int | None:
        """
        The limit in microwatts.
        """
    @property
    def problem(self, /) -> str | None:
        """
        Why the limit cannot be read: a line with the file and the fix.
        """
    @property
    def window_us(self, /) -> int | None:
        """
        What it is an average over, in microseconds.
        """

@final
class LimitZone:
    """
    One directory of the powercap class, with its limits.
    """
    def __repr__(self, /) -> str: ...
    @property
    def constraints(self, /) -> list[LimitConstraint]:
        """
        Its limits in the order of their numbers.
        """
    @property
    def die(self, /) -> int | None:
        """
        The die, where zones are per die.
        """
    @property
    def directory(self, /) -> str:
        """
        The directory.
        """
    @property
    def enabled(self, /) -> bool | None:
        """
        Whether its limits act; None where that cannot be read.
        """
    @property
    def id(self, /) -> str:
        """
        Its name in the class directory: "intel-rapl:0:1".
        """
    @property
    def interface(self, /) -> str:
        """
        "msr" (TPMI too) or "mmio".
        """
    @property
    def name(self, /) -> str:
        """
        What its file `name` says: "package-0-die-1", "dram", "psys".
        """
    @property
    def package(self, /) -> int | None:
        """
        The socket, of the zone itself or of what it lies in; None for psys.
        """
    @property
    def parent(self, /) -> str | None:
        """
        The id of the zone that this one lies in.
        """
    @property
    def problems(self, /) -> list[str]:
        """
        What is wrong with the zone as a whole: a line each.
        """

@final
class Meter:
    """
    Reads energy counters when asked: no scan and no ledger. Safe to use from any thread; reads wait
    for each other.
    """
    def __new__(cls, /, *, procfs: "str" = "/proc", sysfs: "str" = "/sys", meters: "list[str] | None" = None, zones: "list[str] | None" = None, estimate_idle_w: "float | None" = None, estimate_max_w: "float | None" = None, fake_zones: "list[str] | None" = None, fake_seed: "int" = 0) -> Meter:
        """
        Opens the first of `meters` that works on the host whose /proc and /sys are at `procfs` and
        `sysfs`, as the Scanner does. The estimate's watts are per CPU; fake zones are written
        "package:0=40W".

        Raises ValueError for a word that is none, UnsupportedError where no meter works,
        ScanError where `procfs` is no proc file system.
        """
    def __repr__(self, /) -> str: ...
    def notices(self, /) -> list[str]:
        """
        What is to be said once at the start: an estimate's warning, meters that were passed over.
        """
    def read(self, /, *, with_load: "bool" = False, edge_s: "float | None" = None) -> Reading:
        """
        Reads every zone once; the interpreter runs on meanwhile. The first reading is the
        baseline: 0 J. How busy the machine was is read too where `with_load`, or a model needs it.

        With `edge_s` it reads until the counter of the first package (or psys) moves, for so many
        seconds at most (1 s is the longest), so that the moment of its step is known.

        A zone that fails is a gap in that zone and a line in `problems`; nothing is raised for it.
        """
    @property
    def source(self, /) -> str:
        """
        The source of the numbers: "rapl", "hwmon", "battery", "estimate" or "fake".
        """

@final
class Reading:
    """
    What the counters held at one moment; it does not change any more.
    """
    def __repr__(self, /) -> str: ...
    @property
    def at_ns(self, /) -> int:
        """
        When the reading began, nanoseconds of CLOCK_MONOTONIC.
        """
    @property
    def busy_s(self, /) -> float | None:
        """
        CPU seconds that all CPUs worked since the load was first read; None where it was not.
        """
    @property
    def capacity_s(self, /) -> float | None:
        """
        CPU seconds that all CPUs could have worked since the load was first read; None where it was not.
        """
    @property
    def problems(self, /) -> list[str]:
        """
        What went wrong, a line each, the same words for the same trouble.
        """
    @property
    def zones(self, /) -> list[ZoneCount]:
        """
        Every zone that was ever seen.
        """

@final
class ScanStats:
    """
    What scanning has cost and met since the scanner was opened.
    """
    @property
    def cgroups(self, /) -> int:
        """
        Cgroups in the last scan.
        """
    @property
    def cpu_seconds_total(self, /) -> float:
        """
        CPU seconds of all scans.
        """
    @property
    def processes(self, /) -> int:
        """
        Processes in the last scan.
        """
    @property
    def reused_total(self, /) -> int:
        """
        Pids that were found to belong to another process than before.
        """
    @property
    def seconds(self, /) -> float:
        """
        How long the last scan took.
        """
    @property
    def unreadable_total(self, /) -> int:
        """
        Processes and cgroups that could not be read, each time it was tried.
        """
    @property
    def vanished_total(self, /) -> int:
        """
        Processes that ended between being listed and being read.
        """
    @property
    def zone_read_errors_total(self, /) -> dict[tuple[str, str, str], int]:
        """
        Zones that could not be read, by (class, index, source).
        """
    @property
    def zone_resets_total(self, /) -> dict[tuple[str, str, str], int]:
        """
        Counters that started again without a wrap, by (class, index, source).
        """
    @property
    def zone_wraps_total(self, /) -> dict[tuple[str, str, str], int]:
        """
        Counters that wrapped, by (class, index, source).
        """

@final
class Scanner:
    """
    Scans a host and keeps its ledger. Safe to use from any thread; ticks wait for each other.
    """
    def __new__(cls, /, *, procfs: "str" = "/proc", sysfs: "str" = "/sys", meters: "list[str] | None" = None, zones: "list[str] | None" = None, levels: "list[str] | None" = None, top: "int | None" = None, idle: "str" = "ratio", terminated_s: "float" = 120.0, terminated_max: "int" = 500, estimate_idle_w: "float | None" = None, estimate_max_w: "float | None" = None, fake_zones: "list[str] | None" = None, fake_seed: "int" = 0, compat: "list[str] | None" = None, node_name: "str | None" = None) -> Scanner:
        """
        Opens the host whose /proc and /sys are at `procfs` and `sysfs`.

        `meters` are tried in their order, `zones` keeps zones of these classes only, `levels`
        are computed (all by default), `top` bounds the rows of each level, `idle` is "ratio" or
        "learned", ended rows stay for `terminated_s` seconds and `terminated_max` of a level.
        The estimate's watts are per CPU. Fake zones are written "package:0=40W". With "kepler" in
        `compat` the page has its families too, labelled with `node_name` (the host's by default).

        Raises ValueError for a word that is none, UnsupportedError where no meter works,
        ScanError where `procfs` is no proc file system.
        """
    def __repr__(self, /) -> str: ...
    def notices(self, /) -> list[str]:
        """
        What is to be said once at the start: an estimate's warning, meters that were passed over.
        """
    @property
    def source(self, /) -> str:
        """
        The source of the numbers: "rapl", "hwmon", "battery", "estimate" or "fake".
        """
    def tick(self, /) -> Snapshot:
        """
        Scans once and books what happened since the last time; the interpreter runs on
        meanwhile. The first tick is the baseline and has no interval.

        Raises ScanError where /proc itself cannot be read; nothing has changed then.
        """

@final
class Snapshot:
    """
    The ledger after one tick; it does not change any more.
    """
    def __repr__(self, /) -> str: ...
    @property
    def busy_ratio(self, /) -> float | None:
        """
        The part of the CPUs' time that was busy, 0 to 1; None for the baseline.
        """
    def coarse(self, /, resolution_j: SupportsFloat | SupportsIndex) -> Snapshot:
        """
        The same for those who may not read finely: joules rounded down to steps of
        `resolution_j`, and watts to what such steps give; as it is where that is 0.
        """
    def count(self, /, level: str) -> int:
        """
        How many workloads a level has.

        Raises ValueError for a level that is not computed.
        """
    def exposition(self, /, openmetrics: bool) -> bytes:
        """
        The page as Prometheus text, or as OpenMetrics without its final "# EOF". Renders anew
        at each call, with the interpreter running on.
        """
    @property
    def interval_s(self, /) -> float | None:
        """
        The seconds since the tick before; None for the baseline.
        """
    @property
    def levels(self, /) -> list[str]:
        """
        The levels that are computed: "process", "unit", "container", "pod", "vm", "user".
        """
    @property
    def problems(self, /) -> list[str]:
        """
        What went wrong in this tick, a line each, the same words for the same trouble.
        """
    def residuals(self, /, level: str) -> list[Workload]:
        """
        What no workload of a level owns, by reason. With the workloads it is all active energy.

        Raises ValueError for a level that is not computed.
        """
    @property
    def scan(self, /) -> ScanStats:
        """
        What scanning has cost and met.
        """
    @property
    def sequence(self, /) -> int:
        """
        The number of ticks so far; 1 is the baseline.
        """
    @property
    def wall_s(self, /) -> float:
        """
        When the tick was, UTC seconds.
        """
    @property
    def watts(self, /) -> dict[str, float]:
        """
        Watts by zone class, summed over its zones; a class that was not measured is left out.
        """
    def workloads(self, /, level: str, sort: "str" = "watts", limit: "int | None" = None) -> list[Workload]:
        """
        The workloads of a level, sorted by "watts", "joules", "cpu" or "name"; the first `limit` of them.

        Raises ValueError for a level that is not computed, and a sort that is none.
        """
    def zones(self, /) -> list[Zone]:
        """
        Every zone that was ever seen.
        """

@final
class Workload:
    """
    One workload, or one residual (whose labels are "level" and "reason").
    """
    @property
    def cpu_s(self, /) -> float:
        """
        CPU seconds since `created_s`.
        """
    @property
    def created_s(self, /) -> float:
        """
        When its counters started at 0, UTC seconds.
        """
    @property
    def is_live(self, /) -> bool:
        """
        Whether it still lives.
        """
    @property
    def joules(self, /) -> dict[str, float]:
        """
        Active joules by zone class since `created_s`.
        """
    @property
    def labels(self, /) -> dict[str, str]:
        """
        What it is: the labels of its series, without "zone".
        """
    @property
    def watts(self, /) -> dict[str, float]:
        """
        Mean active power in watts by zone class; empty where the workload has ended, or a class was not measured.
        """

@final
class Zone:
    """
    One zone: a hardware energy counter. Joules count since `created_s` and never fall.
    """
    @property
    def active_joules(self, /) -> float:
        """
        The part that work caused.
        """
    @property
    def active_watts(self, /) -> float | None:
        """
        The part that work caused.
        """
    @property
    def created_s(self, /) -> float:
        """
        When its counters started at 0, UTC seconds.
        """
    @property
    def idle_joules(self, /) -> float:
        """
        The part that is spent in any case.
        """
    @property
    def idle_watts(self, /) -> float | None:
        """
        The part that is spent in any case.
        """
    @property
    def index(self, /) -> str:
        """
        The socket or die, or the sensor's place.
        """
    @property
    def joules(self, /) -> float:
        """
        All of its energy in joules.
        """
    @property
    def path(self, /) -> str:
        """
        The directory or file that it is read from.
        """
    @property
    def source(self, /) -> str:
        """
        "rapl", "hwmon", "battery", "estimate" or "fake".
        """
    @property
    def watts(self, /) -> float | None:
        """
        Its mean power in the interval; None where it is unknown.
        """
    @property
    def zone(self, /) -> str:
        """
        The class: "package", "dram", "core", "uncore", "psys", or the sensor's label.
        """

@final
class ZoneCount:
    """
    What one zone has counted since the meter was opened.
    """
    def __repr__(self, /) -> str: ...
    @property
    def at_ns(self, /) -> int:
        """
        When it was read, nanoseconds of CLOCK_MONOTONIC.
        """
    @property
    def gaps(self, /) -> int:
        """
        How many times its energy was not known for a while: what lies across one is not known.
        """
    @property
    def index(self, /) -> str:
        """
        The socket or die, or the sensor's place.
        """
    @property
    def is_edge(self, /) -> bool:
        """
        Whether it was read just as its counter moved.
        """
    @property
    def joules(self, /) -> float:
        """
        Joules since the meter was opened; they never fall.
        """
    @property
    def kind(self, /) -> str:
        """
        "counter", a "gauge" of power that is added up, or a "model".
        """
    @property
    def path(self, /) -> str:
        """
        The directory or file that it is read from.
        """
    @property
    def source(self, /) -> str:
        """
        "rapl", "hwmon", "battery", "estimate" or "fake".
        """
    @property
    def spread_ns(self, /) -> int:
        """
        How long that took, in nanoseconds.
        """
    @property
    def watts(self, /) -> float | None:
        """
        Mean power over the last tenth of a second or more; None where it is not known yet.
        """
    @property
    def zone(self, /) -> str:
        """
        The class: "package", "dram", "core", "uncore", "psys", or the sensor's label.
        """

def allot(loads: "list[object]", order: "list[int]", budget_w: "float", circuits: "list[tuple[int, float | None]]", places: "dict[str, int]", *, is_exact: "bool" = False) -> "tuple[list[object], list[float], list[tuple[int, float, float]], bool]":
    """
    The best points and powers for `loads` (a list of jouled.balance.fleet.words.Load) within `budget_w` and
    `circuits`, each as (the place of its parent or -1, its limit in watts or None). A load's circuit is found in
    `places`. `order` has the places of the loads: where two are alike, the one that is earlier in it is served first.

    Returns by load its Point, or None for one with a span, and its power in watts; the circuits which not even the
    least of their loads keeps, as (place or -1 for the site, least, limit); and whether it is the exact optimum.

    Raises ValueError where a number of a load cannot be: say which load and why.
    """

def read_limits(*, sysfs: "str" = "/sys") -> list[LimitZone]:
    """
    Reads the power limits of every zone below SYSFS/class/powercap, parents before children, MSR
    before MMIO; the interpreter runs on meanwhile. Empty where there are none. Nothing is raised:
    what cannot be read is None, with a line that says why.
    """

def thread_cpu_ns(native_id: "int | None" = None) -> int | None:
    """
    CPU time of the calling thread in nanoseconds, or of the thread of this process with that native
    id; None where it has ended.
    """

def tree_cpu_ns() -> int:
    """
    CPU time of this process and all that descend from it, the ended ones included, in nanoseconds.
    """

def write_limit(directory: "str", attribute: "str", value: "int") -> int:
    """
    Writes one attribute of a zone's directory and returns what it holds then, which may be another
    value: limits are rounded, and clamped ones keep what they held. Microwatts, microseconds, 0 or 1.

    Only constraint_N_power_limit_uw, constraint_N_time_window_us and enabled, in a directory
    SYS/class/powercap/intel-rapl:N, are ever written, in one write; no file is made.

    Raises LimitError with the file, the cause and the fix; its `reason` says what to do.
    """
