"""The real daemon, and a store that is away."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from jouled.store import Store
from running import Running, running_jouled
from stores import Postgres


def status_of(daemon: Running, path: str) -> tuple[int, Any]:
    try:
        return 200, json.loads(daemon.get(path))
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_daemon_measures_while_its_server_is_away_and_takes_it_when_it_comes(
    server: Postgres, tmp_path: Path
) -> None:
    url = server.address(server.create())
    server.stop()
    with running_jouled("--meter=fake", f"--state-dir={tmp_path}", f"--store={url}") as daemon:
        assert "the store is away, measuring goes on" in daemon.said
        assert b"jouled" in daemon.get("/metrics")
        status, body = status_of(daemon, "/api/v1/sites")
        assert status == 503
        assert {"error", "message"} <= set(body)

        server.start()
        while status_of(daemon, "/api/v1/sites")[0] == 503:
            time.sleep(0.1)
        assert status_of(daemon, "/api/v1/sites")[0] == 200

        server.stop()
        assert status_of(daemon, "/api/v1/sites")[0] == 503
        assert b"jouled" in daemon.get("/metrics")
        server.start()
        while status_of(daemon, "/api/v1/sites")[0] == 503:
            time.sleep(0.1)


def test_a_daemon_with_a_store_of_a_newer_one_is_refused_with_code_2(tmp_path: Path) -> None:
    with Store(state_dir=str(tmp_path)) as store:
        store.write(lambda c: c.exec_driver_sql("UPDATE schema_version SET version_num = '9999'"))

    flags = ["--meter=fake", "--listen=127.0.0.1:0", "--log-format=text", "--store=sqlite", f"--state-dir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "jouled", *flags], stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "version 9999" in done.stderr
    assert "install the jouled that made them" in done.stderr
