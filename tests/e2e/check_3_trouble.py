"""What goes wrong, and what the daemon and systemd make of it."""

from __future__ import annotations

import time
from pathlib import Path

from e2e.box import SETTINGS, SOCKET, TCP, Box, until


def restarts(daemon: Box) -> int:
    return int(daemon.show("NRestarts"))


def test_a_daemon_that_hangs_is_ended_by_the_watchdog_and_started_again(daemon: Box) -> None:
    daemon.drop_in("[Service]\nWatchdogSec=2s\nRestartSec=100ms\n")
    daemon.restart()
    since, hung = daemon.now(), daemon.pid
    daemon.ctl("kill", "--signal=STOP", "jouled.service")
    until(lambda: daemon.show("ActiveState") == "active" and daemon.pid not in {0, hung})
    assert restarts(daemon) == 1
    said = daemon.said(since)
    assert "Watchdog timeout (limit 2s)!" in said
    assert daemon.get("/readyz") == "ready\n"


def test_a_watchdog_too_short_for_the_interval_does_not_end_a_daemon_that_is_well(daemon: Box) -> None:
    daemon.drop_in("[Service]\nWatchdogSec=1s\n")
    daemon.settings(Path(daemon.path(SETTINGS)).read_text().replace('"200ms"', '"2s"'))
    daemon.restart()
    pid = daemon.pid
    time.sleep(5)
    assert (daemon.pid, restarts(daemon)) == (pid, 0)


def test_a_daemon_that_is_killed_is_started_again(daemon: Box) -> None:
    daemon.drop_in("[Service]\nRestartSec=100ms\n")
    daemon.restart()
    killed = daemon.pid
    daemon.ctl("kill", "--signal=KILL", "jouled.service")
    until(lambda: daemon.show("ActiveState") == "active" and daemon.pid not in {0, killed})
    assert daemon.get("/readyz") == "ready\n"


def test_reload_applies_the_interval_and_names_what_needs_a_restart(daemon: Box) -> None:
    since, pid = daemon.now(), daemon.pid
    text = daemon.path(SETTINGS).read_text()
    daemon.settings(f"top = 5\n{text.replace('200ms', '1s')}")
    daemon.ctl("reload", "jouled.service")
    (line,) = until(lambda: [line for line in daemon.lines(since) if str(line["MESSAGE"]).startswith("reload")])
    assert line["MESSAGE"] == "reloaded: applied interval; a restart is needed for top"
    assert line["PRIORITY"] == "4"
    until(lambda: daemon.show("ActiveState") == "active")
    assert daemon.pid == pid
    before, start_s = daemon.page().sum("jouled_ticks_total"), time.monotonic()
    time.sleep(4)
    ticks = daemon.page().sum("jouled_ticks_total") - before
    elapsed_s = time.monotonic() - start_s
    assert elapsed_s - 2 <= ticks <= elapsed_s + 1  # 200 ms would have made five times as many


def test_a_mistake_is_refused_at_reload_and_everything_stays(daemon: Box) -> None:
    since, pid = daemon.now(), daemon.pid
    daemon.settings("intervall = 3\n")
    done = daemon.run("systemctl", "reload", "jouled.service", is_checked=False)
    assert done.returncode == 1
    said = daemon.said(since)
    assert "did you mean interval?" in said
    assert (daemon.pid, daemon.show("ActiveState")) == (pid, "active")
    # Whoever sends the signal by hand is told as well.
    daemon.ctl("kill", "--signal=HUP", "jouled.service")
    until(lambda: any("reload refused, everything stays as it was" in line for line in daemon.messages(since)))
    assert daemon.get("/readyz") == "ready\n"
    assert daemon.show("ActiveState") == "active"


def test_a_mistake_at_the_start_is_not_tried_again(daemon: Box) -> None:
    since = daemon.now()
    daemon.settings("intervall = 3\n")
    assert daemon.run("systemctl", "restart", "jouled.service", is_checked=False).returncode == 1
    time.sleep(4)  # longer than RestartSec
    assert (daemon.show("ActiveState"), daemon.show("ExecMainStatus"), restarts(daemon)) == ("failed", "2", 0)
    (line,) = (line for line in daemon.lines(since) if "did you mean interval?" in line["MESSAGE"])
    assert line["PRIORITY"] == "3"


def test_clients_of_a_daemon_that_cannot_start_do_not_start_it_for_ever(daemon: Box) -> None:
    daemon.settings("intervall = 3\n")
    daemon.run("systemctl", "restart", "jouled.service", is_checked=False)
    done = daemon.curl("--unix-socket", SOCKET, "http://jouled/metrics", user="alice")
    assert done.returncode != 0
    until(lambda: daemon.show("ActiveState", "jouled.socket") == "failed")
    daemon.settings("")
    daemon.ctl("reset-failed", "jouled.service", "jouled.socket")
    daemon.ctl("start", "jouled.service")
    assert daemon.show("ActiveState", "jouled.socket") == "active"


def test_a_problem_that_stays_is_one_line(daemon: Box) -> None:
    since = daemon.now()
    counter = "/run/written-sysfs/class/powercap/intel-rapl:0:0/energy_uj"
    daemon.ctl("stop", "feeder.service")
    kept = daemon.path(counter).read_text()
    daemon.path(counter).write_text("no number\n")
    before = daemon.page().sum("jouled_ticks_total")
    until(lambda: daemon.page().sum("jouled_ticks_total") > before + 10)
    daemon.path(counter).write_text(kept)
    daemon.ctl("start", "feeder.service")
    lines = [line for line in daemon.lines(since) if counter in str(line["MESSAGE"])]
    assert [line["PRIORITY"] for line in lines] == ["4"], lines


def test_it_stops_within_two_seconds_under_load(daemon: Box) -> None:
    # Not by the Unix socket, whose clients would start it again.
    fetch = f"while :; do curl -s {TCP}/metrics >/dev/null; done"
    for number in range(4):
        daemon.start_unit(f"load{number}", "sh", "-c", fetch)
    # Others never read what they asked for, or never finish asking.
    stuck = "exec 3<>/dev/tcp/127.0.0.1/9917; printf 'GET /metrics HTTP/1.1\\r\\nhost: x\\r\\n%s' \"$0\" >&3; sleep 60"
    for number, rest in enumerate(["", "\r\n", "", "\r\n"]):
        daemon.start_unit(f"stuck{number}", "bash", "-c", stuck, rest)
    time.sleep(1)
    since = daemon.now()
    start_s = time.monotonic()
    daemon.ctl("stop", "jouled.service")
    daemon.ctl("stop", "load*", "stuck*")
    # The daemon's own end; what systemd runs after it competes with the load as well.
    assert int(daemon.show("ExecMainExitTimestampMonotonic")) / 1e6 - start_s < 2
    (line, *_) = daemon.lines(since)
    assert (line["MESSAGE"], line["JOULED_SIGNAL"]) == ("stopping", "SIGTERM")
    assert daemon.show("Result") == "success"


def test_nothing_has_failed_in_the_end(daemon: Box) -> None:
    daemon.ctl("reset-failed")
    assert daemon.get("/readyz") == "ready\n"
    assert daemon.ctl("--failed", "--no-legend", "--plain") == ""
