"""PowerHive's aggregator of plant readings as a fake over real HTTP, which lies when it is told to.

As a program it goes through a day faster than the clock: `python -m plant.aggregator --time-scale 720`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

WATTS = {"W": 1.0, "kW": 1_000.0, "MW": 1_000_000.0}
# What it can be told to answer with instead of the truth.
LIES = (
    "negative",
    "thousandfold",
    "thousandth",
    "frozen",
    "restamped",  # the old reading under a new time
    "future",
    "past",
    "flapping",
    "doubtful",
    "untimed",
    "failing-source",
    "no-source",
    "slow",
    "huge",
    "html",
    "torn",
    "empty",
    "error",
    "busy",
    "drop",
)
HUGE = 4 * 1024 * 1024


class Trip(NamedTuple):
    """From a second of the run on, for so long, it gives so much less."""

    start_s: float
    length_s: float
    drop_w: float


class Hydro:
    """A wave over the day, noise by a hash of the time, and trips: the same time has the same power."""

    def __init__(self, rated_w: float = 200_000.0, trips: Sequence[Trip] = (), noise: float = 0.01) -> None:
        self.rated_w = rated_w
        self.trips = tuple(trips)
        self.noise = noise

    def __call__(self, at_s: float) -> float:
        wave = 0.75 + 0.15 * math.sin(2 * math.pi * at_s / 86_400.0)
        digest = hashlib.blake2b(f"{at_s // 5:.0f}".encode(), digest_size=8).digest()
        noise = self.noise * (int.from_bytes(digest, "big") / 2**63 - 1.0)
        lost_w = sum(trip.drop_w for trip in self.trips if trip.start_s <= at_s < trip.start_s + trip.length_s)
        return max(0.0, self.rated_w * (wave + noise) - lost_w)


class Lie(NamedTuple):
    """Told from a second of the run on, for so long."""

    name: str
    start_s: float
    length_s: float


class FakeAggregator:
    """Answers in `unit` under fields that are called `_mw`, as the real one does. `lie` is told while it is set;
    `script` does that by the time of the run, which goes `time_scale` times as fast as the clock.
    """

    def __init__(
        self,
        power_w: Callable[[float], float] | float = 150_000.0,
        *,
        plant: str = "hydro-1",
        key: str = "a-key-of-the-plant",
        unit: str = "kW",
        time_scale: float = 1.0,
        refresh_s: float = 0.0,
        script: Sequence[Lie] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        port: int = 0,
    ) -> None:
        self.power_w = power_w
        self.plant, self.key, self.unit = plant, key, unit
        self.time_scale = time_scale
        # By the clock, not by the run's: its sources are read so often.
        self.refresh_s = refresh_s
        self.script = tuple(script)
        self.clock = clock
        self.lie: str | None = None
        self.consumption_w: float | None = 20_000.0
        self.confidence: float | None = 0.97
        # By the status of its answers.
        self.answers: Counter[int] = Counter()
        self.keys_seen: set[str] = set()
        self.is_ending = threading.Event()
        self._lock = threading.Lock()
        self._began_s = time.monotonic()
        self._readings = 0
        self._last: dict[str, Any] | None = None
        self._last_at_s = -math.inf
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.aggregator = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/api/readings"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="aggregator")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.is_ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def run_s(self) -> float:
        """The time of the run."""
        return (time.monotonic() - self._began_s) * self.time_scale

    @property
    def true_w(self) -> float:
        return self.power_w if isinstance(self.power_w, int | float) else self.power_w(self.run_s)

    @property
    def told_lie(self) -> str | None:
        at_s = self.run_s
        scripted = (lie.name for lie in self.script if lie.start_s <= at_s < lie.start_s + lie.length_s)
        return self.lie or next(scripted, None)

    def settings(self) -> dict[str, str]:
        """As the daemon's environment has them, but for the key."""
        return {
            "JOULED_PLANT_KIND": "aggregator",
            "JOULED_PLANT_URL": self.url,
            "JOULED_PLANT_ID": self.plant,
            "JOULED_PLANT_UNIT": self.unit,
        }

    def reading(self, lie: str | None) -> dict[str, Any]:
        with self._lock:
            is_same = time.monotonic() - self._last_at_s < self.refresh_s or lie == "frozen"
            if self._last is not None and is_same:
                return self._last
            at = self.clock()
            if lie == "restamped" and self._last is not None:
                return _restamped(self._last, at)
            self._readings += 1
            made = self._made(lie, at, self._readings)
            if lie is None:
                self._last, self._last_at_s = made, time.monotonic()
            return made

    def _made(self, lie: str | None, at: datetime, number: int) -> dict[str, Any]:
        power_w = self.true_w
        power_w *= {"negative": -1.0, "thousandfold": 1000.0, "thousandth": 0.001}.get(lie or "", 1.0)
        if lie == "flapping":
            power_w *= (1000.0, 1.0, -1.0, 0.001)[number % 4]
        at += {"future": timedelta(hours=2), "past": timedelta(hours=-2)}.get(lie or "", timedelta(0))
        shares = {"turbine-1": 0.6, "turbine-2": 0.4}
        scale = WATTS[self.unit]
        generation = {name: _source(power_w * share / scale, at) for name, share in shares.items()}
        if lie in {"failing-source", "no-source"}:
            generation["turbine-2"] |= {"status": "timeout", "value_mw": None}
        if lie == "no-source":
            generation["turbine-1"] |= {"status": "error"}
        if lie == "untimed":
            for source in generation.values():
                del source["source_timestamp"]
        drawn = None if self.consumption_w is None else self.consumption_w / scale
        total = None if lie in {"failing-source", "no-source", "untimed"} else power_w / scale
        made: dict[str, Any] = {
            "id": number,
            "plant_id": self.plant,
            "collection_timestamp": _text(at),
            "generation": generation,
            "consumption": {} if drawn is None else {"container-1": _source(drawn, at)},
            "totals": {"generation_mw": total, "consumption_mw": drawn, "exported_mw": None},
        }
        if self.confidence is not None:
            score = 0.8 if lie == "doubtful" else self.confidence
            made["trust"] = {"confidence_score": score, "status": "trusted", "summary": "all sources agree"}
        return made


def _restamped(reading: dict[str, Any], at: datetime) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(reading))
    made["collection_timestamp"] = _text(at)
    for side in ("generation", "consumption"):
        for source in made[side].values():
            source["source_timestamp"] = _text(at)
    return made


def _source(value: float, at: datetime) -> dict[str, Any]:
    return {"source_timestamp": _text(at), "status": "success", "value_mw": value}


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


class _Server(ThreadingHTTPServer):
    aggregator: FakeAggregator
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Clients that go away in the middle are what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        refusal = self._refusal()
        if refusal is not None:
            return self._say(*refusal)
        owner = self.server.aggregator
        lie = owner.told_lie
        if lie == "drop":
            self.close_connection = True
            return None
        if lie == "slow":
            owner.is_ending.wait(60)
        return self._say(200, {"reading": owner.reading(lie)})

    def _refusal(self) -> tuple[int, object] | None:
        """What is answered in place of a reading."""
        parts, owner = urlsplit(self.path), self.server.aggregator
        if parts.path != "/api/readings":
            return (200, {"status": "ok"}) if parts.path == "/health" else (404, {"error": "not found"})
        if not self._is_known():
            return 401, {"error": f"unknown key {self.headers.get('authorization', '')}"}
        if parse_qs(parts.query).get("plant_id") != [owner.plant]:
            return 400, {"error": "unknown plant_id"}
        return _BODIES.get(owner.told_lie)

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("content-length") or 0), 65_536))
        if urlsplit(self.path).path != "/data/consumption":
            return self._say(404, {"error": "not found"})
        if not self._is_known():
            return self._say(401, {"error": "unknown key"})
        owner = self.server.aggregator
        try:
            owner.consumption_w = float(json.loads(body)["expected_consumption_mw"]) * WATTS[owner.unit]
        except (ValueError, KeyError, TypeError):
            return self._say(400, {"error": "expected_consumption_mw is missing"})
        return self._say(200, {"status": "ok"})

    def log_message(self, *_: Any) -> None:
        pass

    def _is_known(self) -> bool:
        given = self.headers.get("authorization", "")
        self.server.aggregator.keys_seen.add(given)
        return given == f"Bearer {self.server.aggregator.key}"

    def _say(self, status: int, content: object) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.server.aggregator.answers[status] += 1
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


_BODIES: dict[str | None, tuple[int, object]] = {
    "huge": (200, b'{"reading":"' + b"x" * HUGE + b'"}'),
    "html": (200, b"<!doctype html><title>Log in</title>"),
    "torn": (200, b'{"reading":{"id":7,"plant_id":"hydro-1","generation":{"turb'),
    "empty": (200, b""),
    "error": (500, {"error": "database is locked"}),
    "busy": (429, {"error": "too many requests"}),
}


def main(arguments: Sequence[str]) -> int:
    """Prints its address, and answers until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--plant", default="hydro-1")
    parser.add_argument("--key", default="a-key-of-the-plant")
    parser.add_argument("--unit", choices=tuple(WATTS), default="kW")
    parser.add_argument("--rated-w", type=float, default=200_000.0)
    parser.add_argument("--time-scale", type=float, default=1.0)
    parser.add_argument("--refresh-s", type=float, default=0.0)
    parser.add_argument("--trip", action="append", default=[], metavar="START+LENGTH:DROP_W")
    parser.add_argument("--lie", action="append", default=[], metavar="NAME@START+LENGTH")
    given = parser.parse_args(arguments)
    trips = [Trip(*map(float, text.replace("+", ":").split(":"))) for text in given.trip]
    script = [Lie(name, *map(float, when.split("+"))) for name, _, when in (text.partition("@") for text in given.lie)]
    made = FakeAggregator(
        Hydro(given.rated_w, trips),
        plant=given.plant,
        key=given.key,
        unit=given.unit,
        time_scale=given.time_scale,
        refresh_s=given.refresh_s,
        script=script,
        port=given.port,
    )
    with made:
        print(made.url, flush=True)  # noqa: T201  (whoever started it reads it)
        try:
            made.is_ending.wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
