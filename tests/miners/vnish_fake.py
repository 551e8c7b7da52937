"""A miner with VNish firmware, as its interface behaves: also where that is wrong."""

from __future__ import annotations

from typing import Any

from miners.fake_http import Answer, Asked, Faults
from miners.machine import Clock, Machine, Mode

BASE = "/api/v1"
PASSWORD = "admin"
STATES: dict[Mode, str] = {
    "running": "mining",
    "tuning": "auto-tuning",
    "starting": "initializing",
    "stopping": "shutting-down",
}
PUBLIC = {"/info", "/model", "/status", "/perf-summary", "/chains", "/unlock"}
SCALES = {"H/s": 1e12, "MH/s": 1e6, "GH/s": 1e3, "TH/s": 1.0}


class VnishFake(Machine):
    """Its own thermal switcher moves it by itself while that is on: down where it is hot, up where it is cool."""

    family = "vnish"

    def __init__(self, mac: str, clock: Clock, **parts: Any) -> None:
        super().__init__(mac, clock, **parts)
        self.faults = Faults()
        self.asked: list[tuple[str, str]] = []
        self.password = PASSWORD
        self.unit = "GH/s"
        self.tokens: set[str] = set()
        self.keys: list[dict[str, str]] = []
        self.has_switcher = False
        self.is_hot = False
        self.check_s = 300.0
        self._checked_s = clock()
        self.modded: set[str] = set()
        # A preset waits for a restart, or for a reboot, though the answer says that it does not.
        self.waits_for: str | None = None
        self.is_waiting = False

    def handle(self, asked: Asked) -> Answer:
        self.advance()
        path = asked.path.removeprefix(BASE)
        self.asked.append((asked.method, path))
        if self.faults.is_page:
            return Answer(502, b"<html><body>502 Bad Gateway</body></html>")
        if path in self.faults.missing or not asked.path.startswith(BASE):
            return Answer(404, {"err": "not found"})
        if path not in PUBLIC and not self._is_let_in(asked, needs_token=path.startswith(("/mining", "/system"))):
            return Answer(401, {"err": "unauthorized"})
        route = getattr(self, f"_{asked.method.lower()}{path.replace('/', '_').replace('-', '_')}", None)
        if route is None:
            return Answer(404, {"err": "not found"})
        answer: Answer = route(asked)
        return answer._replace(is_lost=self.faults.loses_answers and asked.method != "GET" and path != "/unlock")

    def reboot(self) -> None:
        self.tokens.clear()
        super().reboot()

    def restart(self) -> None:
        self.is_waiting = False
        super().restart()

    def advance(self) -> None:
        now_s = self.clock()
        if not self.has_switcher:
            self._checked_s = now_s
        while now_s - self._checked_s >= self.check_s:
            self._checked_s += self.check_s
            self._advance_to(self._checked_s)
            self._switch_by_heat()
        self._advance_to(now_s)

    def _switch_by_heat(self) -> None:
        tuned = sorted((name for name in self.curve if name not in self.untuned), key=lambda name: self.curve[name])
        if self.mode != "running" or self.preset not in tuned:
            return
        step = tuned.index(self.preset) + (-1 if self.is_hot else 1)
        if 0 <= step < len(tuned):
            self.preset = tuned[step]
            self.restart()

    def _is_let_in(self, asked: Asked, *, needs_token: bool) -> bool:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        has_key = any(key["key"] == asked.headers.get("x-api-key") for key in self.keys)
        return token in self.tokens or (has_key and not needs_token)

    def _post_unlock(self, asked: Asked) -> Answer:
        if asked.body.get("pw") != self.password:
            return Answer(403, {"err": "wrong password"})
        token = f"{self.random.getrandbits(128):032x}"
        self.tokens.add(token)
        return Answer(200, {"token": token})

    def _get_apikeys(self, _: Asked) -> Answer:
        return Answer(200, self.keys)

    def _post_apikeys(self, asked: Asked) -> Answer:
        if len(asked.body.get("key", "")) != 32:
            return Answer(400, {"err": "a key has 32 characters"})
        self.keys.append({"key": asked.body["key"], "description": asked.body["description"]})
        return Answer(200, {"status": "inserted"})

    def _get_info(self, _: Asked) -> Answer:
        mac = (self.faults.mac or self.mac).upper()
        return Answer(
            200,
            {
                "miner": "Antminer S19",
                "model": "s19",
                "fw_name": "Vnish",
                "fw_version": "1.2.6",
                "hr_measure": self.unit,
                "system": {"network_status": {"mac": mac, "hostname": f"ant-{self.mac[-2:]}"}},
            },
        )

    def _status(self) -> dict[str, Any]:
        failed = self.mode == "failure"
        return {
            "miner_state": STATES.get(self.mode, self.mode),
            "miner_state_time": 1,
            "description": "chain#2 broke" if failed else "",
            "failure_code": 1002 if failed else 0,
            "restart_required": self.is_waiting and self.waits_for == "restart",
            "reboot_required": self.is_waiting and self.waits_for == "reboot",
        }

    def _get_status(self, _: Asked) -> Answer:
        return Answer(200, self._status())

    def _get_summary(self, _: Asked) -> Answer:
        drawn = 0 if self.mode in {"stopped", "paused", "failure", "starting"} else self.metered()
        rate = self.terahashes() * SCALES[self.unit]
        return Answer(
            200,
            {
                "miner": {
                    "miner_status": self._status(),
                    "miner_type": "Antminer S19 (Vnish 1.2.6)",
                    "instant_hashrate": rate,
                    "average_hashrate": rate,
                    "hr_realtime": rate,
                    "power_consumption": drawn,
                    "power_usage": drawn,
                }
            },
        )

    def _entry(self, name: str) -> dict[str, Any]:
        curve = self.curve.get(name)
        pretty = "Disabled" if curve is None else f"{curve.watts:g} watt ~ {curve.terahashes:g} TH"
        is_tuned = name in self.curve and name not in self.untuned
        return {
            "name": name,
            "pretty": pretty,
            "status": "tuned" if is_tuned else "untuned",
            "modded_psu_required": name in self.modded,
        }

    def _get_perf_summary(self, _: Asked) -> Answer:
        switcher = {"enabled": self.has_switcher, "top_preset": "4690", "min_preset": "1100", "check_time": 300}
        return Answer(200, {"current_preset": self._entry(self.effective), "preset_switcher": switcher})

    def _get_autotune_presets(self, _: Asked) -> Answer:
        return Answer(200, [self._entry("disabled"), *(self._entry(name) for name in self.curve)])

    def _get_settings(self, _: Asked) -> Answer:
        return Answer(200, {"miner": {"overclock": {"preset": self.preset, "modded_psu": False}}})

    def _post_settings(self, asked: Asked) -> Answer:
        preset = asked.body["miner"]["overclock"]["preset"]
        is_known = preset in self.curve or preset == "disabled"
        if is_known and not self.faults.ignores_orders and preset != self.preset:
            self.preset = preset
            if self.waits_for is not None:
                self.is_waiting = True
            elif self.mode in {"running", "starting", "tuning"}:
                self.restart()
        return Answer(200, {"restart_required": False, "reboot_required": False})

    def _post_mining_stop(self, _: Asked) -> Answer:
        if self.mode in {"stopped", "paused"}:
            return Answer(500, {"err": "CGMiner err: Cgminer error failed-to-activate-pause-mode "})
        if not self.faults.ignores_orders:
            self.stop()
        return Answer()

    def _post_mining_pause(self, asked: Asked) -> Answer:
        answer = self._post_mining_stop(asked)
        if answer.status == 200 and self.mode == "stopping":
            self.mode = "paused"
        return answer

    def _post_mining_start(self, _: Asked) -> Answer:
        if self.mode not in {"stopped", "paused", "stopping"}:
            return Answer(500, {"err": "CGMiner err: Cgminer error failed-to-activate-resume-mode "})
        if not self.faults.ignores_orders:
            self.start()
        return Answer()

    _post_mining_resume = _post_mining_start

    def _post_mining_restart(self, _: Asked) -> Answer:
        self.restart()
        return Answer()

    def _post_system_reboot(self, _: Asked) -> Answer:
        self.is_waiting = False
        self.reboot()
        return Answer(200, {"after": 3})
