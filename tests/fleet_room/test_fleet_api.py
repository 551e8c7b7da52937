"""Miners, models and loads over the API and by joulectl: found by the real daemon in a farm of fakes over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jouled.cli.joulectl import VERBS
from miners.farm import Farm
from running import Running, running

CONFIG = """
meters = ["fake"]
state_dir = "{state}"
[[listen]]
address = "127.0.0.1:0"
[[listen]]
address = "unix:{state}/jouled.sock"
[balance]
enabled = true
mode = "observe"
limit = "100kW"
poll = "0.2s"
cycle = "0.5s"
[[balance.load]]
name = "oven"
kind = "dry-run"
max = "500W"
[miners]
subnets = ["127.{net}.0.0/29"]
port = {port}
{more}
"""


class Site:
    """The daemon and its farm; `ask` is joulectl's way in."""

    def __init__(self, daemon: Running, state: Path, farm: Farm) -> None:
        self.daemon = daemon
        self.socket = f"unix:{state}/jouled.sock"
        self.farm = farm

    def ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("joulectl")), "--url", self.socket, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        from jouled.client import Client, DaemonError

        client = Client(self.socket)
        try:
            if method == "PATCH":
                return 200, client.patch(path, body, Any)
            return 200, client.delete(path, Any) if method == "DELETE" else client.ask(path, Any)
        except DaemonError as error:
            return error.status or 0, str(error)

    def until(self, path: str, is_so: Any) -> Any:
        """What is there, once it is so."""
        while True:
            status, found = self.ask("GET", path)
            if status == 200 and is_so(found):
                return found
            time.sleep(0.05)


@contextmanager
def site(tmp_path: Path, *, net: int, store: str = "sqlite", more: str = "") -> Iterator[Site]:
    with Farm(3, braiins=1, net=net) as farm:
        config = tmp_path / "jouled.toml"
        config.write_text(CONFIG.format(state=tmp_path, net=net, port=farm.port, more=more))
        with running(
            sys.executable,
            "-m",
            "jouled",
            "--log-format=text",
            "--config",
            str(config),
            environ={"JOULED_STORE_URL": store},
        ) as daemon:
            yield Site(daemon, tmp_path, farm)


@pytest.fixture(scope="module")
def mining(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("mining"), net=41) as found:
        found.until("/api/v1/miners", lambda page: len(described(page)) == 2)
        yield found


def described(page: Any) -> list[Any]:
    return [one for one in page["items"] if one["presets_power"] and one["latest_status"] and one["model"]]


def vnish(mining: Site) -> Any:
    page = mining.ask("GET", "/api/v1/miners")[1]
    return next(one for one in page["items"] if one["family"] == "vnish")


def test_miners_are_shown_with_the_fields_of_the_original(mining: Site) -> None:
    one = vnish(mining)
    original = {"id", "ip", "online", "managed", "model", "latest_status", "created_at", "updated_at"}
    assert original <= set(one)
    assert {"name", "alias", "max_preset", "presets", "presets_power", "created_at"} <= set(one["model"])
    assert {"preset", "power_w", "hashrate_th"} <= set(one["model"]["presets_power"][0])
    status = {"id", "state", "preset", "hashrate", "power_usage", "power_consumption", "recorded_at"}
    assert status <= set(one["latest_status"])
    assert 10 < one["latest_status"]["hashrate"] < 500
    assert "no max_preset is set for model" in one["unmanaged_reason"]
    assert "pass" not in json.dumps(one)


def test_what_was_never_seen_is_not_made_up(mining: Site) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        status, _ = mining.ask(method, "/api/v1/miners/02:ff:ff:ff:ff:ff", {"managed": True})
        assert status == 404
    assert mining.ask("PATCH", "/api/v1/models/none", {"max_preset": "1"})[0] == 404
    assert mining.ask("GET", "/api/v1/loads/none")[0] == 404


def test_what_makes_no_sense_is_refused_and_changes_nothing(mining: Site) -> None:
    one = vnish(mining)
    path, model = f"/api/v1/miners/{one['id']}", f"/api/v1/models/{one['model']['alias']}"
    for where, body, words in (
        (path, {}, "no fields to update"),
        (path, {"unlock_pass": ""}, "unlock_pass cannot be empty"),
        (path, {"max_preset": "9"}, "max_preset must match an available preset"),
        (path, {"managed": True, "enabled": False}, "the same"),
        (path, {"priority": 5000}, "priority"),
        (path, {"colour": "red"}, "colour"),
        (model, {}, "no fields to update"),
        (model, {"max_preset": "9"}, "max_preset must match an available preset"),
        (model, {"max_preset": "1100", "min_preset": "3200"}, "swap them"),
    ):
        status, said = mining.ask("PATCH", where, body)
        assert status == 400, (body, said)
        assert words in said
    assert vnish(mining)["model"]["max_preset"] is None


def test_a_model_that_gets_a_most_preset_is_steered_and_cleared_it_is_not(mining: Site) -> None:
    one = vnish(mining)
    names = [preset["preset"] for preset in one["presets_power"] if preset["is_tuned"]]
    path = f"/api/v1/models/{one['model']['alias']}"
    status, model = mining.ask("PATCH", path, {"max_preset": names[-1], "min_preset": names[0]})
    assert (status, model["max_preset"]) == (200, names[-1])
    load = mining.ask("GET", f"/api/v1/loads/{one['id']}")[1]
    assert load["is_managed"]
    assert [point["name"] for point in load["points"]] == ["off", *names]
    assert mining.ask("PATCH", path, {"max_preset": "", "min_preset": None})[1]["max_preset"] is None
    assert not mining.ask("GET", f"/api/v1/loads/{one['id']}")[1]["is_managed"]


def test_a_miner_has_bounds_priority_and_lock_of_its_own(mining: Site) -> None:
    one = vnish(mining)
    names = [preset["preset"] for preset in one["presets_power"] if preset["is_tuned"]]
    path = f"/api/v1/miners/{one['id'].upper()}"
    body = {"max_preset": names[1], "priority": 9, "circuit": "pdu-1"}
    status, changed = mining.ask("PATCH", path, body)
    assert status == 200, changed
    assert (changed["max_preset"], changed["priority"], changed["circuit"]) == (names[1], 9, "pdu-1")
    load = mining.ask("GET", f"/api/v1/loads/{one['id']}")[1]
    assert [point["name"] for point in load["points"]] == ["off", *names[:2]]
    assert mining.ask("PATCH", path, {"locked": True})[1]["unmanaged_reason"].startswith("locked")
    assert mining.ask("PATCH", path, {"locked": False, "managed": False})[1]["unmanaged_reason"].startswith("disabled")
    body = {"managed": True, "max_preset": "", "priority": None, "circuit": None}
    changed = mining.ask("PATCH", path, body)[1]
    assert (changed["max_preset"], changed["priority"], changed["circuit"]) == (None, 5, None)


def test_its_statuses_are_kept(mining: Site) -> None:
    one = vnish(mining)
    page = mining.until(f"/api/v1/miners/{one['id']}/statuses?limit=1", lambda page: page["items"])
    assert page["items"][0]["state"] in {"running", "starting"}
    assert page["items"][0]["power_usage"] == page["items"][0]["power_consumption"]


def test_a_miner_that_answers_is_not_forgotten(mining: Site) -> None:
    status, said = mining.ask("DELETE", f"/api/v1/miners/{vnish(mining)['id']}")
    assert status == 409
    assert "it still answers" in said


def test_all_loads_are_listed_in_pages_miners_or_not(mining: Site) -> None:
    first = mining.ask("GET", "/api/v1/loads?limit=1")[1]
    assert first["count"] == 1
    ids = [first["items"][0]["id"]]
    while (cursor := first["next_cursor"]) is not None:
        first = mining.ask("GET", f"/api/v1/loads?limit=1&cursor={cursor}")[1]
        ids += [one["id"] for one in first["items"]]
    assert ids == sorted(ids)
    assert "oven" in ids
    oven = mining.ask("GET", "/api/v1/loads/oven")[1]
    assert oven["span"]["ceiling_watts"] == 500.0
    assert (oven["kind"], oven["is_managed"]) == ("dry-run", True)


def test_a_password_is_kept_where_only_its_owner_reads_it_and_never_shown(mining: Site, tmp_path: Path) -> None:
    one = vnish(mining)
    status, changed = mining.ask("PATCH", f"/api/v1/miners/{one['id']}", {"unlock_pass": "tr0ub4dor"})
    assert status == 200
    assert "tr0ub4dor" not in json.dumps(changed)
    state = Path(mining.socket.removeprefix("unix:")).parent
    kept = state / "miner-passwords.json"
    assert "tr0ub4dor" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_the_metrics_tell_of_each_load_and_how_many_there_are(mining: Site) -> None:
    from jouled.client import Client

    page = Client(mining.socket).metrics()
    assert 'jouled_load_power_watts{kind="dry-run",load="oven"}' in page
    assert f'jouled_load_state{{load="{vnish(mining)["id"]}",state=' in page
    assert 'jouled_loads{state="running"}' in page
    assert "jouled_miner_scans_total" in page


def test_joulectl_shows_and_changes_them(mining: Site) -> None:
    one = vnish(mining)
    listed = mining.ctl("miners")
    assert listed.returncode == 0, listed.stderr
    assert one["id"] in listed.stdout
    assert len(json.loads(mining.ctl("miners", "list", "--json").stdout)) >= 2
    assert one["model"]["alias"] in mining.ctl("miners", "models").stdout
    done = mining.ctl("miners", "set", one["id"], "--priority", "7", "--lock")
    assert done.returncode == 0, done.stderr
    assert "locked" in done.stdout
    shown = mining.ctl("miners", "show", one["id"])
    assert "priority 7" in shown.stdout
    assert "its model has no max_preset" in shown.stdout
    assert mining.ctl("miners", "set", one["id"], "--unlock", "--priority", "5").returncode == 0
    name = one["presets_power"][0]["preset"]
    model = mining.ctl("miners", "model", one["model"]["alias"], "--max-preset", name)
    assert f"to {name}" in model.stdout, model.stderr
    assert f"to {name}, as its model" in mining.ctl("miners", "show", one["id"]).stdout
    assert mining.ctl("miners", "model", one["model"]["alias"], "--max-preset", "").returncode == 0
    assert mining.ctl("miners", "set", one["id"]).returncode == 2
    wrong = mining.ctl("miners", "show", "02:ff:ff:ff:ff:ff")
    assert wrong.returncode == 1
    assert "joulectl miners lists those that were found" in wrong.stderr
    assert "miners" in VERBS


def test_without_a_store_the_settings_count_and_changes_are_refused(tmp_path: Path) -> None:
    more = '[[miners.model]]\nname = "Antminer S19"\nmax_preset = "1500"\n'
    with site(tmp_path, net=42, store="none", more=more) as found:
        page = found.until("/api/v1/miners", lambda page: len(described(page)) == 2)
        one = next(one for one in page["items"] if one["family"] == "vnish")
        assert (one["model"]["name"], one["model"]["max_preset"]) == ("Antminer S19", "1500")
        assert one["unmanaged_reason"] is None
        status, said = found.ask("PATCH", f"/api/v1/miners/{one['id']}", {"locked": True})
        assert status == 503
        assert "store.url" in said
