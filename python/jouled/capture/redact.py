"""What of a file goes into a capture: what a scan needs, and nothing that is somebody's own.

Command lines lose their arguments but those that name a virtual machine; addresses, serial numbers,
mounts of other file systems, home directories and shells stay where they are. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

CPU_KEYS = frozenset(
    {b"processor", b"vendor_id", b"cpu family", b"model", b"model name", b"stepping", b"microcode"}
    | {b"physical id", b"core id", b"siblings", b"cpu cores", b"CPU implementer", b"CPU part"}
)
STATUS_KEYS = frozenset(
    {b"Name", b"State", b"Tgid", b"Pid", b"PPid", b"Uid", b"Gid", b"Groups", b"NSpid", b"Threads"}
    | {b"CapInh", b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb", b"NoNewPrivs"}
)
MODULES = frozenset(
    {b"intel_rapl_common", b"intel_rapl_msr", b"intel_rapl_tpmi", b"processor_thermal_rapl", b"msr", b"rapl"}
    | {b"amd_energy", b"kvm", b"kvm_intel", b"kvm_amd", b"power_meter", b"acpi_power_meter", b"k10temp"}
)
# The options by which rust/core/src/vm.rs tells a guest's id and name.
GUEST_OPTIONS = frozenset(
    {b"name", b"uuid", b"smbios", b"xen-domid", b"startvm", b"comment", b"platform", b"api-socket"}
    | {b"id", b"cid", b"vsock"}
)
GUEST_PROPERTIES = frozenset({b"guest", b"uuid", b"type", b"path", b"cid"})
HYPERVISORS = re.compile(
    rb"\.?(qemu-system-[\w-]*|qemu-kvm|kvm|VBoxHeadless|VirtualBoxVM|VBoxSDL|vmware-vmx|cloud-hypervisor"
    rb"|cloud-hyperviso|firecracker|crosvm)(-wrapped)?"
)
# Fields of stat, counted behind the name: addresses of the process's memory (proc(5): 26 to 30, 35, 45 to 51).
STAT_ADDRESSES = (23, 24, 25, 26, 27, 32, *range(42, 49))

Redaction = Callable[[bytes], bytes]


def lines_with(keys: Collection[bytes], separator: bytes) -> Redaction:
    """Keeps the lines `KEY separator …` with these keys, and the empty ones that divide blocks."""

    def redact(text: bytes) -> bytes:
        kept = (line for line in text.splitlines() if not line or line.split(separator)[0].strip() in keys)
        return b"".join(line + b"\n" for line in kept)

    return redact


def cpuinfo(text: bytes) -> bytes:
    """The processors; of their flags only whether there are enclaves and a hypervisor, once."""
    kept = lines_with(CPU_KEYS, b":")(text)
    flags = re.search(rb"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    words = flags[1].split() if flags else []
    telling = [word for word in (b"sgx", b"hypervisor", b"aperfmperf") if word in words]
    line = b"flags\t\t: " + b" ".join(telling) + b"\n" if flags else b""
    first, divider, rest = kept.partition(b"\n\n")
    return first.rstrip(b"\n") + b"\n" + line + (b"\n" + rest if divider else b"")


def machine_stat(text: bytes) -> bytes:
    """The lines of the CPUs; the line of interrupts is longer than all the rest."""
    kept = (line for line in text.splitlines() if line.startswith((b"cpu", b"btime")))
    return b"".join(line + b"\n" for line in kept)


def process_stat(text: bytes) -> bytes:
    """All but addresses, which would tell an attacker where a living process keeps what."""
    head, bracket, rest = text.rpartition(b") ")
    fields = rest.split()
    for at in STAT_ADDRESSES:
        if at < len(fields):
            fields[at] = b"0"
    return head + bracket + b" ".join(fields) + b"\n"


def modules(text: bytes) -> bytes:
    """The names of the modules that have to do with energy."""
    names = (line.split(b" ")[0] for line in text.splitlines())
    return b"".join(name + b"\n" for name in names if name in MODULES)


def mountinfo(text: bytes) -> bytes:
    """The mounts at /proc and /sys. Options of others hold names of servers and users."""
    kept = []
    for line in text.splitlines():
        fields = line.split(b" ")
        point = fields[4] if len(fields) > 4 else b""
        if re.fullmatch(rb"/(proc|sys)(/.*)?", point):
            kept.append(line)
    return b"".join(line + b"\n" for line in kept)


def passwd(uids: Collection[int]) -> Redaction:
    """The names of these users, and nothing else about them."""

    def redact(text: bytes) -> bytes:
        kept = []
        for line in text.splitlines():
            fields = line.split(b":")
            if len(fields) >= 3 and fields[2].isdigit() and int(fields[2]) in uids:
                kept.append(b"%s:x:%s:::/:\n" % (fields[0], fields[2]))
        return b"".join(kept)

    return redact


def group(name: bytes) -> Redaction:
    """This group's line."""

    def redact(text: bytes) -> bytes:
        kept = (line for line in text.splitlines() if line.split(b":")[0] == name)
        return b"".join(line + b"\n" for line in kept)

    return redact


def cmdline(text: bytes, comm: bytes, exe: bytes | None) -> bytes:
    """The program's name; of a hypervisor also the options that name its guest."""
    arguments = text.split(b"\0")
    # A title that is written over the arguments is all of argument 0, and may hold anything.
    program = arguments[0].split(b" ")[0]
    kept = [program] if program else []
    if is_hypervisor(program) or is_hypervisor(exe or b"") or is_hypervisor(comm):
        kept += guest_arguments(arguments[1:])
    return b"".join(argument + b"\0" for argument in kept)


def is_hypervisor(path: bytes) -> bool:
    return HYPERVISORS.fullmatch(path.removesuffix(b" (deleted)").rsplit(b"/", 1)[-1]) is not None


def guest_arguments(arguments: Iterable[bytes]) -> list[bytes]:
    """The options that name a guest, with those properties of their values that do."""
    kept: list[bytes] = []
    wants_value = False
    for argument in arguments:
        if wants_value and not argument.startswith(b"-"):
            kept.append(_properties(argument))
            wants_value = False
            continue
        name, equals, value = argument.lstrip(b"-").partition(b"=")
        is_wanted = argument.startswith(b"-") and name in GUEST_OPTIONS
        if is_wanted:
            dashes = argument[: len(argument) - len(argument.lstrip(b"-"))]
            kept.append(dashes + name + (b"=" + _properties(value) if equals else b""))
        elif argument.endswith(b".vmx") or argument == b"run":
            kept.append(argument)
        wants_value = is_wanted and not equals
    return kept


def _properties(value: bytes) -> bytes:
    first, *rest = value.split(b",")
    kept = [entry for entry in rest if entry.partition(b"=")[0] in GUEST_PROPERTIES]
    if b"=" not in first or first.partition(b"=")[0] in GUEST_PROPERTIES:
        kept.insert(0, first)
    return b",".join(kept)
