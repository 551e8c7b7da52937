"""`joulectl plant`: what the plant gives, what of that is believed, and its feed judged."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from jouled.cli.joulectl import Options
from jouled.cli.plant_judge import judge

if TYPE_CHECKING:  # help must not wait for what asking needs
    from jouled.wire.plant import PlantReading

json_option = click.option("--json", "is_json", is_flag=True, help="Print it as JSON, as the API does.")


@click.group(invoke_without_command=True, no_args_is_help=False, context_settings={"max_content_width": 100})
@click.pass_context
def command(context: click.Context) -> None:
    """See what the plant gives, and what of that is believed; ask its feed once and judge it.

    \b
    joulectl plant                     the latest reading, and the supply now
    joulectl plant history --limit 20
    joulectl plant test                is the unit right, are the clocks?
    """  # noqa: D301  (the mark by which click keeps the lines)
    if context.invoked_subcommand is None:
        context.invoke(latest, is_json=False)


@command.command()
@json_option
@click.pass_obj
def latest(options: Options, *, is_json: bool) -> int:
    """Show the latest reading that was believed, how old it is, and what the supply is now.

    Exits with 1 where it is not fresh.
    """
    from jouled.client import Client
    from jouled.wire.plant import PlantReading

    # None where there is none: a union, which msgspec decodes as it does a type.
    kind: Any = PlantReading | None
    found: PlantReading | None = Client(options.url).ask("/api/v1/plant/latest", kind)
    if is_json:
        _print_json(found)
    elif found is None:
        click.echo("nothing is known of a plant: is plant.kind set? joulectl plant test asks its feed")
    else:
        from jouled.cli import look

        look.say(_lines(found), look.look_of(sys.stdout))
    return 0 if found is not None and found.stage == "fresh" else 1


@command.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=30, show_default=True, help="Readings at most.")
@json_option
@click.pass_obj
def history(options: Options, *, limit: int, is_json: bool) -> None:
    """List what the plant said, newest first, also what was not believed."""
    from jouled.client import Client
    from jouled.wire.plant import PlantReading
    from jouled.wire.problems import Page

    found = Client(options.url).ask(f"/api/v1/plant/history?limit={limit}", Page[PlantReading])
    if is_json:
        _print_json(found)
        return
    from jouled.cli import look

    rows = [
        [
            f"{one.recorded_at:%Y-%m-%d %H:%M:%SZ}",
            _kw(one.total_generation),
            _kw(one.total_container_consumption),
            "-" if one.supply_watts is None else _kw(one.supply_watts / 1000),
            one.stage,
            "" if one.accepted else look.clean(one.problem or one.judgement),
        ]
        for one in found.items
    ]
    heads = ("TIME", "GENERATION kW", "CONSUMPTION kW", "SUPPLY kW", "STAGE", "")
    style = look.look_of(sys.stdout)
    look.say(look.table(heads, rows, frozenset({1, 2, 3}), style), style)


command.add_command(judge)


def _lines(one: PlantReading) -> list[str]:
    from jouled.cli.look import clean, seconds_text

    supply = "not known" if one.supply_watts is None else f"{_kw(one.supply_watts / 1000)} kW"
    lines = [
        clean(f"plant {one.plant_id}: {_kw(one.total_generation)} kW, {seconds_text(one.age_seconds)} old"),
        f"supply now: {supply}, {one.stage}",
    ]
    if one.total_container_consumption is not None:
        # By balance.consumption: of others, of all, or left alone.
        lines.append(f"consumption {_kw(one.total_container_consumption)} kW, as it tells; see balance.consumption")
    if one.confidence is not None:
        lines.append(f"confidence {one.confidence:g}")
    lines += [
        clean(f"  {side} {name}: {_kw(power_kw)} kW")
        for side, sources in (("generation", one.generation_sources), ("consumption", one.consumption_sources))
        for name, power_kw in sources.items()
    ]
    return [*lines, clean(one.problem)] if one.problem else lines


def _kw(power_kw: float | None) -> str:
    return "-" if power_kw is None else f"{power_kw:.2f}"


def _print_json(found: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
