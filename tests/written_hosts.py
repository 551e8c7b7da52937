"""Written hosts (`tests/hosts`) as captures: two states and a manifest in a directory, for `--root`.

The format is that of tests/hosts/README.md, which the Rust tests read too; the hosts of the doctor
have a few lines more, see tests/hosts/doctor/README.md.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from jouled.capture import Manifest

HOSTS = Path(__file__).parent / "hosts"
COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
KERNEL_THREAD = 0x200000


@dataclass
class Process:
    comm: str
    start: int
    uid: int = 0
    ticks: int = 0
    flags: int = 0x400000
    cgroup: list[str] = field(default_factory=lambda: ["0::/"])
    cmdline: str = ""
    capabilities: str = ""


@dataclass
class Expected:
    """What the lines `finding CODE SEVERITY` and `daemon KEY=VALUE` of a doctor's host say."""

    findings: dict[str, str] = field(default_factory=dict)
    daemon: dict[str, str] = field(default_factory=dict)


class WrittenHost:
    """Applies lines to a tree of files."""

    def __init__(self, root: Path, layout: str) -> None:
        self.root = root
        self.expected = Expected()
        self.errors: dict[str, str] = {}
        self.modes: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self._processes: dict[int, Process] = {}
        self._v2 = "sys/fs/cgroup/unified" if layout == "hybrid" else "sys/fs/cgroup"
        self.put("proc/uptime", "1000.00 3999.00\n")
        self.cpu({"cpus": "4"})
        if layout != "v1":
            self.put(f"{self._v2}/cgroup.controllers", "cpu memory\n")
            self.put(f"{self._v2}/cpu.stat", "usage_usec 77\n")
        if layout != "v2":
            self.put("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "0\n")
            self.link("sys/fs/cgroup/cpuacct", "cpu,cpuacct")

    def put(self, name: str, text: str) -> None:
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, errors="surrogateescape")

    def link(self, name: str, target: str) -> None:
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(place):
            place.unlink()
        place.symlink_to(target)
        self.links[name] = target

    def apply(self, line: str) -> None:
        if " += " in line:
            name, _, text = line.partition(" += ")
            self.put(name, (self.root / name).read_text() + text + "\n")
        elif " = " in line:
            name, _, text = line.partition(" = ")
            self.put(name, f"{text}\n")
        elif " -> " in line:
            name, _, target = line.partition(" -> ")
            self.link(name, target)
        else:
            word, *rest = shlex.split(line)
            getattr(self, f"line_{word}")(*rest)

    def line_cpu(self, *words: str) -> None:
        self.cpu(pairs(words))

    def cpu(self, values: dict[str, str]) -> None:
        ticks = " ".join(values.get(column, "0") for column in COLUMNS)
        cpus = "".join(f"cpu{cpu} 0 0 0 0 0 0 0 0 0 0\n" for cpu in range(int(values["cpus"])))
        self.put("proc/stat", f"cpu  {ticks} 0 0\n{cpus}intr 7 0 0\nctxt 9\nbtime 1699999000\n")

    def line_kernel(self, pid: str, *words: str) -> None:
        self.line_process(pid, *words, is_kernel=True)

    def line_process(self, pid: str, *words: str, is_kernel: bool = False) -> None:
        number = int(pid)
        process = self._processes.setdefault(number, Process(comm=f"p{pid}", start=100 + number))
        if is_kernel:
            process.flags |= KERNEL_THREAD
        values = pairs(word for word in words if not word.startswith("cgroup="))
        if cgroups := [word.removeprefix("cgroup=") for word in words if word.startswith("cgroup=")]:
            process.cgroup = cgroups
        process.comm = values.get("comm", process.comm)
        process.uid = int(values.get("uid", process.uid))
        process.start = int(values.get("start", process.start))
        process.ticks = int(values.get("ticks", process.ticks))
        process.cmdline = values.get("cmdline", process.cmdline)
        if "eff" in values or "bnd" in values:
            process.capabilities = capabilities(values)
        if "exe" in values:
            self.link(f"proc/{pid}/exe", values["exe"])
        if "environ" in values:
            self.put(f"proc/{pid}/environ", nul_divided(values["environ"]))
        self._write(number, process)

    def line_exit(self, pid: str) -> None:
        del self._processes[int(pid)]
        shutil.rmtree(self.root / "proc" / pid)

    def line_cgroup(self, tree: str, path: str, spent: str) -> None:
        count = spent.partition("=")[2]
        if tree == "v2":
            self.put(f"{self._v2}{path}/cgroup.events", "populated 1\n")
            self.put(f"{self._v2}{path}/cpu.stat", f"usage_usec {count}\nuser_usec 0\n")
        else:
            self.put(f"sys/fs/cgroup/cpu,cpuacct{path.rstrip('/')}/cpuacct.usage", f"{count}\n")

    def line_zone(self, zone: str, *words: str) -> None:
        files = {"name": "name", "uj": "energy_uj", "range": "max_energy_range_uj"}
        for key, value in pairs(words).items():
            self.put(f"sys/class/powercap/{zone}/{files[key]}", f"{value}\n")

    def line_watts(self, *_: str) -> None:
        """What the Rust tests expect of meters."""

    def line_remove(self, name: str) -> None:
        place = self.root / name
        self.links.pop(name, None)
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()

    def line_denied(self, name: str, word: str = "EACCES") -> None:
        self.errors[name] = word

    def line_mode(self, name: str, *words: str) -> None:
        self.modes[name] = " ".join(words)

    def line_self(self, *words: str) -> None:
        values = pairs(words)
        uid = values.get("uid", "0")
        self.put(
            "proc/self/status",
            f"Name:\tjoulectl\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{uid}\t{uid}\t{uid}\t{uid}\n"
            f"Groups:\t{values.get('groups', uid)}\n{capabilities(values)}",
        )

    def line_finding(self, code: str, severity: str) -> None:
        self.expected.findings[code] = severity

    def line_daemon(self, *words: str) -> None:
        self.expected.daemon.update(pairs(words))

    def _write(self, pid: int, process: Process) -> None:
        system = process.ticks // 4
        self.put(
            f"proc/{pid}/stat",
            f"{pid} ({process.comm}) S 1 {pid} {pid} 0 -1 {process.flags} 0 0 0 0 {process.ticks - system} {system} "
            f"0 0 20 0 1 0 {process.start} 2512547840 5120 18446744073709551615 1 1 0 0 0 0 0 4096 81923 0 0 0 17 1 "
            "0 0 0 0 0 0 0 0 0 0 0 0 0\n",
        )
        self.put(f"proc/{pid}/comm", f"{process.comm}\n")
        self.put(f"proc/{pid}/cgroup", "".join(f"{line}\n" for line in process.cgroup))
        self.put(f"proc/{pid}/cmdline", nul_divided(process.cmdline))
        uid = process.uid
        self.put(
            f"proc/{pid}/status",
            f"Name:\t{process.comm}\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t{pid}\nPid:\t{pid}\n"
            f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t0\t0\t0\t0\n{process.capabilities}",
        )


def write(path: Path, directory: Path) -> WrittenHost:
    """Writes the host of this file into the empty directory, as `0/`, `1/` and `manifest.json`."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    layout, *lines = [line for line in lines if line and not line.startswith("#")]
    middle = lines.index("after 5 s")
    before, later = directory / "0", directory / "1"
    host = WrittenHost(before, layout.removeprefix("cgroups "))
    for line in lines[:middle]:
        host.apply(line)
    shutil.copytree(before, later, symlinks=True)
    host.root = later
    for line in lines[middle + 1 :]:
        host.apply(line)
    for name in host.errors:  # a capture cannot hold what could not be read
        for state in (before, later):
            (state / name).unlink(missing_ok=True)
    gone = files_in(before) - files_in(later)
    manifest = Manifest(
        interval_seconds=5.0, errors=host.errors, modes=host.modes, links=host.links, gone=tuple(sorted(gone))
    )
    (directory / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return host


def files_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and not path.is_symlink()}


def pairs(words: Iterable[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)


def nul_divided(text: str) -> str:
    return f"{text} ".replace(" ", "\0")


def capabilities(values: dict[str, str]) -> str:
    """The lines of status: all capabilities, unless `eff` or `bnd` say others."""
    every = "000001ffffffffff"
    none = "0" * 16
    effective = values.get("eff", every if values.get("uid", "0") == "0" else none)
    return (
        f"CapInh:\t{none}\nCapPrm:\t{effective}\nCapEff:\t{effective}\nCapBnd:\t{values.get('bnd', every)}\n"
        f"CapAmb:\t{none}\n"
    )
