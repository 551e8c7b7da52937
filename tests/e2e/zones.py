"""Zones for a box that has none: a written sysfs whose counters a unit of the box keeps moving."""

from __future__ import annotations

from e2e.box import Box, until

SYSFS = "/run/written-sysfs"
POWER_W = {"intel-rapl:0": 40.0, "intel-rapl:0:0": 10.0}
NAMES = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "dram"}
SETTINGS = f"""
sysfs = "{SYSFS}"
meters = ["rapl"]
interval = "200ms"
"""
# Written in place, as a sysfs attribute keeps its inode; with as many digits each time.
FEEDER = f"""
import os, time
START_UJ = 10**12
files = {{os.open("{SYSFS}/class/powercap/%s/energy_uj" % zone, os.O_WRONLY): watts for zone, watts in {POWER_W!r}.items()}}
start_s = time.monotonic()
while True:
    for file, watts in files.items():
        moved_uj = int((time.monotonic() - start_s) * watts * 1e6)
        os.pwrite(file, b"%d\\n" % (START_UJ + moved_uj), 0)
    time.sleep(0.005)
"""


class Zones:
    """The written tree, with the rights that 60-jouled.rules gives the real one."""

    settings = SETTINGS

    def __init__(self, box: Box) -> None:
        self._box = box
        box.run("mkdir", "-p", f"{SYSFS}/class/powercap")
        box.run("ln", "-sfn", "/sys/fs", f"{SYSFS}/fs")
        for zone, name in NAMES.items():
            folder = f"{SYSFS}/class/powercap/{zone}"
            box.write(f"{folder}/name", f"{name}\n")
            box.write(f"{folder}/max_energy_range_uj", f"{2**50}\n")
            box.write(f"{folder}/energy_uj", f"{10**12}\n")
            box.run("chgrp", "jouled", f"{folder}/energy_uj")
            box.run("chmod", "0440", f"{folder}/energy_uj")
        box.write("/run/feeder.py", FEEDER)
        box.write("/run/systemd/system/feeder.service", "[Service]\nExecStart=/usr/bin/python3 /run/feeder.py\n")
        box.ctl("daemon-reload")
        box.ctl("start", "feeder.service")
        until(lambda: int(box.path(f"{SYSFS}/class/powercap/intel-rapl:0/energy_uj").read_text()) > 10**12)

    def close(self) -> None:
        self._box.ctl("stop", "feeder.service")
