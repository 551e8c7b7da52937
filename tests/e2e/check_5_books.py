"""The books, under the unit: where they are, who writes them, and what a kill leaves of them."""

from __future__ import annotations

import json
from typing import Any

from e2e.box import SOCKET, Box, until

API = "http://jouled/api/v1"
STORE = "/var/lib/jouled/jouled.sqlite"


def ask(daemon: Box, path: str, body: object = None, *, user: str = "alice") -> Any:
    words = ["--unix-socket", SOCKET, f"{API}{path}"]
    if body is not None:
        words += ["-H", "content-type: application/json", "-d", json.dumps(body)]
    return json.loads(daemon.curl(*words, user=user).stdout)


def test_the_store_is_the_daemons_own_and_nobody_elses(daemon: Box) -> None:
    until(lambda: daemon.path(STORE).exists())
    assert daemon.run("stat", "-c", "%U:%G %a", STORE).stdout == "jouled:jouled 600\n"


def test_a_member_of_the_group_writes_and_others_do_not(daemon: Box) -> None:
    made = ask(daemon, "/sites", {"id": "box", "name": "The box", "timezone": "Europe/Berlin"})
    assert made["timezone"] == "Europe/Berlin", made
    assert ask(daemon, "/sites/box")["name"] == "The box"
    refused = daemon.curl(
        "-o/dev/null", "-w%{http_code}", "http://127.0.0.1:9917/api/v1/sites", "-d{}", "-Hcontent-type:application/json"
    )
    assert refused.stdout == "401"


def test_what_was_measured_is_on_disk_after_a_stop_and_adds_up(daemon: Box) -> None:
    daemon.ctl("stop", "jouled.service")
    checked = daemon.run("runuser", "-u", "jouled", "--", "joulectl", "db", "--state-dir", "/var/lib/jouled", "check")
    assert "ok" in checked.stdout
    daemon.ctl("start", "jouled.service")
    totals = ask(daemon, "/records/totals")["items"]
    assert {"package", "dram"} & {zone["zone"] for zone in totals}
    assert all(zone["energy_joules"] > 0 for zone in totals), totals


def test_a_kill_leaves_whole_books(daemon: Box) -> None:
    daemon.drop_in("[Service]\nRestartSec=100ms\n")
    daemon.restart()
    killed = daemon.pid
    daemon.ctl("kill", "--signal=KILL", "jouled.service")
    until(lambda: daemon.show("ActiveState") == "active" and daemon.pid not in {0, killed})
    daemon.ctl("stop", "jouled.service")
    daemon.run("runuser", "-u", "jouled", "--", "joulectl", "db", "--state-dir", "/var/lib/jouled", "check")
    daemon.ctl("start", "jouled.service")
