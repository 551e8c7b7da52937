"""`joulectl balance`: what operators type, against the real daemon, and without one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from asked_balance import LOADS, Site, balanced_site, json_of, lines_of, until
from jouled.cli import balance_events, balance_status, joulectl, live_page
from jouled.cli.look import Look
from jouled.wire.balance import BalanceEvent, BalanceStatus, Paused, PendingChange

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with balanced_site(tmp_path_factory.mktemp("site"), store="none", more='mode = "ask"') as found:
        yield found


@pytest.fixture(autouse=True)
def calm(request: pytest.FixtureRequest) -> None:
    """As the settings say: root at the socket may set it, where there is no store and so no token."""
    if "site" not in request.fixturenames:
        return
    site: Site = request.getfixturevalue("site")
    for words in (("mode", "auto"), ("margin", "file"), ("limit", "none"), ("resume",)):
        lines_of(site.ctl("balance", *words))
    until(site.is_calm)
    lines_of(site.ctl("balance", "mode", "file"))


def test_the_status_tells_supply_budget_target_and_load(site: Site) -> None:
    lines = lines_of(site.ctl("balance", "status"))
    assert re.fullmatch("OK, band (hold|raise), mode ask", lines[0])
    assert re.fullmatch(r"supply    3600 W, fresh, read .+ ago", lines[1])
    assert lines[2] == "budget    3600 W, by plant"
    assert lines[3] == "target    3240 W, at a safety margin of 10 %"
    assert lines[4].startswith("load      3000 W: measured ")
    assert lines[5] == "loads     3 running; 3 are steered"
    assert lines_of(site.ctl("balance"))[2:4] == lines[2:4]
    assert json_of(site.ctl("balance", "status", "--json"))["target_power_w"] == 3240


def test_every_load_is_listed_with_what_it_does(site: Site) -> None:
    lines = lines_of(site.ctl("balance", "loads"))
    assert lines[0].split() == ["LOAD", "KIND", "STATE", "AT", "POWER", "WORST", "PRIORITY"]
    assert [line.split()[:3] for line in lines[1:]] == [[name, "dry-run", "running"] for name in sorted(LOADS)]
    assert {one["worst_watts"] for one in json_of(site.ctl("balance", "loads", "--json"))} == {1000.0}


def test_what_waits_is_listed_and_done_once_it_is_approved(site: Site) -> None:
    assert lines_of(site.ctl("balance", "margin", "25%", "--why", "a storm")) == ["safety margin 25 %"]
    waiting = until(lambda: json_of(site.ctl("balance", "decisions", "--json"))["items"])
    rows = lines_of(site.ctl("balance", "decisions"))
    assert rows[0].split() == ["ID", "CHANGE", "LOAD", "FROM", "TO", "WHY"]
    one = waiting[0]
    assert any(row.startswith(f"{one['id'][:8]}  shed    {one['miner_id']}") for row in rows)
    (said,) = lines_of(site.ctl("balance", "approve", one["id"][:8]))
    assert said.startswith(f"{one['id'][:8]} shed {one['miner_id']} to ")
    assert said.endswith(": approved")
    again = site.ctl("balance", "approve", one["id"])
    assert again.return_value == 1
    assert "only a proposed one can be decided on" in again.stderr

    def status() -> Any:
        page = json_of(site.ctl("balance", "events", "--json", "--load", one["miner_id"]))
        return [event["status"] for event in page["items"] if event["id"] == one["id"]]

    until(lambda: status() == ["completed"])
    table = lines_of(site.ctl("balance", "events"))
    assert table[0].split() == list(balance_events.HEADS)
    assert any("completed" in row for row in table[1:])


def test_all_that_wait_are_rejected_at_once(site: Site) -> None:
    lines_of(site.ctl("balance", "margin", "25"))
    until(lambda: json_of(site.ctl("balance", "decisions", "--json"))["items"])
    said = lines_of(site.ctl("balance", "reject", "--all"))
    assert said
    assert all(line.endswith(": cancelled") for line in said)


def test_a_limit_a_mode_and_a_pause_say_what_holds_and_are_shown_with_who_set_them(site: Site) -> None:
    assert lines_of(site.ctl("balance", "limit", "3.5kW", "--why", "the cable")) == ["the site is limited to 3500 W"]
    assert lines_of(site.ctl("balance", "mode", "observe")) == ["mode observe"]
    assert lines_of(site.ctl("balance", "pause", "--why", "we work on feeder A"))[0].startswith(
        "paused: nothing is raised"
    )
    shown = lines_of(site.ctl("balance", "settings"))
    assert "limit          3500 W; balance.limit is none" in shown
    assert any(re.fullmatch(r"  limit = 3500.0 by uid \d+, .*Z: the cable", line) for line in shown)
    until(lambda: json_of(site.ctl("balance", "status", "--json"))["limit_watts"] == 3500)
    lines = site.ctl("balance", "status").stdout.splitlines()
    assert "paused" in lines[0]
    assert any("we work on feeder A" in line for line in lines)
    assert lines_of(site.ctl("balance", "limit", "none")) == ["no limit is set"]
    assert lines_of(site.ctl("balance", "mode", "file")) == ["mode ask, as in the settings"]
    assert lines_of(site.ctl("balance", "margin", "file")) == ["safety margin 10 %, as in the settings"]
    assert json_of(site.ctl("balance", "settings", "--json"))["mode"] == "ask"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("margin", "51"), "0 to 50 percent"),
        (("margin", "nan"), "0 to 50 percent"),
        (("limit", "much"), "or none to lift it"),
        (("limit", "120"), "write 120kW or 120W"),
        (("limit", "-1"), "none to lift it"),
        (("mode", "maybe"), "observe"),
        (("approve",), "by their ids"),
        (("reject", "a", "--all"), "by their ids"),
        (("status", "--watch", "--json"), "do not go together"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_with_its_fix(words: tuple[str, ...], says: str) -> None:
    line = "from jouled.cli.joulectl import main; main()"
    asked = [sys.executable, "-c", line, "--url", "unix:/nowhere/jouled.sock", "balance", words[0], "--", *words[1:]]
    if words[0] in {"reject", "status"}:
        asked.remove("--")
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_events_are_followed_until_somebody_ends_it(site: Site) -> None:
    line = "from jouled.cli.joulectl import main; main()"
    url = f"unix:{site.folder}/jouled.sock"
    asked = [sys.executable, "-c", line, "--url", url, "balance", "events", "--follow", "--interval", "100ms", "--json"]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines_of(site.ctl("balance", "margin", "25"))
            wanted = until(lambda: json_of(site.ctl("balance", "decisions", "--json"))["items"])[0]["id"]
            seen = (json.loads(text) for text in process.stdout)
            assert next(one for one in seen if one["id"] == wanted)["status"] == "proposed"
        finally:
            process.kill()


def test_what_is_left_is_given_back_without_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    with balanced_site(tmp_path) as site:
        site.tell(2000.0)
        until(lambda: site.is_safe_below(2000.0))
        held = restore(path)
        assert (held.exit_code, type(held.exception).__name__) == (1, "HeldError")
        site.stop()
    would = lines_of(restore(path, "--dry-run"))
    assert would
    assert any("it was last told" in line for line in would)
    assert all("it was last told" in line or "it was told nothing" in line for line in would)
    assert len(json_of(restore(path, "--dry-run", "--json"))) == len(would)
    done = restore(path)
    assert done.return_value == 0
    assert sorted(lines_of(done)) == sorted(f"{line.split()[0]}: as it was found" for line in would)
    assert lines_of(restore(path)) == [
        f"nothing to give back: {tmp_path / 'balance'} names no load that is other than it was found"
    ]


def restore(path: Path, *more: str) -> Any:
    words = ["balance", "restore", "--config", str(path), *more]
    return CliRunner().invoke(joulectl.command, words, standalone_mode=False)


# ---- what is shown, without a daemon ----


def status(**fields: Any) -> BalanceStatus:
    from jouled.web.api.balance_shown import BalanceShown

    usual = {
        "is_enabled": True,
        "status": "OK",
        "band": "hold",
        "is_leader": True,
        "problems": (),
        "explanation": "",
        "mode": "auto",
    }
    return msgspec.structs.replace(BalanceShown().status(), **{**usual, **fields})


def change(number: int, **fields: Any) -> BalanceEvent:
    made = BalanceEvent(
        id=f"id-{number}",
        miner_id=f"miner-{number}",
        old_preset="3010",
        new_preset="off",
        old_power=3010.0,
        new_power=0.0,
        reason="too little",
        total_consumption_before=None,
        total_consumption_after=None,
        available_power=None,
        target_power=None,
        success=None,
        error_message=None,
        recorded_at=NOON + timedelta(minutes=number),
        kind="shed",
        status="executing",
        mode="auto",
        is_urgent=False,
        inputs={},
        expected={},
        observed={},
    )
    return msgspec.structs.replace(made, **fields)


def test_what_is_off_says_what_to_set() -> None:
    off = status(is_enabled=False, problems=("the balancer is switched off; set balance.enabled = true",))
    assert balance_status.lines(off, NOON, Look())[0] == "nothing is balanced here"
    assert balance_status.lines(off, NOON, Look())[1].startswith("! the balancer is switched off")
    assert not balance_status.is_well(off)


@pytest.mark.parametrize("fields", [{"status": "NO_DATA"}, {"status": "OVER_TARGET"}, {"is_saturated": True}])
def test_what_is_not_well_is_an_exit_code(fields: dict[str, Any]) -> None:
    assert balance_status.is_well(status(status="WARNING"))
    assert not balance_status.is_well(status(**{"status": "OK", **fields}))


def test_the_summary_says_who_leads_and_what_waits() -> None:
    paused = Paused(NOON, "uid 0", "")
    found = status(mode="ask", proposed=3, is_leader=False, leader="node-2", paused=paused, is_saturated=True)
    assert balance_status.summary(found) == (
        "OK, band hold, mode ask, nothing is left to shed, paused, 3 wait for approval, node-2 leads"
    )


def test_of_many_changes_on_their_way_some_are_shown_and_all_are_counted() -> None:
    pending = tuple(
        PendingChange(f"miner-{n}", "3010", "off", 3010.0, 0.0, NOON, NOON + timedelta(seconds=30), True, "trip")
        for n in range(25)
    )
    lines = balance_status.lines(status(pending=pending), NOON, Look())
    assert sum(line.startswith("miner-") for line in lines) == 20
    assert lines[-1] == "... and 5 more; --json has all"
    assert "30 s" in lines[-2]
    style = Look(height=10)
    body = balance_status.lines(status(pending=pending), NOON, style)
    small = live_page.page(body, "", NOON, style, verb=balance_status.LIVE_VERB, all_by=balance_status.ALL_BY)
    assert len(small) == 10
    assert "more lines" in small[-1]


def test_a_watch_into_a_file_has_a_line_for_each_change_and_none_for_powers() -> None:
    seen = iter(
        [
            (status(load_watts=3000.0), ""),
            (status(load_watts=3010.0), ""),
            (None, "no daemon\nhere"),
            (None, "no daemon\nhere"),
            (status(band="emergency", status="OVER_TARGET", load_watts=50_000.0), ""),
        ]
    )
    lines = list(balance_status.changes(seen, lambda: NOON))
    assert lines == [
        "2026-03-01 12:00:00Z OK, band hold, mode auto; load 3000 W of -",
        "2026-03-01 12:00:00Z no daemon\\x0ahere",
        "2026-03-01 12:00:00Z OVER_TARGET, band emergency, mode auto; load 50.00 kW of -",
    ]


def test_following_tells_each_state_of_each_change_once_and_nothing_from_before() -> None:
    first, second = change(2), change(3)
    done = msgspec.structs.replace(first, status="completed", success=True)
    away = "the daemon is away"
    seen: list[tuple[BalanceEvent, ...] | str] = [(first,), (change(1), first, second), away, away, (done, second)]
    assert list(balance_events.news(iter(seen))) == [first, second, "the daemon is away", done]


def test_a_line_of_an_event_moves_no_cursor_and_says_why_it_failed() -> None:
    line = balance_events.line(
        change(1, miner_id="x\x1b[2J", status="failed", error_message="no answer", is_urgent=True)
    )
    assert "\x1b" not in line
    assert line.endswith("shed! from 3010 to off, failed: too little; no answer")
