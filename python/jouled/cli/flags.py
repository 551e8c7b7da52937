"""The flags that stand for settings, as the settings themselves describe them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import click

from jouled.config import DEFAULT_PATH, shapes
from jouled.config.document import default_words

Function = TypeVar("Function", bound=Callable[..., object])


def settings_flags(function: Function) -> Function:
    """Adds `--config` and a flag for every setting that has one; what they hold goes through `given`."""
    for key in reversed([key for key in shapes.config_keys() if key.flag]):
        assert key.flag is not None  # noqa: S101  (the line above)
        function = click.option(
            key.flag,
            _parameter(key),
            metavar=key.metavar or None,
            multiple=key.is_list,
            is_flag=key.is_switch,
            default=None,
            help=_help(key),
        )(function)
    return click.option(
        "--config",
        "path",
        metavar="FILE",
        help=f"Read settings from this TOML file, '' for none.  [default: {DEFAULT_PATH}, where it is; env: JOULED_CONFIG]",
    )(function)


def given(flags: Mapping[str, object]) -> dict[str, object]:
    """Click's parameters by the settings' dotted keys."""
    return {key.dotted: flags[_parameter(key)] for key in shapes.config_keys() if key.flag}


def _parameter(key: shapes.Key) -> str:
    return key.dotted.replace(".", "_")


def _help(key: shapes.Key) -> str:
    choice = shapes.words(shapes.bare(key.hint)) or ("" if key.is_list or key.metavar == "DIR" else shapes.allowed(key))
    parts = [
        choice,
        "may be repeated" if key.is_list else "",
        f"default: {default_words(key)}",
        f"env: {key.variable}",
    ]
    return f"{key.description}  [{'; '.join(part for part in parts if part)}]"
