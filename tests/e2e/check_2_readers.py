"""Who may read, where, and how the daemon comes to listen there."""

from __future__ import annotations

import hashlib

from e2e.box import SOCKET, TCP, Box, until

PAGE = "http://jouled/metrics"
TOKEN = "a-token-of-high-entropy-made-for-this-check"


def test_anybody_on_the_host_may_read_the_page_by_tcp(daemon: Box) -> None:
    assert "jouled_zone_watts" in daemon.get("/metrics")
    assert daemon.get("/readyz") == "ready\n"


def test_the_socket_is_for_root_and_the_group(daemon: Box) -> None:
    assert daemon.run("stat", "-c", "%U:%G %a", SOCKET).stdout == "root:jouled 660\n"
    for user in ("root", "alice"):
        done = daemon.curl("--fail", "--unix-socket", SOCKET, PAGE, user=user)
        assert (done.returncode, "jouled_zone_watts" in done.stdout) == (0, True), done.stderr
    refused = daemon.curl("--fail", "--unix-socket", SOCKET, PAGE, user="bob")
    assert (refused.returncode, refused.stdout) == (7, "")  # could not connect


def test_a_member_of_the_group_asks_with_joulectl(daemon: Box) -> None:
    asked = ("joulectl", "--url", f"unix:{SOCKET}", "zones")
    zones = daemon.run("runuser", "-u", "alice", "--", *asked)
    assert "package" in zones.stdout
    refused = daemon.run("runuser", "-u", "bob", "--", *asked, is_checked=False)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "ermission denied" in refused.stderr


def test_the_counters_themselves_are_for_the_group_too(daemon: Box) -> None:
    counter = "/run/written-sysfs/class/powercap/intel-rapl:0/energy_uj"
    assert daemon.run("runuser", "-u", "alice", "--", "cat", counter).stdout.strip().isdigit()
    assert daemon.run("runuser", "-u", "bob", "--", "cat", counter, is_checked=False).returncode == 1


def test_the_first_client_starts_the_daemon_and_is_answered(daemon: Box) -> None:
    daemon.ctl("stop", "jouled.service")
    assert daemon.pid == 0
    done = daemon.curl("--fail", "--unix-socket", SOCKET, PAGE, user="alice")
    assert (done.returncode, "jouled_zone_watts" in done.stdout) == (0, True), done.stderr
    until(lambda: daemon.show("ActiveState") == "active")
    assert daemon.run("stat", "-c", "%U:%G %a", SOCKET).stdout == "root:jouled 660\n"


def test_the_socket_outlives_restarts_and_clients_wait_in_it(daemon: Box) -> None:
    before = daemon.run("stat", "-c", "%i", SOCKET).stdout
    daemon.restart()
    assert daemon.run("stat", "-c", "%i", SOCKET).stdout == before
    daemon.ctl("--no-block", "restart", "jouled.service")
    done = daemon.curl("--fail", "--unix-socket", SOCKET, PAGE, user="alice")
    assert (done.returncode, "jouled_zone_watts" in done.stdout) == (0, True), done.stderr


def test_stopping_the_socket_stops_all_and_takes_it_away(daemon: Box) -> None:
    daemon.ctl("stop", "jouled.socket")
    assert daemon.show("ActiveState") == "inactive"
    assert daemon.run("test", "-e", SOCKET, is_checked=False).returncode == 1
    daemon.ctl("start", "jouled.service")
    assert daemon.show("ActiveState", "jouled.socket") == "active"


def test_a_tcp_address_of_the_socket_unit_is_served_as_the_settings_say(daemon: Box) -> None:
    daemon.ctl("stop", "jouled.socket")
    daemon.drop_in("[Socket]\nListenStream=127.0.0.1:9917\n", "jouled.socket")
    daemon.ctl("start", "jouled.socket")
    assert daemon.pid == 0
    assert "jouled_zone_watts" in daemon.get("/metrics")  # which started it


def test_a_token_whose_hash_is_a_credential_of_systemd(daemon: Box) -> None:
    hashed = f"sha256${hashlib.sha256(TOKEN.encode()).hexdigest()}"
    daemon.write("/etc/jouled/scraper.hash", f"{hashed}\n")
    daemon.path("/etc/jouled/scraper.hash").chmod(0o600)  # root's alone: systemd hands it over
    daemon.drop_in("[Service]\nLoadCredential=scraper:/etc/jouled/scraper.hash\n")
    listener = '[[listen]]\naddress = "127.0.0.1:9917"\ntokens = ["credential:scraper"]\n'
    daemon.settings(daemon.path("/etc/jouled/jouled.toml").read_text() + listener)
    daemon.restart()
    assert daemon.curl("--fail", f"{TCP}/metrics").returncode == 22  # 401
    wrong = daemon.curl("--fail", "--header", "Authorization: Bearer wrong", f"{TCP}/metrics")
    right = daemon.curl("--fail", "--header", f"Authorization: Bearer {TOKEN}", f"{TCP}/metrics")
    assert (wrong.returncode, right.returncode) == (22, 0), right.stderr
    assert "jouled_zone_watts" in right.stdout
    assert daemon.curl("--fail", "--unix-socket", SOCKET, PAGE, user="alice").returncode == 0  # needs none
