"""Any miner that the library pyasic knows: Whatsminer, LuxOS, Avalon, Auradine and more. An extra: jouled[miners].

pyasic is made for asyncio, so each call is a thread of its own with a loop of its own, bounded in time.
"""

from __future__ import annotations

import asyncio
import importlib
import math
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import trio

from jouled.balance.fleet.words import OFF
from jouled.balance.site.words import Observation, State, Timing
from jouled.errors import one_line
from jouled.loads.actuator import Description, Original, Preset
from jouled.loads.miners.device import Miner
from jouled.loads.miners.exchange import AwayError, ConflictError
from jouled.loads.miners.keys import Keys
from jouled.loads.miners.pausing import STILL, seen
from jouled.loads.miners.presets import PRESETS_MAX, TYPICAL_J_PER_TH, WATTS_LEAST, WATTS_MAX, watts_in
from jouled.loads.miners.probe import Found
from jouled.loads.miners.words import mac_of, number
from jouled.loads.protocol import LoadError

# It opens several connections, some with retries of its own.
CALL_S = 25.0
# Threads: one that hangs must not keep the others waiting.
_THREADS = trio.CapacityLimiter(64)
STEPS = 8
# What one draws at most that does not mine: its fans and its control board.
STILL_W_MAX = 300.0

T = TypeVar("T")


class Read(NamedTuple):
    """What it does now."""

    state: State
    note: str | None
    limit_w: float | None
    power_w: float | None
    work: float | None


class AsicMiner(Miner):
    """Where it has no presets, power limits in steps from `least_w` to `most_w`, which pyasic cannot ask for.

    `pyasic` stands for the library in tests.
    """

    kind = "pyasic"
    timing = Timing(dead_s=20.0, settle_s=300.0, pause_s=30.0, restart_s=60.0)

    def __init__(
        self,
        address: str,
        *,
        mac: str,
        keys: Keys,
        least_w: float | None = None,
        most_w: float | None = None,
        pyasic: Any = None,
        call_s: float = CALL_S,
    ) -> None:
        super().__init__(address, mac=mac, keys=keys, call_s=2 * call_s)
        self._pyasic = pyasic
        self._limit_s = call_s
        self._bounds_w = (least_w, most_w)
        self._presets: tuple[Preset, ...] = ()

    def _moved(self) -> None:
        pass

    async def _mac_there(self) -> str | None:
        return await self._with(_mac_of)

    async def _describe(self) -> Description:
        async def read(miner: Any) -> tuple[Any, str, bool, tuple[Preset, ...]]:
            data = await miner.get_data(include=["fw_ver", "hostname"])
            return data, str(miner.model), bool(miner.supports_shutdown), await self._listed(miner)

        data, model, can_be_off, self._presets = await self._with(read)
        notes = () if self._presets else ("it has no presets: set the least and the most watts of its model",)
        return Description(
            self.id,
            self.kind,
            one_line(str(data.hostname or self.id)),
            self.timing,
            model=one_line(model),
            firmware=None if data.fw_ver is None else one_line(str(data.fw_ver)),
            address=self.address,
            presets=self._presets,
            can_be_off=can_be_off,
            rated_w=max((preset.power_w for preset in self._presets), default=self._bounds_w[1]),
            notes=notes,
        )

    async def _measure(self) -> Observation:
        read = await self._with(_read)
        found = seen(read.state, self._point_at(read.limit_w), read.note, is_ours=self._is_ours())
        return Observation(
            trio.current_time(),
            found.state,
            point=found.point,
            power_w=read.power_w,
            work=read.work,
            note=found.note,
        )

    async def _original(self) -> Original:
        read = await self._with(_read)
        return {"limit_w": read.limit_w, "is_running": read.state not in STILL}

    async def _switch_off(self, *, is_urgent: bool) -> None:  # noqa: ARG002  (it has one way only)
        async def stop(miner: Any) -> bool:
            if not miner.supports_shutdown:
                raise LoadError(f"{self.address}: {miner.model} cannot be switched off: leave OFF out of its points")
            return bool(await miner.stop_mining())

        if not await self._with(stop):
            raise ConflictError(f"{self.address}: it was told to stop and said no; look at its page")

    async def _set(self, name: str) -> None:
        watts = next((preset.power_w for preset in self._presets if preset.name == name), watts_in(name))
        if watts is None:
            raise LoadError(f"{self.address}: it has no preset {name} and that is no number of watts")
        await self._limit(watts)

    async def _limit(self, watts: float) -> None:
        """Absolute. Whether it took it is what it says afterwards, since some say no to what they do."""

        async def limit(miner: Any) -> tuple[bool, bool]:
            said = bool(await miner.set_power_limit(math.floor(watts)))
            is_mining = await miner.is_mining()
            return said, is_mining is not False or bool(await miner.resume_mining())

        said, is_running = await self._with(limit)
        if not said:
            raise ConflictError(
                f"{self.address}: it was told to draw {watts:g} W at most and said no; look at its page"
            )
        if not is_running:
            raise ConflictError(f"{self.address}: it was told to start and said no; start it on its page")

    async def _is_at(self, name: str) -> bool:
        read = await self._with(_read)
        if name == OFF:
            return read.state in STILL
        return read.state not in {*STILL, "failed"} and self._point_at(read.limit_w) == name

    async def _give_back(self, original: Original) -> None:
        watts, must_run = number(original.get("limit_w")), original.get("is_running") is not False

        async def give(miner: Any) -> bool:
            is_well = watts is None or bool(await miner.set_power_limit(math.floor(watts)))
            move = miner.resume_mining if must_run else miner.stop_mining
            is_mining = await miner.is_mining()
            return is_well and (is_mining is must_run or bool(await move()))

        if not await self._with(give):
            raise LoadError(f"{self.address}: it was told its former limit and said no; set it on its page")

    async def _listed(self, miner: Any) -> tuple[Preset, ...]:
        mode = getattr(await miner.get_config(), "mining_mode", None)
        listed = [_preset_of(entry) for entry in list(getattr(mode, "available_presets", ()))[:PRESETS_MAX]]
        presets = sorted((preset for preset in listed if preset is not None), key=lambda preset: preset.power_w)
        least_w, most_w = self._bounds_w
        if presets or least_w is None or most_w is None or least_w >= most_w:
            return tuple(presets)
        steps = [round(least_w + step * (most_w - least_w) / (STEPS - 1)) for step in range(STEPS)]
        return tuple(Preset(f"{watts}", float(watts), watts / TYPICAL_J_PER_TH) for watts in steps)

    def _point_at(self, limit_w: float | None) -> str | None:
        for preset in self._presets:
            if limit_w is not None and abs(preset.power_w - limit_w) < 1.0:
                return preset.name
        return None

    async def _with(self, work: Callable[[Any], Awaitable[T]]) -> T:
        return await called(self._pyasic, self.address, work, self._limit_s)


async def found_at(address: str, *, pyasic: Any = None, limit_s: float = CALL_S) -> Found | None:
    """What the library finds there; slow. None for nothing. Raises nothing."""

    async def read(miner: Any) -> tuple[str | None, str]:
        return await _mac_of(miner), one_line(str(miner.model))

    try:
        library = pyasic or loaded()
    except LoadError as error:
        return Found(address, "pyasic", None, None, None, None, str(error))
    try:
        mac, model = await called(library, address, read, limit_s)
    except LoadError:
        return None
    return Found(address, "pyasic", mac, model, None, None, None if mac else "it does not tell its MAC")


def loaded() -> Any:
    """The library. Raises LoadError."""
    try:
        return importlib.import_module("pyasic")
    except ImportError as error:
        raise LoadError(f"pyasic is not installed ({error.name}): pip install 'jouled[miners]'") from None


async def called(
    pyasic: Any,
    address: str,
    work: Callable[[Any], Awaitable[T]],
    limit_s: float,
) -> T:
    """What `work` makes of the miner at `address`, in a thread. Raises AwayError, LoadError."""
    library = pyasic or loaded()

    async def found() -> T:
        miner = await library.get_miner(address)
        if miner is None:
            raise AwayError(f"{address}: pyasic finds no miner there; check its power and its network")
        return await work(miner)

    def run() -> T:
        return asyncio.run(asyncio.wait_for(found(), limit_s))

    try:
        # Left behind where the caller goes: the loop in it ends by itself.
        return await trio.to_thread.run_sync(run, abandon_on_cancel=True, limiter=_THREADS)
    except LoadError:
        raise
    except TimeoutError:
        raise AwayError(f"{address}: pyasic was not done within {limit_s:g} s; it is asked again") from None
    except Exception as error:  # the library's own, and those of all that it uses, have no common name
        words = one_line(str(error))[:200] or type(error).__name__
        raise LoadError(f"{address}: pyasic: {words}; update it, or leave this miner unmanaged") from error


async def _mac_of(miner: Any) -> str | None:
    """0.79 asks LuxOS for it, and then drops it."""
    if (mac := mac_of(await miner.get_mac())) is not None:
        return mac
    config = getattr(getattr(miner, "rpc", None), "config", None)
    if config is None:
        return None
    try:
        return mac_of((await config())["CONFIG"][0]["MACAddr"])
    except (LookupError, TypeError):
        return None


async def _read(miner: Any) -> Read:
    """Its figures. Raises AwayError where it did not answer, since its silence looks like a miner that is off: for
    some families the library says False of `is_mining` and None of all else.
    """
    if await _mac_of(miner) is None:
        raise AwayError(f"{miner.ip}: it answers pyasic no more; it is asked again")
    figures = await miner.get_data(include=["wattage", "wattage_limit", "hashrate"])
    power_w = number(figures.wattage, most=WATTS_MAX)
    is_mining = await miner.is_mining()
    if is_mining is None and power_w is None:
        raise AwayError(f"{miner.ip}: pyasic cannot tell whether it mines; update it, or leave this miner unmanaged")
    rate = figures.hashrate
    if rate is None:
        rate = (await miner.get_data(include=["hashboards"])).hashrate
    switches = getattr(miner, "atm_enabled", None)
    is_switching = switches is not None and await switches() is True
    state, note = _state_of(is_mining, power_w, is_switching=is_switching)
    if state == "running" and not power_w:
        power_w = None
    return Read(state, note, number(figures.wattage_limit, most=WATTS_MAX), power_w, _work_of(rate))


def _state_of(is_mining: bool | None, power_w: float | None, *, is_switching: bool) -> tuple[State, str | None]:
    """By its power where that says otherwise, or it says nothing."""
    draws = power_w is not None and power_w > STILL_W_MAX
    if is_mining is False and draws:
        return "starting", f"it says that it does not mine, and draws {power_w:g} W"
    if is_mining is False or (is_mining is None and not draws):
        return "off", None
    if is_switching:
        return "held", "its own thermal management (ATM) changes its profile: switch that off"
    return "running", None


def _work_of(rate: Any) -> float | None:
    """In TH/s."""
    try:
        return None if rate is None else number(float(rate.into(rate.unit.TH).rate))
    except (AttributeError, TypeError, ValueError):  # another algorithm, which has no terahashes
        return None


def _preset_of(entry: Any) -> Preset | None:
    name, power, rate = (getattr(entry, key, None) for key in ("name", "power", "hashrate"))
    watts, work = number(power, most=WATTS_MAX), number(rate)
    if (
        not isinstance(name, str)
        or not name
        or watts is None
        or watts < WATTS_LEAST
        or getattr(entry, "modded_psu", False)
    ):
        return None
    return Preset(name, watts, work or watts / TYPICAL_J_PER_TH, getattr(entry, "tuned", None) is not False)
