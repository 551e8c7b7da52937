"""Caps from the command line to the files: the real daemon over limits that are plain files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import jouled
from jouled.bookkeeping import tokens
from jouled.store import Store
from limit_trees import LimitTree
from pages import promtool
from running import Running, running

PROGRAM = [sys.executable, "-c", "from jouled.cli.joulectl import main; main()"]


class Host:
    """A daemon, its socket, and the limits that it writes."""

    def __init__(self, daemon: Running, tree: LimitTree, folder: Path) -> None:
        self.daemon = daemon
        self.tree = tree
        self.state_dir = folder / "state"
        self.url = f"unix:{folder}/j.sock"

    def joulectl(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, "--url", self.url, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, **environ},
        )

    def powers_w(self) -> list[int]:
        files = sorted(self.tree.powercap.glob("*/constraint_*_power_limit_uw"))
        return [int(file.read_text()) // 1_000_000 for file in files]

    def put(self, path: str, body: object, token: str = "") -> tuple[int, Any]:
        """Over TCP."""
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        url = f"http://127.0.0.1:{self.daemon.port}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="PUT")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


ORIGINAL_W = [100, 120, 110, 130]


@contextmanager
def capping_host(folder: Path, **environ: str) -> Iterator[Host]:
    tree = LimitTree(folder)
    for number, watts in enumerate((100, 110)):
        tree.package(number, long_term=watts * 1_000_000, short_term=(watts + 20) * 1_000_000)
    given = {"JOULED_CAPS_ENABLED": "true", "JOULED_STORE_URL": "none", **environ}
    flags = (
        "--config=",
        "--listen=127.0.0.1:0",
        f"--listen=unix:{folder}/j.sock",
        "--log-format=text",
        "--meter=fake",
        "--interval=200ms",
    )
    where = (f"--sysfs={tree.sysfs}", f"--state-dir={folder}/state")
    with running(sys.executable, "-m", "jouled", *flags, *where, environ=given) as daemon:
        yield Host(daemon, tree, folder)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with capping_host(tmp_path_factory.mktemp("host")) as found:
        yield found


def test_a_cap_goes_from_the_command_line_to_the_files_and_back(host: Host) -> None:
    assert host.powers_w() == ORIGINAL_W
    planned = host.joulectl("caps", "set", "150", "--dry-run")
    assert planned.stdout.count(" -> 75000000 ") == 4
    assert host.powers_w() == ORIGINAL_W
    done = host.joulectl("caps", "set", "150", "--reason", "heat")
    assert (done.returncode, done.stderr) == (0, "")
    assert host.powers_w() == [75, 75, 75, 75]
    seen = json.loads(host.joulectl("caps", "list", "--json").stdout)
    assert (seen["asked_watts"], seen["effective_watts"], seen["leases"][0]["reason"]) == (150.0, 150.0, "heat")
    assert {limit["original_watts"] for zone in seen["zones"] for limit in zone["limits"]} == {100, 110, 120, 130}
    assert "at most 150 W, the limits are 150.00 W" in host.joulectl("status").stdout
    _page_with(host, b"jouled_cap_leases 1.0\n")
    assert "cap-in-force" in host.joulectl("doctor", "--wait", "100ms").stdout
    assert host.joulectl("caps", "set", "none").stdout.startswith("operator: lifted\nno cap; the limits are 210.00 W")
    assert host.powers_w() == ORIGINAL_W


def test_a_block_of_python_is_capped_and_nothing_after_it(host: Host) -> None:
    with jouled.cap(120, url=host.url) as cap:
        assert cap.effective_w == 120.0
        assert host.powers_w() == [60, 60, 60, 60]
        with jouled.cap(80, url=host.url):
            assert host.powers_w() == [40, 40, 40, 40]
        assert host.powers_w() == [60, 60, 60, 60]
    assert host.powers_w() == ORIGINAL_W


def test_what_cannot_be_is_refused_with_the_range_and_writes_nothing(host: Host) -> None:
    for watts in ("5", "9999"):
        refused = host.joulectl("caps", "set", watts)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert f"a cap of {watts} W cannot be; allowed is 10 W to 210 W" in refused.stderr
    assert "allowed is" in host.joulectl("caps", "set", "100", "--for", "300d").stderr
    assert host.powers_w() == ORIGINAL_W


def test_over_tcp_nobody_caps_where_there_are_no_tokens(host: Host) -> None:
    status, said = host.put("/api/v1/caps/operator", {"watts": 150})
    assert (status, said["error"]) == (401, "unauthorized")
    status, said = host.put("/api/v1/caps/operator", {"watts": 150}, token=f"{tokens.MARK}{'x' * 40}")
    assert (status, "use the Unix socket" in said["message"]) == (401, True)
    assert json.loads(host.daemon.get("/api/v1/caps"))["is_enabled"] is True
    assert host.powers_w() == ORIGINAL_W


def test_the_page_of_a_capped_host_passes_promtool(host: Host) -> None:
    capped = b'jouled_cap_limit_watts{index="0",interface="msr",limit="long_term",zone="package"} 60.0\n'
    with jouled.cap(120, url=host.url):
        page = _page_with(host, capped)
    assert promtool(page) == ""
    assert b"jouled_cap_original_watts{" in page


def _page_with(host: Host, line: bytes) -> bytes:
    """A page is that of a tick, and may be the one before."""
    end_s = time.monotonic() + 60
    while line not in (page := host.daemon.get("/metrics")):
        assert time.monotonic() < end_s, page
        time.sleep(0.05)
    return page


def test_restoring_is_refused_while_the_daemon_is_in_charge(host: Host) -> None:
    with jouled.cap(120, url=host.url):
        refused = host.joulectl("caps", "restore", "--config", "", "--state-dir", str(host.state_dir))
        assert (refused.returncode, "joulectl caps set none" in refused.stderr) == (1, True)
        assert host.powers_w() == [60, 60, 60, 60]


def test_with_a_store_a_token_caps_and_the_audit_knows(tmp_path: Path) -> None:
    with capping_host(tmp_path, JOULED_STORE_URL="sqlite") as host:
        with Store(state_dir=str(host.state_dir)) as store:

            def made(*scopes: str) -> str:
                now = datetime.now(UTC)
                return store.write(lambda connection: tokens.create(connection, "plc", scopes, None, now)).secret

            control, other = made("control"), made("write:sites", "execute")
        assert host.put("/api/v1/caps/plc", {"watts": 150}, token=other)[0] == 403
        assert host.powers_w() == ORIGINAL_W
        assert host.put("/api/v1/caps/plc", {"watts": 150}, token=control)[0] == 200
        assert host.powers_w() == [75, 75, 75, 75]
        tcp = f"http://127.0.0.1:{host.daemon.port}"
        done = subprocess.run(
            [*PROGRAM, "--url", tcp, "caps", "set", "none", "--all"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "JOULED_TOKEN": control},
        )
        assert done.stdout.startswith("1 cap lifted\n"), done.stderr
        assert host.powers_w() == ORIGINAL_W
        host.daemon.stop()
        with Store(state_dir=str(host.state_dir)) as store:
            from sqlalchemy import select

            from jouled.store.schema.access import audit

            query = select(audit.c.who, audit.c.method, audit.c.path, audit.c.status).order_by(audit.c.seq)
            rows = [tuple(row) for row in store.read(lambda connection: connection.execute(query).all())]
    assert rows == [
        ("token plc", "PUT", "/api/v1/caps/plc", 403),
        ("token plc", "PUT", "/api/v1/caps/plc", 200),
        ("token plc", "DELETE", "/api/v1/caps", 200),
    ]


def test_a_daemon_that_ends_gives_back_what_its_clients_had_taken(tmp_path: Path) -> None:
    with capping_host(tmp_path) as host:
        cap = jouled.cap(120, url=host.url).start()
        assert host.powers_w() == [60, 60, 60, 60]
        host.daemon.stop()
        assert host.powers_w() == ORIGINAL_W
    cap.stop()
    assert "ends by itself" in str(cap.problem)


def test_where_capping_is_off_nothing_is_written_and_the_fix_is_said(tmp_path: Path) -> None:
    with capping_host(tmp_path, JOULED_CAPS_ENABLED="false") as host:
        refused = host.joulectl("caps", "set", "150")
        assert (refused.returncode, "set caps.enabled = true" in refused.stderr) == (1, True)
        with pytest.raises(jouled.CapError, match=r"caps\.enabled"):
            jouled.cap(150, url=host.url).start()
        assert b"jouled_cap" not in host.daemon.get("/metrics")
        assert host.powers_w() == ORIGINAL_W
