"""Where the kernel has its limits: nothing else is ever written, whatever a journal names."""

from __future__ import annotations

import os

from jouled.errors import one_line

# Below sysfs. The first is a directory of links into the second.
POWERCAP = ("class/powercap", "devices/virtual/powercap")
CGROUP = ("fs/cgroup",)


def real_path(path: str, sysfs: str) -> str:
    """The file of a limit itself, no link on the way to it, so that whoever opens it opens that one.

    Root may be the one to restore from a journal that the daemon's user can write. A name like
    `enabled` is found elsewhere too, and a directory of that user can lead anywhere. Raises ValueError
    where the path, as it is written or where it leads, is not among the limits below `sysfs`.
    """
    directory, _, name = path.rpartition("/")
    roots = [f"{os.path.normpath(sysfs)}/{root}" for root in (CGROUP if name.startswith("cpu.") else POWERCAP)]
    real = os.path.realpath(directory)
    is_named_so = any(os.path.normpath(directory).startswith(f"{root}/") for root in roots)
    if not is_named_so or not any(real.startswith(f"{os.path.realpath(root)}/") for root in roots):
        raise ValueError(f"{one_line(path)}: it is no limit below {sysfs}; run this with the sysfs that the daemon has")
    return f"{real}/{name}"
