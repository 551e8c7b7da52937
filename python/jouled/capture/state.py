"""One state of a host: the files that a scan and the doctor read, as bytes by name."""

from __future__ import annotations

import errno
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from jouled.capture import redact
from jouled.capture.tree import Tree

MOST_PROCESSES = 20_000
"""A capture is sent by mail: the largest hosts are cut, and the manifest says so."""
MOST_BYTES = 128 << 20

FIRST_FILES: tuple[tuple[str, redact.Redaction | None], ...] = (
    ("proc/uptime", None),
    ("proc/stat", redact.machine_stat),
)
FIXED_FILES: tuple[tuple[str, redact.Redaction | None], ...] = (
    ("proc/cpuinfo", redact.cpuinfo),
    ("proc/modules", redact.modules),
    ("proc/sys/kernel/osrelease", None),
    ("proc/self/status", redact.lines_with(redact.STATUS_KEYS, b":")),
    ("proc/self/cgroup", None),
    ("proc/self/limits", None),
    ("proc/self/mountinfo", redact.mountinfo),
    ("sys/devices/system/cpu/online", None),
    ("sys/class/dmi/id/sys_vendor", None),
    ("sys/class/dmi/id/product_name", None),
    ("sys/hypervisor/type", None),
    ("sys/bus/event_source/devices/power/type", None),
    ("etc/group", redact.group(b"jouled")),
)
NAMESPACES = ("proc/self/ns/pid", "proc/self/ns/cgroup", "proc/self/ns/user")
PROCESS_FILES: tuple[tuple[str, redact.Redaction | None], ...] = (
    ("stat", redact.process_stat),
    ("status", redact.lines_with(redact.STATUS_KEYS, b":")),
    ("cgroup", None),
    ("comm", None),
)
POWERCAP_FILES = re.compile(r"name|energy_uj|max_energy_range_uj|enabled|constraint_\d+_\w+")
HWMON_FILES = re.compile(r"name|(energy|power|curr|in)\d+_(input|average|label|enable)")
SUPPLY_FILES = re.compile(r"type|scope|status|online|present|(power|voltage|current|energy|charge)_now")
CGROUP_ROOT_FILES = ("cgroup.controllers", "cgroup.subtree_control", "cgroup.events", "release_agent", "cpu.stat")
V2_MOUNTS = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
V1_MOUNTS = ("sys/fs/cgroup/cpuacct", "sys/fs/cgroup/cpu,cpuacct")


@dataclass
class State:
    """What was read, and what could not be."""

    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)


def collect(tree: Tree, *, is_anonymous: bool = False) -> State:
    """Reads the host once. What moves is read first, in the order of a scan; what cannot be read is
    noted with its error and stops nothing.
    """
    collector = _Collector(tree, is_anonymous=is_anonymous)
    collector.fixed(FIRST_FILES)
    collector.sensors()
    collector.processes()
    collector.cgroups()
    collector.fixed(FIXED_FILES)
    collector.identity()
    return collector.state


class _Collector:
    def __init__(self, tree: Tree, *, is_anonymous: bool) -> None:
        self.state = State()
        self._tree = tree
        self._is_anonymous = is_anonymous
        self._bytes = 0
        self._uids: set[int] = set()
        self._cgroups: set[tuple[str, str]] = set()

    def fixed(self, files: tuple[tuple[str, redact.Redaction | None], ...]) -> None:
        for name, redaction in files:
            self._keep(name, redaction)

    def sensors(self) -> None:
        for name in self._tree.names("sys/class/powercap"):
            self._directory(f"sys/class/powercap/{name}", POWERCAP_FILES, with_modes=True)
        for name in self._tree.names("sys/class/hwmon"):
            self._directory(f"sys/class/hwmon/{name}", HWMON_FILES)
            self._link(f"sys/class/hwmon/{name}/device")
        for name in self._tree.names("sys/class/power_supply"):
            self._directory(f"sys/class/power_supply/{name}", SUPPLY_FILES)

    def processes(self) -> None:
        pids = self._tree.pids()
        for pid in pids[:MOST_PROCESSES]:
            self._process(f"proc/{pid}")
        self.state.left_out["processes"] += len(pids[MOST_PROCESSES:])

    def cgroups(self) -> None:
        """The counters of all cgroups that processes are in, and of those around them."""
        v2 = next((mount for mount in V2_MOUNTS if self._tree.exists(f"{mount}/cgroup.controllers")), None)
        v1 = next((mount for mount in V1_MOUNTS if self._tree.exists(f"{mount}/cpuacct.usage")), None)
        for mount in filter(None, (v2, v1)):
            for name in (*CGROUP_ROOT_FILES, *(("cpuacct.usage",) if mount == v1 else ())):
                self._keep(f"{mount}/{name}")
        paths = {(kind, above) for kind, path in self._cgroups for above in _with_ancestors(path)}
        for kind, path in sorted(paths):
            if kind == "v2" and v2:
                self._keep(f"{v2}{path}/cpu.stat")
                self._keep(f"{v2}{path}/cgroup.events")
            elif kind == "v1" and v1:
                self._keep(f"{v1}{path}/cpuacct.usage")

    def identity(self) -> None:
        for name in NAMESPACES:
            self._link(name)
        if not self._is_anonymous:
            self._keep("proc/sys/kernel/hostname")
            self._keep("etc/passwd", redact.passwd(self._uids))

    def _process(self, directory: str) -> None:
        for name, redaction in PROCESS_FILES:
            self._keep(f"{directory}/{name}", redaction)
        if f"{directory}/stat" not in self.state.files:
            self._forget(directory)
            return
        exe = self._link(f"{directory}/exe")
        comm = self.state.files.get(f"{directory}/comm", b"").rstrip(b"\n")
        self._keep(f"{directory}/cmdline", lambda text: redact.cmdline(text, comm, exe.encode() if exe else None))
        if comm == b"jouled":
            self._keep(f"{directory}/limits")
        self._remember(directory)

    def _forget(self, directory: str) -> None:
        """A process that ended while it was read was not there."""
        for kept in (self.state.files, self.state.errors):
            for name in [name for name in (f"{directory}/{file}" for file, _ in PROCESS_FILES) if name in kept]:
                del kept[name]

    def _remember(self, directory: str) -> None:
        uid = re.search(rb"^Uid:\s*(\d+)", self.state.files.get(f"{directory}/status", b""), re.MULTILINE)
        if uid:
            self._uids.add(int(uid[1]))
        for line in self.state.files.get(f"{directory}/cgroup", b"").splitlines():
            number, _, rest = line.partition(b":")
            controllers, _, path = rest.partition(b":")
            kind = "v2" if number == b"0" else "v1" if b"cpuacct" in controllers.split(b",") else ""
            text = path.decode(errors="surrogateescape").removesuffix(" (deleted)")
            if kind and "/../" not in f"{text}/":
                self._cgroups.add((kind, text))

    def _directory(self, directory: str, wanted: re.Pattern[str], *, with_modes: bool = False) -> None:
        names = self._tree.names(directory)
        if not names:
            # Runtimes mask what these links of a class lead to: then the link is what there is.
            self._link(directory)
        for name in names:
            if wanted.fullmatch(name):
                path = f"{directory}/{name}"
                self._keep(path)
                if with_modes and name == "energy_uj" and (mode := self._tree.mode(path)):
                    self.state.modes[path] = mode

    def _keep(self, name: str, redaction: redact.Redaction | None = None) -> None:
        if self._bytes > MOST_BYTES:
            self.state.left_out["files"] += 1
            return
        try:
            text = self._tree.read(name)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ESRCH, errno.ENOTDIR, errno.EISDIR}:
                self.state.errors[name] = errno.errorcode.get(error.errno or 0, "EIO")
            return
        self.state.files[name] = redaction(text) if redaction else text
        self._bytes += len(self.state.files[name])

    def _link(self, name: str) -> str | None:
        target = self._tree.link(name)
        if target is not None:
            hides_home = self._is_anonymous and name.endswith("/exe")
            self.state.links[name] = target.rsplit("/", 1)[-1] if hides_home else target
        elif (word := self._tree.link_error(name)) in {"EACCES", "EPERM"}:
            self.state.errors[name] = word
        return target


def _with_ancestors(path: str) -> Iterator[str]:
    """`/a/b`, `/a`; not the root, which counts other things."""
    while path.strip("/"):
        yield path
        path = path.rsplit("/", 1)[0]
