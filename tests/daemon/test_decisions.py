"""The real daemon carries decisions out by real programs, and is killed while it does."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jouled.store import Store
from plants import mill
from running import Running, running

DECISION = {
    "facility_id": "mill",
    "decision_type": "shift_load",
    "source_zone_id": "hall-1",
    "target_zone_id": "hall-2",
    "load_shift_amount": 12.5,
    "reason": "a peak",
}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(self._path))


class Plant:
    """A state directory with a site, and daemons on it. `hall-1` is acted on by a program of Python."""

    def __init__(self, folder: Path, script: str) -> None:
        self._folder = folder
        self._socket = folder / "api.sock"
        program = folder / "load"
        program.write_text(f"#!{sys.executable}\n{script}")
        program.chmod(0o755)
        with Store(state_dir=str(folder)) as store:
            store.write(mill)

    def daemon(self) -> contextlib.AbstractContextManager[Running]:
        self._socket.unlink(missing_ok=True)
        flags = ("--listen=127.0.0.1:0", f"--listen=unix:{self._socket}", "--log-format=text", "--meter=fake")
        environ = {
            "JOULED_STORE_URL": "sqlite",
            "JOULED_STATE_DIR": str(self._folder),
            "JOULED_LOAD_COMMANDS": f"hall-1={self._folder}/load --hall 1",
        }
        return running(sys.executable, "-m", "jouled", *flags, environ=environ)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = UnixConnection(self._socket)
        with contextlib.closing(connection):
            headers = {} if body is None else {"content-type": "application/json"}
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")

    def approved(self) -> str:
        status, body = self.ask("POST", "/balancing/decisions", DECISION)
        assert status == 201, body
        assert self.ask("POST", f"/balancing/decisions/{body['id']}/approve")[0] == 200
        return str(body["id"])

    def decision(self, decision_id: str) -> Any:
        return self.ask("GET", f"/balancing/decisions/{decision_id}/steps")[1]["decision"]


def wait_until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.02)


def test_a_program_carries_a_decision_out(tmp_path: Path) -> None:
    plant = Plant(
        tmp_path, "import json, sys\nd = json.load(sys.stdin)\nprint(sys.argv[1:], d['load_shift_amount'], 'kW')"
    )
    with plant.daemon() as daemon:
        decision_id = plant.approved()
        status, body = plant.ask("POST", f"/balancing/decisions/{decision_id}/execute")
        assert (status, body["result"]) == (200, "['--hall', '1'] 12.5 kW")
        assert plant.decision(decision_id)["status"] == "completed"
        daemon.stop()


def test_killed_while_it_executes_the_next_start_says_that_it_failed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    plant = Plant(tmp_path, f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(1000)")
    with plant.daemon() as daemon:
        decision_id = plant.approved()

        def execute() -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                plant.ask("POST", f"/balancing/decisions/{decision_id}/execute")

        client = threading.Thread(target=execute)
        client.start()
        wait_until(lambda: pid.exists() and pid.read_text() != "")
        assert plant.decision(decision_id)["status"] == "executing"
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
        client.join()
    os.kill(int(pid.read_text()), signal.SIGKILL)
    with plant.daemon() as daemon:
        wait_until(lambda: plant.decision(decision_id)["status"] != "executing")
        decision = plant.decision(decision_id)
        assert (decision["status"], decision["completed_at"]) == ("failed", None)
        assert "the daemon ended while it was executing" in decision["result"]
        status, body = plant.ask("POST", f"/balancing/decisions/{decision_id}/execute")
        assert (status, body["error"]) == (409, "conflict")
        daemon.stop()


@pytest.mark.parametrize("script", ["import sys; sys.exit('no power')", "import nothing_like_it"])
def test_a_program_that_fails_is_no_success(tmp_path: Path, script: str) -> None:
    plant = Plant(tmp_path, script)
    with plant.daemon():
        decision_id = plant.approved()
        status, body = plant.ask("POST", f"/balancing/decisions/{decision_id}/execute")
        assert (status, " failed: " in body["message"]) == (409, True)
        assert plant.decision(decision_id)["status"] == "failed"
