"""`joulectl plant test`: the feed is asked once, and judged."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import click

from jouled import config
from jouled.errors import ConfigError

if TYPE_CHECKING:  # help must not wait for what asking needs
    from jouled.balance.site.supply import Reading, SupplyRules
    from jouled.config import Config

EPILOG = """\b
Examples:
  joulectl plant test
  joulectl plant test --config new.toml    before the daemon is started with it
"""
# Of what is rated: a plant that gives less may also be one whose feed is in another unit.
LITTLE = 0.002
MANY_W = 1e8
# What becomes of the consumption that the feed tells, by balance.consumption.
COUNTED = {
    "ignore": "not counted: if it is what others draw, set balance.consumption to others; if the loads are in it, to all",
    "others": "drawn by others (balance.consumption)",
    "all": "drawn by the loads and by others (balance.consumption)",
}


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    is_good: bool
    words: str


@click.command("test", epilog=EPILOG)
@click.option("--config", "path", metavar="FILE", help="The daemon's settings.  [default: the daemon's]")
@click.option("--json", "is_json", is_flag=True, help="Print it as JSON.")
def judge(path: str | None, *, is_json: bool) -> int:
    """Ask the plant's feed once, as the settings say, and judge what it gives: its unit, its age, its sources.

    Exits with 1 where something is wrong. Keeps nothing, and no daemon is needed.
    """
    settings = config.load(config.find(path, os.environ), {}, os.environ)
    if settings.plant.kind == "none":
        raise ConfigError("plant.kind: no feed is set; set it to the kind of the plant's, see jouled.toml(5)")
    findings = list(_findings(settings))
    if is_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode([one._asdict() for one in findings])).decode())
    else:
        from jouled.cli import look

        rows = [[one.what, "ok" if one.is_good else "BAD", look.clean(one.words)] for one in findings]
        style = look.look_of(sys.stdout)
        look.say(look.table(("WHAT", "", ""), rows, frozenset(), style), style)
    return 0 if all(one.is_good for one in findings) else 1


def _findings(settings: Config) -> Iterator[Finding]:
    from jouled.control.plant.opening import notices, rules_of
    from jouled.http import SignalError

    for notice in notices(settings.plant):
        yield Finding("settings", settings.plant.kind == "mock", notice)
    began_s = time.monotonic()
    try:
        reading, where = _asked(settings)
    except SignalError as error:
        yield Finding("answer", False, str(error))
        return
    yield Finding("answer", True, f"{where}, after {time.monotonic() - began_s:.1f} s")
    yield from judged_findings(
        reading, rules_of(settings), settings.plant.unit, datetime.now(UTC), settings.balance.consumption
    )


def _asked(settings: Config) -> tuple[Reading, str]:
    """Raises ConfigError, SignalError."""
    import trio

    from jouled.signals.plant.registry import open_source

    async def fetch() -> tuple[Reading, str]:
        source = open_source(settings.plant)
        try:
            return await source.fetch(datetime.now(UTC)), source.where
        finally:
            await source.aclose()

    return trio.run(fetch)


def judged_findings(
    reading: Reading, rules: SupplyRules, unit: str | None, now: datetime, consumption: str = "ignore"
) -> Iterator[Finding]:
    """What a single reading can show."""
    from jouled.balance.site.supply import ACCEPTED, SupplyState, judged, supply_of

    state = judged(SupplyState(), reading, None, rules, now, 0.0)
    yield Finding("believed", state.judgement == ACCEPTED, state.problem or "it would be")
    yield _power(reading, rules, unit)
    age_s = (now - reading.sourced_at).total_seconds()
    stage = supply_of(state, rules, 0.0).stage if state.judgement == ACCEPTED else "not believed"
    yield Finding(
        "age", stage == "fresh", f"{age_s:.0f} s by its oldest source, {stage}; stale after {rules.stale_s:g} s"
    )
    if reading.confidence is None:
        yield Finding("confidence", True, "it tells none")
    else:
        is_sure = reading.confidence > rules.confidence_min
        yield Finding("confidence", is_sure, f"{reading.confidence:g}; more than {rules.confidence_min:g} is needed")
    if reading.consumption_w is not None:
        yield Finding("consumption", True, f"{_kw(reading.consumption_w)}, {COUNTED[consumption]}")
    for side, name, power_w in reading.sources:
        yield Finding(side, True, f"{name}: {_kw(power_w)}")
    for note in reading.notes:
        yield Finding("sources", False, note)


def _kw(power_w: float) -> str:
    """As finely as is worth reading."""
    return f"{power_w / 1000:.6g} kW" if abs(power_w) < MANY_W else f"{power_w / 1000:.0f} kW"


def _power(reading: Reading, rules: SupplyRules, unit: str | None) -> Finding:
    said = _kw(reading.generation_w) + (f", read as {unit}" if unit else "")
    if rules.rated_w is None:
        return Finding("unit", True, f"{said}; is that what the plant gives now? set plant.rated, and it is looked at")
    share = reading.generation_w / rules.rated_w
    said += f", {100 * share:.3g} % of plant.rated" if share < 1 else f", {100 * share:.0f} % of plant.rated"
    if share > 1:
        return Finding("unit", share <= 1.05, f"{said}; a unit that is too large?")
    if 0 < share < LITTLE:
        return Finding("unit", False, f"{said}; does it stand still, or is the unit too small?")
    return Finding("unit", True, said)
