"""A miner with VNish firmware: presets that it was tuned for, and off by stopping its mining."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import trio

from jouled.balance.fleet.words import OFF
from jouled.balance.site.words import Observation, Timing
from jouled.http import Http
from jouled.loads.actuator import Description, Original, Preset
from jouled.loads.miners import vnish_answers as answers
from jouled.loads.miners.device import Miner
from jouled.loads.miners.exchange import (
    AwayError,
    ConflictError,
    Exchange,
    LockedError,
    UnsupportedError,
    checked,
    looked_for,
    mapping,
    told,
)
from jouled.loads.miners.keys import Keys
from jouled.loads.miners.login import Login
from jouled.loads.miners.pausing import STILL, seen
from jouled.loads.miners.presets import DISABLED, parsed
from jouled.loads.protocol import LoadError

BASE = "/api/v1"
PASSWORD = "admin"  # noqa: S105  (the firmware's own, public)
KEY_NAME = "jouled"
KEY_CHARS = 32
LOOKS = 4
LOOK_S = 0.5
# It cools its boards before it says that it has stopped.
STOP_LOOKS = 24


class VnishMiner(Miner):
    """`may_tune` allows presets that it was never tuned for, and so hours of tuning."""

    kind = "vnish"
    # A preset is a restart of its mining; stopping is quick.
    timing = Timing(dead_s=10.0, settle_s=300.0, pause_s=15.0, restart_s=60.0)

    def __init__(
        self,
        address: str,
        http: Http,
        *,
        mac: str,
        password: str | None,
        keys: Keys,
        may_tune: bool = False,
        look_s: float = LOOK_S,
    ) -> None:
        super().__init__(address, mac=mac, keys=keys)
        self._exchange = Exchange(address, http)
        word = PASSWORD if password is None else password
        self._login = Login(self._exchange, f"{BASE}/unlock", {"pw": word}, settings="miners.password")
        self._may_tune = may_tune
        self._look_s = look_s
        self._info: answers.Info | None = None
        self._presets: tuple[Preset, ...] = ()
        self._has_modded_psu = False

    def _moved(self) -> None:
        self._exchange.address = self.address
        self._login.token = None

    async def _mac_there(self) -> str | None:
        reply = await self._exchange.ask("GET", f"{BASE}/info")
        self._info = answers.info_of(checked(reply))
        if self._info is None:
            raise LoadError(f"{reply.where}: no VNish answers there; its firmware was changed: search for it anew")
        return self._info.mac

    async def _describe(self) -> Description:
        info = self._info
        performance = await self._performance()
        status = answers.status_of(checked(await self._exchange.ask("GET", f"{BASE}/status")))
        settings = await self._ask("GET", "/settings")
        entries = answers.listed_presets(await self._ask("GET", "/autotune/presets"))
        self._has_modded_psu = answers.has_modded_psu(settings)
        self._presets = parsed(entries, has_modded_psu=self._has_modded_psu)
        name = None if info is None else info.name
        return Description(
            self.id,
            self.kind,
            name or self.id,
            self.timing,
            model=None if info is None else info.model,
            firmware=None if info is None else info.firmware,
            address=self.address,
            presets=self._presets,
            can_be_off=True,
            rated_w=max((preset.power_w for preset in self._presets), default=None),
            notes=tuple(_notes(performance, status, self._presets)),
        )

    async def _measure(self) -> Observation:
        summary = await self._ask("GET", "/summary")
        performance = await self._performance()
        status = answers.summary_status(summary)
        if status.state is None:
            raise LoadError(f"{self.address}: its /summary does not say what it does; update its firmware")
        power_w = answers.power_of(summary)
        if power_w is None and status.state in {*STILL, "failed"}:
            power_w = 0.0
        unit = None if self._info is None else self._info.unit
        found = seen(status.state, _point_of(performance), _note(status, performance), is_ours=self._is_ours())
        is_switched = performance.is_switching and found.state == "running"
        return Observation(
            trio.current_time(),
            "held" if is_switched else found.state,
            point=found.point,
            power_w=power_w,
            work=answers.work_of(summary, unit),
            note=found.note,
        )

    async def _original(self) -> Original:
        """The preset, and whether it ran."""
        status = await self._status()
        return {"preset": await self._preset(), "is_running": status.state not in STILL}

    async def _switch_off(self, *, is_urgent: bool) -> None:
        if not is_urgent and (await self._status()).state in STILL:
            return
        with told("it was told to stop"):
            try:
                await self._ask("POST", "/mining/stop")
            except UnsupportedError:
                await self._ask("POST", "/mining/pause")
            except LoadError as error:
                # It also complains of being told what it is already.
                if isinstance(error, (AwayError, LockedError)) or (await self._status()).state not in STILL:
                    raise

    async def _set(self, name: str) -> None:
        await self._refuse_untuned(name)
        status, performance = await self._status(), await self._performance()
        if status.state == "tuning":
            raise ConflictError(f"{self.address}: it is tuning; it is set when that is done")
        if performance.is_switching:
            raise ConflictError(
                f"{self.address}: its own preset switcher is on ({performance.switched}) and would undo it;"
                " switch that off on its page"
            )
        await self._set_preset(name, status)
        if status.state in STILL:
            await self._start(status)

    async def _is_at(self, name: str) -> bool:
        status = await self._status()
        if name == OFF:
            return status.state in STILL
        return status.state in {"running", "starting", "tuning"} and await self._preset() == name

    async def _give_back(self, original: Original) -> None:
        status, preset = await self._status(), original.get("preset")
        must_run = original.get("is_running") is not False
        if not must_run and status.state not in STILL:
            await self._switch_off(is_urgent=False)
            status = await self._stopped()
        if isinstance(preset, str):
            await self._set_preset(preset, status)
        if must_run and status.state in STILL:
            await self._start(status)
            status = await self._status()
            if status.state in STILL:
                raise LoadError(f"{self.address}: it was started and is still {status.state}; start it on its page")

    async def _refuse_untuned(self, name: str) -> None:
        """Raises LoadError for what it has not, and for what would be tuned for hours first."""
        if not any(preset.name == name for preset in self._presets):
            entries = answers.listed_presets(await self._ask("GET", "/autotune/presets"))
            self._presets = parsed(entries, has_modded_psu=self._has_modded_psu)
        found = next((preset for preset in self._presets if preset.name == name), None)
        if found is None:
            names = ", ".join(preset.name for preset in self._presets) or "none"
            raise LoadError(f"{self.address}: it has no preset {name}; it has {names}")
        if not found.is_tuned and not self._may_tune:
            raise LoadError(f"{self.address}: preset {name} is not tuned; tune it on its page, or use another one")

    async def _set_preset(self, name: str, before: answers.Status) -> None:
        """It answers the same whether it does or not: only what is read back counts. Raises LoadError."""
        if await self._preset() == name:
            return
        with told(f"it was told to run at {name}"):
            said = await self._ask("POST", "/settings", {"miner": {"overclock": {"preset": name}}})
        kept = await looked_for(self._preset, lambda kept: kept == name, looks=LOOKS, pause_s=self._look_s)
        if kept != name:
            raise LoadError(
                f"{self.address}: it was told to run at {name}, did not say no, and keeps {kept or 'no preset'}"
            )
        await self._take_effect(said, before)

    async def _take_effect(self, said: object, before: answers.Status) -> None:
        """Some changes wait for a restart of its mining; one of the whole device only where this change asks for it."""
        if before.state in STILL:
            return
        asked, now = mapping(said), await self._status()
        if asked.get("reboot_required") is True or (now.is_reboot_required and not before.is_reboot_required):
            await self._ask("POST", "/system/reboot")
        elif asked.get("restart_required") is True or now.is_restart_required:
            await self._ask("POST", "/mining/restart")

    async def _start(self, status: answers.Status) -> None:
        with told("it was told to start"):
            try:
                await self._ask("POST", "/mining/resume" if status.state == "paused" else "/mining/start")
            except LoadError as error:
                if isinstance(error, (AwayError, LockedError)) or (await self._status()).state in STILL:
                    raise

    async def _stopped(self) -> answers.Status:
        """Its state when it has. Raises LoadError."""
        status = await looked_for(self._status, _is_still, looks=STOP_LOOKS, pause_s=self._look_s)
        if not _is_still(status):
            raise LoadError(f"{self.address}: it was told to stop and is still {status.state}; stop it on its page")
        return status

    async def _status(self) -> answers.Status:
        status = answers.status_of(checked(await self._exchange.ask("GET", f"{BASE}/status")))
        if status.state is None:
            raise LoadError(f"{self.address}: its /status does not say what it does; update its firmware")
        return status

    async def _performance(self) -> answers.Performance:
        return answers.performance_of(checked(await self._exchange.ask("GET", f"{BASE}/perf-summary")))

    async def _preset(self) -> str | None:
        """As it is set; what it runs at where it does not say."""
        configured = answers.configured_preset(await self._ask("GET", "/settings"))
        return configured or (await self._performance()).preset

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        """With what it was unlocked by, which it forgets when it reboots. Raises LoadError."""
        if self._login.token is None and (method != "GET" or self._keys.key_of(self.id) is None):
            await self._unlock()
        reply = await self._exchange.ask(method, BASE + path, body, self._headers())
        if reply.status in {401, 403}:
            await self._unlock()
            reply = await self._exchange.ask(method, BASE + path, body, self._headers())
        return checked(reply)

    def _headers(self) -> Mapping[str, str]:
        key = self._keys.key_of(self.id)
        headers = {} if key is None else {"x-api-key": key}
        return headers if self._login.token is None else {**headers, "authorization": f"Bearer {self._login.token}"}

    async def _unlock(self) -> None:
        await self._login.renew()
        await self._fetch_key()

    async def _fetch_key(self) -> None:
        """One of our own, so that what is done in our name can be told apart, and taken away, on its page."""
        headers = {"authorization": f"Bearer {self._login.token}"}
        listed = await self._exchange.ask("GET", f"{BASE}/apikeys", headers=headers)
        key = answers.listed_key(listed.content, KEY_NAME, KEY_CHARS) if listed.is_well else None
        if key is None and listed.is_well:
            made = secrets.token_hex(KEY_CHARS // 2)
            asked = {"key": made, "description": KEY_NAME}
            added = await self._exchange.ask("POST", f"{BASE}/apikeys", asked, headers)
            key = made if added.is_well and added.complaint is None else None
        # Without one it goes by the token alone, as with firmware that knows no keys.
        if key != self._keys.key_of(self.id):
            await self._keys.keep(self.id, key)


def _is_still(status: answers.Status) -> bool:
    return status.state in STILL


def _point_of(performance: answers.Performance) -> str | None:
    is_one = performance.preset is not None and performance.preset.lower() != DISABLED
    return performance.preset if is_one else None


def _note(status: answers.Status, performance: answers.Performance) -> str | None:
    if performance.is_switching and status.state == "running":
        return f"its own preset switcher is on ({performance.switched}): switch that off on its page"
    if status.note is None and performance.preset is not None and _point_of(performance) is None:
        return "no preset is set: it runs at its stock clock"
    return status.note


def _notes(performance: answers.Performance, status: answers.Status, presets: tuple[Preset, ...]) -> list[str]:
    notes = [note] if (note := _note(status, performance)) is not None else []
    if status.is_reboot_required:
        notes.append("it asks for a reboot, of an earlier change on its page")
    elif status.is_restart_required:
        notes.append("it asks for a restart of its mining, of an earlier change on its page")
    if untuned := sum(not preset.is_tuned for preset in presets):
        notes.append(f"{untuned} of its {len(presets)} presets are not tuned, and not used")
    return notes
