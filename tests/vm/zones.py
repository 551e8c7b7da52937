"""The module of zones without hardware: loaded, turned, unloaded."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODULE = Path(__file__).parent / "fake_rapl.ko"
CLASS = Path("/sys/class/powercap")
# In the order of the module's arrays; as they are named on the page.
ZONES = (("package", "0"), ("core", "0"), ("dram", "0"), ("package", "1"), ("psys", "0"))
MMIO = len(ZONES)
POWER_W = (42.0, 30.0, 6.0, 38.0, 95.0)


class Zones:
    """The loaded module's parameters."""

    _parameters = Path("/sys/module/fake_rapl/parameters")

    def set(self, name: str, *values: int) -> None:
        (self._parameters / name).write_text(",".join(str(value) for value in values))

    def get(self, name: str) -> list[int]:
        return [int(value) for value in (self._parameters / name).read_text().split(",")]

    def freeze(self) -> None:
        """The counters stand still from here on; what they counted until now is in `total_uj`."""
        self.set("frozen", 1)

    def thaw(self) -> None:
        self.set("frozen", 0)

    def counted_j(self) -> list[float]:
        """What each zone has counted since it was loaded, wraps included."""
        return [microjoules / 1e6 for microjoules in self.get("total_uj")[: len(ZONES)]]

    def fail(self, zone: int, errno: int) -> None:
        """Reading this zone's counter answers `errno`; 0 mends it."""
        self.set("read_errno", *(errno if place == zone else 0 for place in range(len(ZONES))))

    def show(self, *zones: int) -> None:
        """These zones and no others, by their place in ZONES; MMIO is package-0 a second time. A zone gets the first free number."""
        self.set("present", sum(1 << zone for zone in zones))

    def lock(self) -> None:
        """As firmware locks limits."""
        self.set("locked", 1)

    def load(self, **parameters: int) -> None:
        words = [f"{name}={value}" for name, value in parameters.items()]
        subprocess.run(["insmod", MODULE, *words], check=True, timeout=30)

    def unload(self) -> None:
        subprocess.run(["rmmod", "fake_rapl"], check=True, timeout=30)

    def is_loaded(self) -> bool:
        return self._parameters.exists()


@contextmanager
def zones(**parameters: int) -> Iterator[Zones]:
    loaded = Zones()
    loaded.load(**parameters)
    try:
        yield loaded
    finally:
        if loaded.is_loaded():
            loaded.unload()
