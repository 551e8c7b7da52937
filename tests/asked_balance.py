"""A daemon that balances three pretended loads under a plant that the test tells, and who asks it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from jouled.cli import joulectl
from running import running
from serving_api import Answer, Api

# All of them together may draw 3000 W where nothing bounds them.
LOADS = ("one", "two", "three")
TOGETHER_W = 3000.0
PLENTY_W = 3600.0
# With this margin that is above the target, and not so far that it would be an emergency.
TIGHT = {"safety_margin_percent": 25}
STATUS = "/api/v1/balance/status"


class Site(NamedTuple):
    """`api.url` is where it answers; `token` has the scope control, where there is a store."""

    folder: Path
    api: Api
    token: str | None
    stop: Callable[[], float]

    def tell(self, supply_w: float) -> None:
        tell(self.folder, supply_w)

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        return self.api.ask(method, f"/api/v1{path}", body, self.token)

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, answer.body
        return answer.json

    def calm(self) -> None:
        """As the settings say, with plenty, all loads at their most, and nothing that waits."""
        self.tell(PLENTY_W)
        settings = {"mode": "auto", "safety_margin_percent": None, "limit_watts": None}
        assert self.ask("PATCH", "/settings", settings).status == 200
        assert self.ask("POST", "/balance/resume").status == 200
        until(self.is_calm)
        assert self.ask("PATCH", "/settings", {"mode": None}).status == 200
        until(lambda: not self.get("/balance/decisions")["items"])

    def is_calm(self) -> bool:
        found = self.get("/balance/status")
        return found["expected_consumption_w"] == TOGETHER_W and not found["pending"] and found["status"] == "OK"

    def is_safe_below(self, supply_w: float) -> bool:
        found = self.get("/balance/status")
        return found["supply_watts"] == supply_w and found["status"] == "OK" and not found["pending"]

    def proposed(self) -> list[Any]:
        """What waits where the margin is tight."""
        assert self.ask("PATCH", "/settings", TIGHT).status == 200
        return list(until(lambda: self.get("/balance/decisions")["items"]))

    def ctl(self, *words: str) -> Result:
        """As somebody with the token types it, at the same address."""
        environ = {"JOULED_URL": f"unix:{self.folder}/jouled.sock", "JOULED_TOKEN": "", "COLUMNS": "200"}
        runner = CliRunner(env=environ)
        return runner.invoke(joulectl.command, [*words], catch_exceptions=False, standalone_mode=False)


def tell(folder: Path, supply_w: float) -> None:
    new = folder / "plant.new"
    new.write_text(f"{supply_w}\n")
    new.rename(folder / "plant.json")


def until(look: Callable[[], Any]) -> Any:
    end_s = time.monotonic() + 60
    while not (found := look()):
        if time.monotonic() > end_s:
            pytest.fail("it did not come to be")
        time.sleep(0.05)
    return found


@contextmanager
def balanced_site(folder: Path, *, store: str = "sqlite", more: str = "") -> Iterator[Site]:
    tell(folder, PLENTY_W)
    tables = [f'[[balance.load]]\nname = "{name}"\nkind = "dry-run"\nmin = 100\nmax = 1000' for name in LOADS]
    path = folder / "jouled.toml"
    path.write_text(
        f"""\
state_dir = "{folder}"
listen = ["127.0.0.1:0", "unix:{folder}/jouled.sock"]
meters = ["fake"]
interval = "200ms"
[store]
url = "{store}"
[plant]
kind = "file"
file = "{folder}/plant.json"
unit = "W"
poll = "200ms"
stale = "1h"
hold = "2h"
fail = "3h"
[balance]
enabled = true
cycle = "200ms"
stale = "30s"
dwell = "0s"
raise_after = "0s"
smooth = "1s"
rejected = "2s"
changes_per_hour = 1000000
load_changes_per_hour = 3600
{more}
{chr(10).join(tables)}
"""
    )
    command = (sys.executable, "-m", "jouled", "--log-format=text", f"--config={path}")
    with running(*command, environ={"JOULED_STORE_URL": store}) as daemon:
        api = Api(daemon, folder)
        token = None if store == "none" else api.token("control").secret
        site = Site(folder, api, token, daemon.stop)
        until(lambda: site.ask("GET", "/balance/status").json.get("supply_watts"))
        yield site


def lines_of(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def json_of(result: Result) -> Any:
    return json.loads(result.stdout)
