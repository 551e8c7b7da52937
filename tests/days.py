"""A site that lives through a day: the real daemon before a plant, a farm of miners and a node, all of them faster."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from capped_hosts import Host
from daemons import Daemon, Watched, eventually
from miners.farm import Device, Farm
from miners.vnish_fake import VnishFake
from plant.aggregator import FakeAggregator, Hydro
from witnesses import Change, Witness

KEY = "a-key-of-the-plant"
MODELS = {"Antminer S19": "3750", "Antminer S19J Pro": "3500"}


class While(NamedTuple):
    """A lie of the feed, or the MAC of a miner that its user has paused; by the wall's clock."""

    name: str
    from_s: float
    to_s: float


class Sizes(NamedTuple):
    """Of the site; and times of the wall, which the fakes and the daemon need however fast the day goes."""

    vnish: int = 24
    braiins: int = 6
    rated_w: float = 140_000.0
    fallback_w: float = 30_000.0
    # Of the site's seconds.
    dwell_s: float = 900.0
    # Between two questions to one load.
    poll_s: float = 0.5
    # The least age at which a reading of the plant is held, and what a load says is old.
    held_s: float = 1.0
    seen_s: float = 2.0
    # The least time that an order and the looks after it are given.
    told_s: float = 1.5


class Day:
    """Its seconds are those of the site, which pass `scale` times as fast as the wall's. `drop_w` is what the plant
    has lost by a trip.
    """

    def __init__(self, folder: Path, *, scale: float = 150.0, sizes: Sizes | None = None, net: int = 21) -> None:
        self.folder = folder
        self.scale = scale
        self.sizes = sizes or Sizes()
        self.drop_w = 0.0
        # Instead of the river's day.
        self.steady_w: float | None = None
        self.told: list[While] = []
        self.paused: list[While] = []
        # From its death until the next one was ready, by the wall's clock.
        self.gaps: list[tuple[float, float]] = []
        self.farm = Farm(
            self.sizes.vnish + self.sizes.braiins, scale=scale, seed=7, braiins=self.sizes.braiins, net=net
        )
        for device in self.farm.devices:
            # The firmware's own, of each family.
            device.password = "admin" if isinstance(device, VnishFake) else ""
        self._hydro = Hydro(self.sizes.rated_w)
        self.plant = FakeAggregator(lambda _: self._supply_w(), key=KEY)
        self.host = Host(folder / "node")
        self.node = Daemon(self._node_settings())
        self.controller: Daemon
        self.witness = Witness(self.farm, self.plant, lambda: self.controller.is_up)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.farm)
            stack.enter_context(self.plant)
            self.controller = Daemon(self._settings())
            stack.callback(self.node.close)
            stack.callback(self.controller.close)
            self.node.start()
            self.controller.start()
            watched = Watched(self.controller)
            watched.start()
            stack.callback(watched.end)
            stack.enter_context(self.witness)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    # ---- what is true ----

    @property
    def now_s(self) -> float:
        return self.farm.clock()

    @property
    def supply_w(self) -> float:
        return self.plant.true_w

    @property
    def load_w(self) -> float:
        return self.farm.power_w()

    @property
    def changes(self) -> list[Change]:
        return self.witness.changes

    @property
    def books(self) -> Path:
        return self.folder / "state" / "jouled.sqlite"

    def vnish(self, place: int) -> VnishFake:
        found = [device for device in self.farm.devices if isinstance(device, VnishFake)]
        return found[place]

    @property
    def stale_s(self) -> float:
        """Of the wall: so old may be what the daemon goes by."""
        return max(45.0 / self.scale, self.sizes.held_s / 2)

    def wait_until(self, at_s: float) -> None:
        """Of the site's seconds."""
        while (left_s := (at_s - self.now_s) / self.scale) > 0:
            time.sleep(min(left_s, 0.2))

    def eventually_below(self) -> None:
        eventually(lambda: self.load_w <= self.supply_w, "the load is below the supply")

    # ---- what happens to it ----

    @contextmanager
    def lying(self, name: str, *, is_heard: bool = False) -> Iterator[None]:
        """The lie counts once it was told, or from when the daemon has `is_heard` it and does not believe it."""
        from_s = time.time()
        self.plant.lie = name
        try:
            if is_heard:
                latest = "/api/v1/plant/latest"
                eventually(lambda: self.controller.get(latest)["problem"], "the daemon has heard the lie")
                from_s = time.time()
            yield
        finally:
            self.plant.lie = None
            self.told.append(While(name, from_s, time.time()))

    @contextmanager
    def locked_books(self) -> Iterator[None]:
        """As by a backup that takes its time."""
        with closing(sqlite3.connect(self.books, isolation_level=None, timeout=60)) as books:
            books.execute("BEGIN IMMEDIATE")
            yield
            books.execute("ROLLBACK")

    def kill_mid_shed(self, drop_w: float) -> None:
        """A trip, and the daemon dies with the first of what it does about it."""
        known = len(self.changes)
        self.drop_w += drop_w
        eventually(
            lambda: any(not change.is_raise for change in self.changes[known:]),
            "the trip is answered by a shed",
        )
        self.controller.kill()
        self.gaps.append((time.time(), float("inf")))

    def start_again(self) -> None:
        self.controller.start()
        self.gaps[-1] = (self.gaps[-1][0], time.time())

    def stop(self) -> float:
        took_s = self.controller.stop()
        self.gaps.append((time.time(), float("inf")))
        return took_s

    @contextmanager
    def paused_by_user(self, device: Device) -> Iterator[None]:
        """On its own page."""
        with self.farm.lock:
            device.stop()
        from_s = time.time()
        try:
            yield
        finally:
            with self.farm.lock:
                self.paused.append(While(device.mac, from_s, time.time()))
                device.start()

    def _supply_w(self) -> float:
        given_w = self._hydro(self.now_s) if self.steady_w is None else self.steady_w
        return max(0.0, given_w - self.drop_w)

    # ---- settings ----

    def _settings(self) -> Path:
        (self.folder / "key").write_text(f"{KEY}\n")
        path = self.folder / "controller.toml"
        path.write_text(self._text())
        return path

    def _text(self) -> str:
        def scaled(seconds: float, least_s: float = 0.1) -> str:
            return f'"{max(seconds / self.scale, least_s):.3f}s"'

        faster = self.scale
        models = "".join(f'[[miners.model]]\nname = "{name}"\nmax_preset = "{most}"\n' for name, most in MODELS.items())
        return f"""
listen = ["127.0.0.1:0"]
state_dir = "{self.folder / "state"}"
interval = "1s"
meters = ["fake"]
[store]
url = "sqlite"
[plant]
kind = "aggregator"
url = "{self.plant.url}"
id = "{self.plant.plant}"
key = "file:{self.folder / "key"}"
unit = "{self.plant.unit}"
rated = {self.sizes.rated_w}
ramp = {min(0.5 * faster, 100.0)}
poll = {scaled(15)}
stale = "{self.stale_s:.3f}s"
hold = {scaled(120, self.sizes.held_s)}
fail = {scaled(600, 3 * self.sizes.held_s)}
step_down = {min(0.05 * faster, 1.0)}
[balance]
enabled = true
cycle = {scaled(15)}
poll = "{self.sizes.poll_s}s"
stale = {scaled(60, self.sizes.seen_s)}
raise_after = {scaled(300)}
smooth = {scaled(600, 1.0)}
dwell = {scaled(self.sizes.dwell_s)}
changes_per_hour = {round(60 * faster)}
load_changes_per_hour = {min(round(4 * faster), 3600)}
fallback = {self.sizes.fallback_w}
[[balance.load]]
name = "rack-1"
kind = "node"
address = "unix:{self.folder / "node" / "socket"}"
priority = 9
min = 60
[miners]
subnets = ["127.{self.farm.net}.0.0/26"]
port = {self.farm.port}
discover = {scaled(300, 10.0)}
dead = {scaled(10, self.sizes.told_s)}
settle = {scaled(150)}
restart = {scaled(60)}
{models}"""

    def _node_settings(self) -> Path:
        folder = self.folder / "node"
        path = folder / "node.toml"
        path.write_text(
            f'listen = ["127.0.0.1:0", "unix:{folder}/socket"]\ninterval = "1s"\nmeters = ["fake"]\n'
            f'sysfs = "{self.host.tree.sysfs}"\nstate_dir = "{self.host.tree.caps.parent}"\n'
            '[caps]\nenabled = true\non_lapse = "safe"\nsafe = 60\n'
        )
        return path
