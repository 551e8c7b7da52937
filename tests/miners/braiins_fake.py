"""A miner with Braiins OS, as its REST interface behaves: a new target is read back as the old one for a moment."""

from __future__ import annotations

from typing import Any

from miners.fake_http import Answer, Asked, Faults
from miners.machine import Clock, Curve, Machine, Times

BASE = "/api/v1"
PASSWORD = "root"
LEAST_W, MOST_W = 900, 3700
CURVE = {str(watts): Curve(watts, 3.2 * watts**0.5 - 58.0) for watts in range(LEAST_W, MOST_W + 1, 200)}


class BraiinsFake(Machine):
    """It takes any whole watt between its bounds, at once and without a restart."""

    family = "braiins"

    def __init__(self, mac: str, clock: Clock, **parts: Any) -> None:
        super().__init__(mac, clock, **{"curve": CURVE, "preset": "3100", **parts})
        self.times = Times(restart_s=20.0, ramp_s=30.0, stop_s=2.0)
        self.faults = Faults()
        self.asked: list[tuple[str, str]] = []
        self.password = PASSWORD
        self.tokens: set[str] = set()
        self.ramping: dict[str, int | None] = {"down_s": None, "up_s": None}
        self.is_scaling = False
        self.reason: dict[str, Any] = {"user_pause": {}}
        self.has_profile = True
        self.is_old = False
        self.mode_of_tuner: dict[str, Any] = self._power_mode(3100)
        # Reads of the target that still show the old one.
        self.old_reads = 1
        self._old: tuple[dict[str, Any], int] = (self.mode_of_tuner, 0)

    def handle(self, asked: Asked) -> Answer:
        self.advance()
        path = asked.path.removeprefix(BASE)
        self.asked.append((asked.method, path))
        if self.faults.is_page or self.mode == "rebooting":
            return Answer(502, b"<html><body>502 Bad Gateway</body></html>")
        if path in self.faults.missing or not asked.path.startswith(BASE):
            return Answer(404)
        if path not in {"/version/", "/auth/login"} and asked.headers.get("authorization") not in self.tokens:
            return Answer(401, {"message": "unauthenticated"})
        name = f"_{asked.method.lower()}{path.replace('/', '_').replace('-', '_')}"
        route = getattr(self, name, None)
        if route is None:
            return Answer(404)
        answer: Answer = route(asked)
        return answer._replace(is_lost=self.faults.loses_answers and asked.method == "PUT")

    def reboot(self) -> None:
        self.tokens.clear()
        super().reboot()

    def _goal_w(self) -> float:
        return (float(self.effective) if self.effective.isdigit() else MOST_W) * self.drift

    def terahashes(self) -> float:
        self.advance()
        return 0.0 if self.mode != "running" else max(0.0, 3.2 * self.watts() ** 0.5 - 58.0)

    @staticmethod
    def _power_mode(watts: int) -> dict[str, Any]:
        return {"tunermode": {"target": {"powertarget": {"power_target": {"watt": watts}}}}}

    def _get_version_(self, _: Asked) -> Answer:
        return Answer(200, {"major": 1, "minor": 7, "patch": 0})

    def _post_auth_login(self, asked: Asked) -> Answer:
        if asked.body != {"username": "root", "password": self.password}:
            return Answer(401, {"message": "bad credentials"})
        token = f"{self.random.getrandbits(64):016x}"
        self.tokens.add(token)
        return Answer(200, {"token": token, "timeout_s": 3600})

    def _status(self) -> dict[str, Any]:
        arms: dict[str, Any] = {"running": {"normal": {}}, "starting": {"none": {}}}
        if self.mode in arms:
            return {self.mode: {"reason": arms[self.mode]}}
        return {"stopping" if self.mode == "stopping" else "stopped": {"reason": self.reason}}

    def _get_miner_details(self, _: Asked) -> Answer:
        details: dict[str, Any] = {
            "uid": "x",
            "miner_identity": {"brand": 1, "model": 0, "name": "Antminer S19J Pro", "miner_model": "Antminer S19J Pro"},
            "bos_version": {"current": "2026-01-01-0-abcdef-26.01-plus", "major": "26.01", "bos_plus": True},
            "hostname": f"bos-{self.mac[-2:]}",
            "mac_address": self.faults.mac or self.mac,
            "status": 2 if self.mode == "running" else 3 if self.mode in {"stopped", "stopping"} else 1,
        }
        if not self.is_old:
            details["detailed_status"] = {"status": self._status(), "status_until": None}
        return Answer(200, details)

    def _get_miner_stats(self, _: Asked) -> Answer:
        drawn = 0 if self.mode in {"stopped", "starting"} else int(self.metered())
        rate = {"gigahash_per_second": self.terahashes() * 1e3}
        return Answer(
            200,
            {
                "miner_stats": {"real_hashrate": {"last_15s": rate, "last_5m": rate}},
                "power_stats": {"approximated_consumption": {"watt": drawn}},
            },
        )

    def _get_performance_mode(self, _: Asked) -> Answer:
        old, left = self._old
        if left > 0:
            self._old = (old, left - 1)
            return Answer(200, old)
        return Answer(200, self.mode_of_tuner)

    def _get_performance_tuner_state(self, _: Asked) -> Answer:
        target = self.mode_of_tuner.get("tunermode", {}).get("target", {}).get("powertarget", {}).get("power_target")
        return Answer(
            200, {"overall_tuner_state": 2, "mode_state": {"powertargetmodestate": {"current_target": target}}}
        )

    def _get_performance_efficiency_profile(self, _: Asked) -> Answer:
        if not self.has_profile:
            return Answer(501)
        if self.mode == "stopped":
            return Answer(412)
        points = [
            {
                "power_target": {"watt": int(curve.watts)},
                "consumption": {"watt": int(curve.watts) + 44},
                "hashrate": {"terahash_per_second": curve.terahashes},
                "quality": 1,
            }
            for curve in self.curve.values()
        ]
        return Answer(200, {"points": points})

    def _get_performance_target_profiles(self, _: Asked) -> Answer:
        return Answer(200, {"hashrate_target_profiles": [], "power_target_profiles": []})

    def _get_configuration_constraints(self, _: Asked) -> Answer:
        return Answer(
            200,
            {
                "tuner_constraints": {
                    "default_mode": 1,
                    "power_target": {"min": {"watt": LEAST_W}, "max": {"watt": MOST_W}, "default": {"watt": 3100}},
                },
                "hashboards_constraints": {
                    "hashboard_ids": ["1", "2", "3"],
                    "quick_ramping_time_s": {"default": 60, "min": 1, "max": 600},
                },
            },
        )

    def _get_configuration_miner(self, _: Asked) -> Answer:
        ramping = {f"quick_ramping_time_{name.removesuffix('_s')}_s": value for name, value in self.ramping.items()}
        return Answer(
            200,
            {"hashboard_config": {"hashboards": [], **ramping}, "dps": {"enabled": self.is_scaling}, "pool_groups": []},
        )

    def _take(self, mode: dict[str, Any]) -> None:
        if self.faults.ignores_orders:
            return
        self._old = (self.mode_of_tuner, self.old_reads)
        self.mode_of_tuner = mode
        target = mode.get("tunermode", {}).get("target", {}).get("powertarget", {}).get("power_target", {}).get("watt")
        if target is not None:
            self.changes += 1
            before = self.watts()
            self.preset = self.effective = str(target)
            if self.mode == "running":
                self._from_w = before
                self._enter("running")

    def _put_performance_power_target(self, asked: Asked) -> Answer:
        if not LEAST_W <= asked.body["watt"] <= MOST_W:
            return Answer(412, {"message": "power target out of constraints"})
        self._take(self._power_mode(asked.body["watt"]))
        return Answer(200, asked.body)

    def _put_performance_mode(self, asked: Asked) -> Answer:
        self._take(asked.body)
        return Answer(200, asked.body)

    def _put_performance_quick_ramping(self, asked: Asked) -> Answer:
        self.ramping = dict(asked.body)
        return Answer(200, asked.body)

    def _put_performance_quick_ramping_default(self, _: Asked) -> Answer:
        self.ramping = {"down_s": None, "up_s": None}
        return Answer(200, {"down_s": 60, "up_s": 60})

    def _put_actions_pause(self, _: Asked) -> Answer:
        if self.mode in {"starting", "failure"}:
            return Answer(409, {"message": "not mining"})
        was = self.mode == "stopped"
        if not self.faults.ignores_orders:
            self.reason = {"user_pause": {}}
            self.stop()
        return Answer(200, content=was)

    def _put_actions_resume(self, _: Asked) -> Answer:
        was = self.mode == "running"
        if not self.faults.ignores_orders:
            self.start()
        return Answer(200, content=was)

    _put_actions_start = _put_actions_resume
