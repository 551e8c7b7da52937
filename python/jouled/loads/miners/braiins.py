"""A miner with Braiins OS: absolute power targets over its REST interface, and off by pausing."""

from __future__ import annotations

from typing import Any

import trio

from jouled.balance.fleet.words import OFF
from jouled.balance.site.words import Observation, Timing
from jouled.http import Http
from jouled.loads.actuator import Description, Original, Preset
from jouled.loads.miners import braiins_answers as answers
from jouled.loads.miners.braiins_answers import Bounds, Details, Ramping, Setting
from jouled.loads.miners.device import Miner
from jouled.loads.miners.exchange import (
    AwayError,
    ConflictError,
    Exchange,
    UnsupportedError,
    checked,
    looked_for,
    mapping,
    told,
)
from jouled.loads.miners.keys import Keys
from jouled.loads.miners.login import Login
from jouled.loads.miners.pausing import STILL, seen
from jouled.loads.protocol import LoadError

BASE = "/api/v1"
USER = "root"
# Down quickly, because that is what pausing is for; up at leisure.
RAMPING = Ramping(down_s=2, up_s=5)
# A new target is read back as the old one for a moment.
LOOKS = 6
LOOK_S = 0.5
STOP_LOOKS = 24
# What setting the ramp may cost an emergency.
RAMP_URGENT_S = 1.0


class BraiinsMiner(Miner):
    """`ramping` is what quick ramping is set to with the first order, where it has that; None leaves it alone."""

    kind = "braiins"
    timing = Timing(dead_s=5.0, settle_s=120.0, pause_s=10.0, restart_s=20.0)

    def __init__(
        self,
        address: str,
        http: Http,
        *,
        mac: str,
        password: str | None,
        keys: Keys,
        user: str = USER,
        ramping: Ramping | None = RAMPING,
        look_s: float = LOOK_S,
    ) -> None:
        super().__init__(address, mac=mac, keys=keys)
        self._exchange = Exchange(address, http)
        self._login = Login(
            self._exchange,
            f"{BASE}/auth/login",
            {"username": user, "password": password or ""},
            settings="miners.password, or miners.braiins_password",
        )
        self._ramping = ramping
        self._look_s = look_s
        self._bounds = Bounds()
        self._presets: tuple[Preset, ...] = ()
        self._is_scaling = False
        self._is_ramped = False

    def _moved(self) -> None:
        self._exchange.address = self.address
        self._login.token = None

    async def details(self) -> Details:
        """Who it is and what it does. Raises LoadError."""
        return await self._look()

    async def _mac_there(self) -> str | None:
        return (await self._look()).mac

    async def _describe(self) -> Description:
        details = await self._look()
        self._bounds = answers.bounds_of(await self._ask("GET", "/configuration/constraints"))
        self._is_scaling = (await self._setting()).is_scaling
        self._presets, notes = await self._list()
        if self._is_scaling:
            notes.append("its dynamic performance scaling is on and would undo what it is told: switch that off")
        if details.note is not None:
            notes.append(details.note)
        return Description(
            self.id,
            self.kind,
            details.name or self.id,
            self.timing,
            model=details.model,
            firmware=details.firmware,
            address=self.address,
            presets=self._presets,
            can_be_off=True,
            rated_w=self._bounds.most_w or max((preset.power_w for preset in self._presets), default=None),
            notes=tuple(notes),
        )

    async def _measure(self) -> Observation:
        details = await self._look()
        target = answers.target_of(await self._ask("GET", "/performance/tuner-state"))
        stats = await self._ask("GET", "/miner/stats")
        if details.state is None:
            raise LoadError(f"{self.address}: it does not say what it does; update its firmware")
        found = seen(details.state, _named(target), details.note, is_ours=self._is_ours())
        power_w = answers.power_of(stats)
        if power_w is None and details.state in {*STILL, "failed"}:
            power_w = 0.0
        is_scaled = self._is_scaling and found.state == "running"
        return Observation(
            trio.current_time(),
            "held" if is_scaled else found.state,
            point=found.point,
            power_w=power_w,
            work=answers.work_of(stats),
            note="its dynamic performance scaling is on: switch that off on its page" if is_scaled else found.note,
        )

    async def _original(self) -> Original:
        """Its mode with the target, whether it ran, and how fast it ramps."""
        details, setting = await self._look(), await self._setting()
        return {
            "mode": await self._ask("GET", "/performance/mode"),
            "is_running": details.state not in STILL,
            "ramping": {"down_s": setting.ramping.down_s, "up_s": setting.ramping.up_s},
        }

    async def _switch_off(self, *, is_urgent: bool) -> None:
        if not is_urgent and (await self._look()).state in STILL:
            return
        with trio.move_on_after(RAMP_URGENT_S if is_urgent else self._call_s):
            await self._ramp_quickly()
        with told("it was told to pause"):
            try:
                await self._ask("PUT", "/actions/pause")
            except ConflictError:
                if (await self._look()).state not in STILL:
                    raise

    async def _set(self, name: str) -> None:
        watts = _watts_of(name)
        least, most = self._bounds.least_w, self._bounds.most_w
        if watts is None or (least is not None and watts < least) or (most is not None and watts > most):
            takes = "watts" if least is None or most is None else f"{least:g} to {most:g} W"
            raise LoadError(f"{self.address}: {name} is no power target of it; it takes {takes}")
        if (await self._setting()).is_scaling:
            raise ConflictError(f"{self.address}: its dynamic performance scaling is on: switch that off on its page")
        await self._set_target(watts)
        await self._ramp_quickly()
        state = (await self._look()).state
        if state in STILL:
            await self._start(state)

    async def _is_at(self, name: str) -> bool:
        state = (await self._look()).state
        if name == OFF:
            return state in STILL
        return state in {"running", "starting", "tuning"} and _named(await self._target()) == name

    async def _give_back(self, original: Original) -> None:
        must_run = original.get("is_running") is not False
        if not must_run and (await self._look()).state not in STILL:
            await self._ask("PUT", "/actions/pause")
            await self._stopped()
        mode = original.get("mode")
        if isinstance(mode, dict) and mode:
            await self._give_mode_back(mode)
        ramping = mapping(original, "ramping")
        await self._give_ramping_back(Ramping(ramping.get("down_s"), ramping.get("up_s")))
        state = (await self._look()).state
        if must_run and state in STILL:
            await self._start(state)
            if (state := (await self._look()).state) in STILL:
                raise LoadError(f"{self.address}: it was started and is still {state}; start it on its page")

    async def _stopped(self) -> None:
        """Raises LoadError where it does not."""
        found = await looked_for(
            self._look, lambda details: details.state in STILL, looks=STOP_LOOKS, pause_s=self._look_s
        )
        if found.state not in STILL:
            raise LoadError(f"{self.address}: it was told to pause and is still {found.state}; pause it on its page")

    async def _give_mode_back(self, mode: dict[str, Any]) -> None:
        """With its target. Raises LoadError where it keeps another."""

        async def now() -> Any:
            return await self._ask("GET", "/performance/mode")

        if await now() == mode:
            return
        await self._ask("PUT", "/performance/mode", mode)
        if await looked_for(now, lambda kept: kept == mode, looks=LOOKS, pause_s=self._look_s) != mode:
            raise LoadError(f"{self.address}: it was told its former mode and keeps another; set it on its page")

    async def _set_target(self, watts: float) -> None:
        """Absolute, and looked for before anybody tells it again. Raises LoadError."""
        if await self._target() == watts:
            return
        problem: AwayError | None = None
        try:
            await self._ask("PUT", "/performance/power-target", {"watt": int(watts)})
        except AwayError as error:
            problem = error
        kept = await looked_for(self._target, lambda kept: kept == watts, looks=LOOKS, pause_s=self._look_s)
        if kept == watts:
            return
        if problem is not None:
            raise AwayError(f"it was told to draw {watts:g} W, and does not know of it: {problem}")
        raise LoadError(
            f"{self.address}: it was told to draw {watts:g} W, did not say no, and keeps {_named(kept) or 'no target'}"
        )

    async def _start(self, state: str | None) -> None:
        with told("it was told to start"):
            try:
                await self._ask("PUT", "/actions/start" if state == "off" else "/actions/resume")
            except ConflictError:
                if (await self._look()).state in STILL:
                    raise

    async def _ramp_quickly(self) -> None:
        """Once, and as far as it goes: it must not stand in the way of an order."""
        if self._is_ramped or self._ramping is None:
            return
        try:
            now = (await self._setting()).ramping
            if now != self._ramping and answers.is_allowed(self._ramping, self._bounds):
                await self._ask("PUT", "/performance/quick-ramping", self._ramping._asdict())
        except LoadError:
            return
        self._is_ramped = True

    async def _give_ramping_back(self, ramping: Ramping) -> None:
        self._is_ramped = False
        if (await self._setting()).ramping == ramping:
            return
        if ramping.down_s is None or ramping.up_s is None:
            await self._ask("PUT", "/performance/quick-ramping/default")
            return
        await self._ask("PUT", "/performance/quick-ramping", ramping._asdict())
        if (kept := (await self._setting()).ramping) != ramping:
            raise LoadError(f"{self.address}: it keeps quick ramping at {kept}, and had {ramping}; set it on its page")

    async def _list(self) -> tuple[tuple[Preset, ...], list[str]]:
        """Its own curve; else what it was tuned for; else steps between its bounds."""
        for path, read in (
            ("/performance/efficiency-profile", answers.profile_of),
            ("/performance/target-profiles", answers.tuned_targets_of),
        ):
            try:
                presets = read(await self._ask("GET", path), self._bounds)
            except (UnsupportedError, ConflictError):
                continue  # it is paused, or has none
            if presets:
                return presets, []
        if self._presets:
            return self._presets, []  # as it said before it was paused
        return answers.stepped(self._bounds), ["it tells no efficiency profile: the work of its targets is guessed"]

    async def _look(self) -> Details:
        return answers.details_of(await self._ask("GET", "/miner/details"))

    async def _setting(self) -> Setting:
        return answers.setting_of(await self._ask("GET", "/configuration/miner"))

    async def _target(self) -> float | None:
        return answers.target_of(await self._ask("GET", "/performance/mode"))

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        """With a token, which runs out. Raises LoadError."""
        token = self._login.token or await self._login.renew()
        reply = await self._exchange.ask(method, BASE + path, body, {"authorization": token})
        if reply.status in {401, 403}:
            token = await self._login.renew()
            reply = await self._exchange.ask(method, BASE + path, body, {"authorization": token})
        return checked(reply)


def _named(watts: float | None) -> str | None:
    return None if watts is None else f"{watts:.0f}"


def _watts_of(name: str) -> float | None:
    return float(name) if name.isascii() and name.isdigit() else None
