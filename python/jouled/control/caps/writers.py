"""Who else may write power limits: known programs that run here. The kernel does not tell who wrote."""

from __future__ import annotations

from pathlib import Path

from jouled.errors import one_line

# What the kernel keeps of a program's name, and a newline.
COMM_BYTES = 16
NOBODY = "another program"


def suspects(procfs: str) -> str:
    """For people: "thermald (process 812)"; where none that is known runs, "another program"."""
    from jouled.doctor.limits import WRITERS

    found = []
    try:
        pids = [path.name for path in Path(procfs).iterdir() if path.name.isascii() and path.name.isdigit()]
    except OSError:
        return NOBODY
    for pid in sorted(pids, key=int):
        try:
            with Path(procfs, pid, "comm").open("rb", buffering=0) as file:
                comm = file.read(COMM_BYTES).decode(errors="replace").rstrip("\n")
        except OSError:
            continue  # it has ended
        if comm in WRITERS:
            found.append(f"{one_line(comm)} (process {pid})")
    return " or ".join(found[:3]) or NOBODY
