"""Which loads there are, by the settings. Each kind is imported where one of it is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jouled.balance.fleet.words import Span
from jouled.config import Config
from jouled.config.balance import BalancedLoad
from jouled.config.secrets import resolved
from jouled.errors import ConfigError
from jouled.loads.actuator import Actuator

if TYPE_CHECKING:
    from jouled.http import Http
    from jouled.loads.miners.device import Miner
    from jouled.loads.miners.keys import Keys
    from jouled.loads.miners.probe import Found

# Their ids are their MACs, which have to be asked for first: discovery does, at the address of the settings.
MINER_KINDS = frozenset({"vnish", "braiins", "pyasic"})
# Of a load that is only imagined, where nothing else is said.
PRETENDED_W = 1000.0
# Below the directory of the state: what must be known of miners after a restart.
KEYS = "miners.json"


def open_actuators(config: Config, *, host: Callable[[BalancedLoad], Actuator] | None = None) -> list[Actuator]:
    """The loads of `[[balance.load]]` but miners. `host` makes the one of this host, which needs its caps.

    Nothing is asked of them yet. Raises ConfigError where one is named that cannot be.
    """
    return [
        _opened(config, load, host)
        for load in config.balance.load
        if load.kind not in MINER_KINDS and not (load.kind == "host" and host is None)
    ]


def open_known(config: Config, loads: Sequence[tuple[str, str, str | None]]) -> list[Actuator]:
    """Those of the settings, and of `loads` (kind, id, address) the miners where they answered last: for what is given
    back without the daemon. Raises ConfigError.
    """
    found = open_actuators(config)
    kept = [(kind, mac, address) for kind, mac, address in loads if kind in MINER_KINDS and address is not None]
    if kept:
        making = Miners(config)
        found += [making.make(kind, mac, address) for kind, mac, address in kept]
    return found


class Miners:
    """Makes miners of what was found, and finds them. `password_of` is what one of them is unlocked with, where that
    is another than all others'. Raises ConfigError where the settings' password cannot be read.
    """

    def __init__(
        self,
        config: Config,
        *,
        keys: Keys | None = None,
        http: Http | None = None,
        password_of: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        from jouled.loads.miners.exchange import miners_http
        from jouled.loads.miners.keys import FileKeys

        self._settings = config.miners
        given = config.miners.password
        self._password = None if given is None else resolved(given, what="password of the miners")
        # Braiins OS tells its MAC only to who has its password, so this one cannot be told for each device.
        other = config.miners.braiins_password
        self._braiins = self._password if other is None else resolved(other, what="password of the miners")
        self._keys = keys or FileKeys(Path(config.state_dir) / KEYS)
        self._http = http or miners_http()
        self._password_of = password_of
        # At these addresses the slow library is asked, and nowhere else.
        self._by_pyasic = {load.address for load in config.balance.load if load.kind == "pyasic"}
        self._bounds_w = {
            load.address: (load.min_w, load.max_w) for load in config.balance.load if load.kind in MINER_KINDS
        }

    def __repr__(self) -> str:
        return f"<Miners {self._http!r}>"

    async def probe(self, address: str) -> Found | None:
        """What answers there. Raises nothing."""
        if address in self._by_pyasic:
            from jouled.loads.miners.asic import found_at

            return await found_at(address)
        from jouled.loads.miners.probe import probe

        return await probe(address, self._http, password=self._braiins)

    def make(self, family: str, mac: str, address: str) -> Actuator:
        """Nothing is asked of it yet. Raises ConfigError for a family that is none."""
        miner = self._made(family, mac, address)
        dead_s = self._settings.dead_s
        measured = {
            "dead_s": dead_s,
            "pause_s": dead_s,
            "settle_s": self._settings.settle_s,
            "restart_s": self._settings.restart_s,
        }
        known = {name: value for name, value in measured.items() if value is not None}
        miner.timing = miner.timing._replace(**known)
        return miner

    def _made(self, family: str, mac: str, address: str) -> Miner:
        password = self._password_of(mac) or (self._braiins if family == "braiins" else self._password)
        if family == "vnish":
            from jouled.loads.miners.vnish import VnishMiner

            return VnishMiner(
                address, self._http, mac=mac, password=password, keys=self._keys, may_tune=self._settings.may_tune
            )
        if family == "braiins":
            from jouled.loads.miners.braiins import BraiinsMiner

            return BraiinsMiner(address, self._http, mac=mac, password=password, keys=self._keys)
        if family == "pyasic":
            from jouled.loads.miners.asic import AsicMiner

            least_w, most_w = self._bounds_w.get(address, (None, None))
            return AsicMiner(address, mac=mac, keys=self._keys, least_w=least_w, most_w=most_w)
        raise ConfigError(f"miner {mac}: {family!r} is no family of miners known here; update jouled")

    async def aclose(self) -> None:
        await self._http.__aexit__(None, None, None)


def _opened(config: Config, load: BalancedLoad, host: Callable[[BalancedLoad], Actuator] | None) -> Actuator:
    if load.kind == "host":
        assert host is not None  # noqa: S101  (see above: without one the host is left out)
        return host(load)
    if load.kind == "node":
        return _node(config, load)
    if load.kind == "dry-run":
        from jouled.loads.dry_run import PretendLoad

        most_w = PRETENDED_W if load.max_w is None else load.max_w
        return PretendLoad(load.name, Span(min(load.min_w or 0.0, most_w), most_w))
    from jouled.loads.said import Bounds

    bounds = Bounds(load.min_w, load.max_w, load.dead_s, load.settle_s)
    if load.kind == "command":
        from jouled.loads.program import ProgramLoad

        return ProgramLoad(load.name, load.command, limit_s=load.timeout_s, bounds=bounds)
    if load.kind == "http":
        from jouled.loads.http_load import HttpLoad

        return HttpLoad(
            load.name, load.address or "", token=_token(load), ca=load.ca, timeout_s=load.timeout_s, bounds=bounds
        )
    raise ConfigError(f"balance.load {load.name}: {load.kind!r} is no kind of load known here; update jouled")


def _node(config: Config, load: BalancedLoad) -> Actuator:
    from jouled.loads.node import TIMING, NodeLoad, owner_of

    timing = TIMING._replace(
        dead_s=TIMING.dead_s if load.dead_s is None else load.dead_s,
        settle_s=TIMING.settle_s if load.settle_s is None else load.settle_s,
    )
    return NodeLoad(
        load.name,
        load.address or "",
        owner=owner_of(config.node.site),
        token=_token(load),
        ca=load.ca,
        timeout_s=load.timeout_s,
        timing=timing,
        bounds_w=(load.min_w, load.max_w),
    )


def _token(load: BalancedLoad) -> Callable[[], str | None]:
    """Read each time: it may be another one by then."""
    given = load.token
    if given is None:
        return lambda: None
    return lambda: resolved(given, what=f"token of the load {load.name}")
