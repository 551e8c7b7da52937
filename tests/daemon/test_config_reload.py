from __future__ import annotations

import msgspec
import pytest

from jouled.config import Access, Changes, Config, Limits, Listener, Log, Tls, changes, merged, shapes

TOKEN = "sha256$" + "0f" * 32


def test_without_a_difference_nothing_changes() -> None:
    config = Config(listen=("a:1", Listener(address="b:2"), "127.0.0.1:0", "127.0.0.1:0"))
    assert changes(config, config) == Changes((), ())
    assert merged(config, config) == config


def test_what_can_be_applied_is_and_the_rest_needs_a_restart() -> None:
    old = Config()
    new = Config(
        interval_s=1.0,
        top=5,
        meters=("fake",),
        access=Access(rate_hz=1.0, privileged=("ann",)),
        log=Log(level="debug", format="json"),
    )
    assert changes(old, new) == Changes(
        applied=("access.privileged", "access.rate", "interval", "log.level"),
        restart=("log.format", "meters", "top"),
    )
    in_force = merged(old, new)
    assert (in_force.interval_s, in_force.log.level, in_force.access) == (1.0, "debug", new.access)
    assert (in_force.top, in_force.meters, in_force.log.format) == (None, ("auto",), "auto")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tls", Tls(cert="c", key="k")),
        ("users", {"ann": "credential:ann"}),
        ("tokens", (TOKEN,)),
        ("detail", "full"),
        ("limits", Limits(connections=1)),
        ("plaintext", True),
    ],
)
def test_all_of_a_listener_but_its_address_is_applied(field: str, value: object) -> None:
    old = Config(listen=("127.0.0.1:1", "127.0.0.1:2"))
    listener = msgspec.structs.replace(Listener(address="127.0.0.1:2"), **{field: value})
    new = Config(listen=(listener, "127.0.0.1:1"))
    assert changes(old, new) == Changes((f"listen[127.0.0.1:2].{field}",), ())
    assert merged(old, new).listen == ("127.0.0.1:1", listener)


def test_a_listener_that_comes_or_goes_needs_a_restart_and_the_others_do_not() -> None:
    old = Config(listen=("a:1", Listener(address="127.0.0.1:2", tokens=(TOKEN,))))
    new = Config(listen=("c:3", "127.0.0.1:2"))
    assert changes(old, new) == Changes(("listen[127.0.0.1:2].tokens",), ("listen",))
    assert merged(old, new).listen == ("a:1", Listener(address="127.0.0.1:2"))


def test_after_a_reload_only_what_needs_a_restart_is_left() -> None:
    old = Config(listen=("a:1",))
    new = Config(interval_s=9.0, top=1, listen=(Listener(address="a:1", detail="full"), "b:2"), log=Log(level="error"))
    assert changes(merged(old, new), new) == Changes((), ("listen", "top"))


def test_the_text_of_the_live_keys() -> None:
    assert [key.dotted for key in shapes.config_keys() if key.is_live] == [
        "interval",
        "access.rate",
        "access.resolution",
        "access.privileged",
        "log.level",
        "caps.on_exit",
        "caps.on_lapse",
        "caps.safe",
        "caps.min",
        "caps.max",
        "caps.division",
        "caps.check",
        "caps.lease_max",
        "balance.mode",
        "balance.reserve",
        "balance.strategy",
        "balance.cycle",
        "balance.limit",
        "balance.unmanaged",
        "balance.consumption",
        "balance.emergency",
        "balance.reduce",
        "balance.deadband",
        "balance.raise_after",
        "balance.smooth",
        "balance.dwell",
        "balance.ramp",
        "balance.changes_per_hour",
        "balance.load_changes_per_hour",
        "balance.parallel",
        "balance.stale",
        "balance.rejected",
        "balance.on_exit",
    ]
