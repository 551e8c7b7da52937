"""Whether energy finds its owner: cgroups, namespaces, and what of processes can be seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from jouled.doctor.finding import Code, Finding, Severity
from jouled.doctor.subject import CAP_SYS_PTRACE, Subject

UNIFIED = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
CPUACCT = ("sys/fs/cgroup/cpuacct", "sys/fs/cgroup/cpu,cpuacct")
KERNEL_THREAD = 0x200000


def cgroups(subject: Subject) -> Iterator[Finding]:
    """Which hierarchies count CPU time."""
    tree = subject.tree
    unified = next((path for path in UNIFIED if tree.exists(f"{path}/cgroup.controllers")), None)
    cpuacct = next((path for path in CPUACCT if tree.exists(f"{path}/cpuacct.usage")), None)
    if unified == UNIFIED[0]:
        yield Finding(Code.CGROUPS, Severity.OK, "cgroups are version 2: cpu.stat counts each one's time")
    elif unified and cpuacct:
        yield Finding(
            Code.CGROUPS, Severity.OK, "cgroups are hybrid: cpuacct and the unified tree both count, each once"
        )
    elif cpuacct:
        yield Finding(Code.CGROUPS, Severity.OK, "cgroups are version 1: cpuacct counts each one's time")
    elif unified or re.search(r"^[1-9]\d*:[a-z]", tree.text("proc/self/cgroup") or "", re.MULTILINE):
        yield Finding(
            Code.CPUACCT_MISSING,
            Severity.WARNING if not unified else Severity.NOTE,
            f"{tree.shown('sys/fs/cgroup')} has no cpuacct hierarchy"
            + (", only the unified one counts" if unified else ""),
            "Processes that live shorter than an interval are charged to `exited` and not to their owner."
            if not unified
            else "Docker and others that use version 1 are told by their processes alone.",
            "boot with systemd.unified_cgroup_hierarchy=1 (version 2), or without cgroup_disable=cpuacct",
        )
    else:
        yield Finding(
            Code.NO_CGROUPS,
            Severity.WARNING,
            f"no cgroup hierarchy at {tree.shown('sys/fs/cgroup')}",
            "There are no units, containers and pods to charge; processes are measured.",
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup; in a container mount the host's: -v /sys/fs/cgroup:/sys/fs/cgroup:ro",
        )


def cgroup_namespace(subject: Subject) -> Iterator[Finding]:
    """Who sees the tree from below its top sees other owners under wrong names."""
    lines = (subject.tree.text("proc/self/cgroup") or "").splitlines()
    others = (subject.tree.text("proc/1/cgroup") or "").splitlines()
    has_outside = any(line.split(":", 2)[-1].startswith("/..") for line in lines + others)
    if has_outside or subject.is_first_namespace("cgroup") is False:
        yield Finding(
            Code.CGROUP_NAMESPACE,
            Severity.WARNING,
            "cgroups are seen from a private namespace",
            "Paths of other containers begin with /.. and their counters are not visible.",
            "docker run --cgroupns=host, podman run --cgroupns=host; Kubernetes: hostPath mounts of /sys and /proc with "
            "hostPID: true",
        )


def pid_namespace(subject: Subject) -> Iterator[Finding]:
    """Inside a container only its own processes are seen."""
    if subject.is_first_namespace("pid") is False:
        yield Finding(
            Code.PID_NAMESPACE,
            Severity.WARNING,
            "this is a container: processes are seen of its own pid namespace only",
            "The zones are the whole host's, the rows a part of it; the rest is unattributed.",
            "docker run --pid=host, podman run --pid=host, Kubernetes hostPID: true; or run jouled on the host itself",
        )


def hidepid(subject: Subject) -> Iterator[Finding]:
    """/proc that hides other users' processes."""
    mounts = subject.tree.text("proc/self/mountinfo") or ""
    found = re.search(r"^\S+ \S+ \S+ \S+ /proc .*[ ,]hidepid=(\w+)", mounts, re.MULTILINE)
    word = found[1] if found else "0"
    if word in {"0", "off"} or subject.is_capable(CAP_SYS_PTRACE):
        return
    yield Finding(
        Code.PROC_HIDEPID,
        Severity.WARNING,
        f"/proc is mounted with hidepid={word}: other users' processes are not seen",
        "Their energy is in their cgroups and in `unattributed`, not in rows of their own.",
        "give the daemon CAP_SYS_PTRACE (AmbientCapabilities=CAP_SYS_PTRACE), or mount /proc with gid=jouled",
    )


def executables(subject: Subject) -> Iterator[Finding]:
    """Programs whose path may not be read."""
    tree = subject.tree
    mine, hidden = 0, 0
    for pid in subject.comms:
        stat = (tree.text(f"proc/{pid}/stat") or "").rpartition(") ")[2].split()
        if len(stat) > 6 and not int(stat[6]) & KERNEL_THREAD and stat[0] not in "ZX":
            mine += 1
            hidden += tree.link_error(f"proc/{pid}/exe") in {"EACCES", "EPERM"}
    if hidden and not subject.is_capable(CAP_SYS_PTRACE):
        yield Finding(
            Code.EXE_UNREADABLE,
            Severity.NOTE,
            f"of {mine} programs {hidden} belong to others: the path of their executable may not be read",
            "Their rows have no exe label; a guest whose name is written over its own may not be known as one.",
            "give the daemon CAP_SYS_PTRACE (AmbientCapabilities=CAP_SYS_PTRACE), or run it as root",
        )


CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    cgroups,
    cgroup_namespace,
    pid_namespace,
    hidepid,
    executables,
)
