"""UPSes of Network UPS Tools, asked from `upsd` by its line protocol (RFC 9271)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import trio

from jouled.config.books import NUT_PORT, ups_place
from jouled.errors import JouledError
from jouled.signals.supply import Supply
from jouled.wire.devices import PowerDraft, Status

# upsd cuts its own lines at 512, and no driver has a thousand variables.
ANSWER_BYTES_MAX = 256 * 1024
VARIABLE = re.compile(r'VAR (\S+) (\S+) "((?:[^"\\]|\\.)*)"')
# What upsd says when a UPS is there and its values are not those of now.
STALE = ("DATA-STALE", "DRIVER-NOT-CONNECTED")


class UpsAwayError(JouledError):
    """The UPS could not be asked. `is_stale` where its server says that it knows nothing new."""

    def __init__(self, message: str, *, is_stale: bool = False) -> None:
        super().__init__(message)
        self.is_stale = is_stale


class Ups(NamedTuple):
    """One UPS: `NAME@HOST` or `NAME@HOST:PORT`."""

    name: str
    host: str
    port: int = NUT_PORT

    def __str__(self) -> str:
        return f"{self.name}@{self.host}" + (f":{self.port}" if self.port != NUT_PORT else "")

    @classmethod
    def parse(cls, text: str) -> Ups:
        """Of an entry of the settings, which has been checked there. Raises ValueError for any other."""
        return cls(*ups_place(text))


async def read_ups(ups: Ups, timeout_s: float = 5.0) -> Supply:
    """Over a connection of its own, so that a server that was started anew is found. Raises UpsAwayError."""
    try:
        with trio.fail_after(timeout_s):
            lines = await _ask(ups)
    except trio.TooSlowError:
        raise UpsAwayError(f"{ups}: no whole answer within {timeout_s:g} s; see the log of upsd") from None
    except (OSError, trio.BrokenResourceError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UpsAwayError(f"{ups}: {reason}; start nut-server there, or mend supplies.nut") from None
    return supply_of(ups, variables_of(ups, lines))


async def _ask(ups: Ups) -> list[str]:
    async with await trio.open_tcp_stream(ups.host, ups.port) as stream:
        await stream.send_all(f"LIST VAR {ups.name}\nLOGOUT\n".encode())
        held = b""
        last = f"END LIST VAR {ups.name}\n".encode()
        async for part in stream:
            held += part
            if len(held) > ANSWER_BYTES_MAX:
                raise UpsAwayError(f"{ups}: more than {ANSWER_BYTES_MAX} bytes; is it upsd that listens there?")
            if last in held or (held.startswith(b"ERR") and b"\n" in held):
                break
    return held.decode(errors="replace").splitlines()


def variables_of(ups: Ups, lines: list[str]) -> dict[str, str]:
    """By name. Raises UpsAwayError where the server refuses, or ended half-way."""
    if lines and lines[0].startswith("ERR"):
        reason = lines[0].removeprefix("ERR").strip()[:100]
        fix = "see its driver's log" if reason.startswith(STALE) else "mend supplies.nut, or upsd.users there"
        raise UpsAwayError(f"{ups}: {reason}; {fix}", is_stale=reason.startswith(STALE))
    if f"END LIST VAR {ups.name}" not in lines:
        raise UpsAwayError(f"{ups}: the answer broke off; see the log of upsd")
    found = {}
    for line in lines:
        if (match := VARIABLE.fullmatch(line)) is not None:
            found[match[2]] = re.sub(r"\\(.)", r"\1", match[3])
    return found


def supply_of(ups: Ups, variables: Mapping[str, str]) -> Supply:
    """Raises UpsAwayError for a UPS without a status: nothing can be told of it."""
    tokens = set(variables.get("ups.status", "").split())
    if not tokens & {"OL", "OB", "LB", "FSD", "CHRG", "DISCHRG", "OFF", "BYPASS", "CAL"}:
        said = " ".join(sorted(tokens))[:60] or "nothing"
        raise UpsAwayError(f"{ups}: its status says {said}; see its driver's log", is_stale="WAIT" in tokens)
    charge_pct = _number(variables, "battery.charge")
    draft = PowerDraft(
        voltage=_number(variables, "battery.voltage"),
        wattage=_power_w(variables),
        charge_pct=None if charge_pct is None else min(100.0, max(0.0, charge_pct)),
        status=status_of(tokens, charge_pct),
        is_low=bool(tokens & {"LB", "FSD"}),
    )
    return Supply(str(ups), "ups", _capacity_wh(variables), draft)


def status_of(tokens: set[str], charge_pct: float | None) -> Status:
    """Tokens that are not known change nothing. OB is the word that counts: some say CHRG all the time."""
    if "OB" in tokens or "FSD" in tokens or ("DISCHRG" in tokens and "OL" not in tokens):
        return "discharging"
    if "CHRG" in tokens:
        return "charging"
    return "full" if charge_pct is not None and charge_pct >= 100 else "idle"


def _power_w(variables: Mapping[str, str]) -> float | None:
    """What it gives to its load."""
    watts = _number(variables, "ups.realpower")
    if watts is None:
        load_pct, nominal_w = _number(variables, "ups.load"), _number(variables, "ups.realpower.nominal")
        watts = None if load_pct is None or nominal_w is None else load_pct / 100 * nominal_w
    return None if watts is None or not 0 <= watts <= 1e9 else watts


def _capacity_wh(variables: Mapping[str, str]) -> float | None:
    charge_ah = _number(variables, "battery.capacity")
    volts = _number(variables, "battery.voltage.nominal") or _number(variables, "battery.voltage")
    if charge_ah is None or volts is None or charge_ah * volts <= 0:
        return None
    return charge_ah * volts


def _number(variables: Mapping[str, str], name: str) -> float | None:
    try:
        number = float(variables[name])
    except (KeyError, ValueError):
        return None
    return number if abs(number) <= 1e6 else None
