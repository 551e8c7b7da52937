"""A span of time as the verbs take it: in the words of the settings file, within bounds."""

from __future__ import annotations

from collections.abc import Callable

import click


def duration(least_s: float, most_s: float) -> Callable[[str | float], float]:
    """The type of an option that takes `500ms`, `5s`, `2m`, or seconds, within these bounds. Its default
    is a number of seconds.
    """

    def convert(text: str | float) -> float:
        if not isinstance(text, str):
            return text
        from jouled.config.units import SECONDS  # imported for those who name a time: the settings are large

        try:
            span_s = SECONDS.parse(text)
        except ValueError as error:
            raise click.BadParameter(f"{error}.") from error
        if not least_s <= span_s <= most_s:
            raise click.BadParameter(
                f"{text} is out of range; choose {SECONDS.text(least_s)} to {SECONDS.text(most_s)}."
            )
        return span_s

    return convert
