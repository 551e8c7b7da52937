"""The section [balance]: what it refuses, and what a reload applies."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jouled import config
from jouled.balance.site.rules import Rules
from jouled.config.balance import Balance
from jouled.config.books import Node, Store
from jouled.control.site.opening import check
from jouled.control.site.rules import rules_of
from jouled.errors import ConfigError


def loaded(tmp_path: Path, *lines: str) -> config.Config:
    path = tmp_path / "jouled.toml"
    path.write_text("\n".join(("[balance]", *lines)))
    return config.load(str(path))


def test_the_usual_settings_are_the_usual_rules() -> None:
    assert rules_of(Balance()) == Rules()


def test_each_setting_is_a_rule_in_its_unit(tmp_path: Path) -> None:
    made = rules_of(
        loaded(
            tmp_path,
            "reserve = 20",
            "emergency = 99",
            "reduce = 95",
            "deadband = 5",
            'raise_after = "10m"',
            'smooth = "20m"',
            'dwell = "1h"',
            'ramp = "20kW"',
            "changes_per_hour = 7",
            "load_changes_per_hour = 2",
            "parallel = 9",
            'stale = "90s"',
            'cycle = "5s"',
        ).balance
    )
    assert made == Rules(0.2, 0.99, 0.95, 0.05, 600.0, 1200.0, 20_000.0, 3600.0, 7, 2, 9, 90.0, "marginal", 5.0)
    assert rules_of(Balance(), 30.0).reserve == 0.3


def test_this_host_as_a_load_takes_its_caps_which_is_said_before_the_daemon_starts(tmp_path: Path) -> None:
    host = '[[balance.load]]\nname = "own"\nkind = "host"'
    with pytest.raises(ConfigError, match=r"jouled.toml:\d+: balance\.load\[0\]\.kind: .* caps\.enabled = true"):
        loaded(tmp_path, "enabled = true", host)
    assert loaded(tmp_path, "enabled = true", host, "[caps]", "enabled = true").balance.load[0].kind == "host"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("reserve = 51", "balance.reserve"),
        ("reserve = -1", "balance.reserve"),
        ("reduce = 97", "balance.emergency"),
        ("reduce = 90", "above the target"),
        ("deadband = 0", "balance.deadband"),
        ('limit = "0W"', "leave it out"),
        ('stale = "5s"', "balance.cycle"),
        ('mode = "automatic"', "auto, ask, observe"),
        ('on_exit = "off"', "hold, restore, safe"),
        ('[[balance.load]]\nname = "a"\nkind = "dry-run"\n[[balance.load]]\nname = "a"\nkind = "dry-run"', "twice"),
    ],
)
def test_a_mistake_is_refused_with_its_key_and_what_it_may_be(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, line)
    assert says in str(refused.value)


def test_a_reload_applies_how_it_balances_and_not_what(tmp_path: Path) -> None:
    before = loaded(tmp_path)
    after = loaded(tmp_path, "reserve = 25", 'mode = "observe"', 'limit = "50kW"', 'meter = "miners"')
    changes = config.changes(before, after)
    assert set(changes.applied) == {"balance.reserve", "balance.mode", "balance.limit"}
    assert set(changes.restart) == {"balance.meter"}
    merged = config.merged(before, after).balance
    assert (merged.reserve_pct, merged.mode, merged.limit_w, merged.meter) == (25.0, "observe", 50_000.0, None)


def test_daemons_that_share_a_server_must_know_their_site() -> None:
    """By their own names each would be elected, and two would balance the same loads."""
    shared = config.Config(balance=Balance(limit_w=10_000.0), store=Store(url="postgresql://jouled@db/jouled"))
    with pytest.raises(ConfigError, match=r"node\.site.*the same in each"):
        check(shared, has_plan=False)
    check(msgspec.structs.replace(shared, node=Node(site="hydro-plant")), has_plan=False)
    check(msgspec.structs.replace(shared, store=Store(url="sqlite")), has_plan=False)
