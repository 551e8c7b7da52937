"""The settings as documents: the example file, its schema, the manual's and README's lists, what is in force."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct

from jouled.config import shapes
from jouled.config.hashes import is_elsewhere
from jouled.config.loading import DEFAULT, Traced
from jouled.config.refused import KeyPath
from jouled.config.settings import Config, Listener
from jouled.config.shapes import Key

HIDDEN = "(hidden)"
# A comment further right than this is hard to see as one of its line.
ORIGIN_COLUMN_MAX = 60

HEAD = """\
# Settings of jouled, the power daemon of this host; written by `joulectl config default`.
#
# Each key is here with its default, or with an example where there is none: remove the # of what is to differ.
# `jouled --check-config` checks this file, and `joulectl config show` says what holds and where it comes from.
# `systemctl reload jouled` applies what says so; the rest needs a restart.
# Each key has a variable, as JOULED_LOG_LEVEL is of log.level, and some have a flag; both override this file.
"""

LISTEN_HEAD = """\
# A place to listen can be a table, in place of an entry of `listen` above: once for each place.
# A reload applies all of these but the address.
"""


def example() -> str:
    """The file with every key in it, all of them comments."""
    parts = [HEAD, *_example_keys(shapes.config_keys(), ()), LISTEN_HEAD, "#[[listen]]", ""]
    parts += _example_keys(shapes.listener_keys(), ("listen",), is_comment=True)
    for key, struct in table_lists():
        parts += [f"# {key.description} Once for each.\n#[[{key.dotted}]]", ""]
        parts += _example_keys(shapes.entry_keys(struct), key.path, is_comment=True)
    return "\n".join(parts).rstrip() + "\n"


def table_lists() -> Iterator[tuple[Key, type[Struct]]]:
    """The keys whose entries are tables, and nothing else."""
    for key in shapes.config_keys():
        struct = shapes.only_tables(key)
        if struct is not None:
            yield key, struct


def _example_keys(keys: Sequence[Key], prefix: tuple[str, ...], *, is_comment: bool = False) -> Iterator[str]:
    table: tuple[str, ...] = ()
    for key in keys:
        if key.path[:-1] != table:
            table = key.path[:-1]
            # Open, so that a key below it that loses its # is not one of the table above.
            if not is_comment:
                yield f"# {_table_words(table)}"
            yield f"{'#' if is_comment else ''}[{'.'.join((*prefix, *table))}]\n"
        if shapes.only_tables(key) is not None:  # a section of its own, below
            continue
        yield f"# {key.description}"
        yield f"# {' '.join(facts(key))}"
        yield f"#{key.name} = {_example_value(key)}\n"


def facts(key: Key) -> Iterator[str]:
    """What it may be, when a change of it holds, and what it is where there is no value."""
    yield f"Allowed: {shapes.allowed(key)}."
    if key.is_live:
        yield "A reload applies it."
    if key.default is NODEFAULT:
        yield "Required:"
    elif not has_value(key.default):
        yield f"Default: {default_words(key)}. For example:"


def _table_words(path: tuple[str, ...]) -> str:
    key = shapes.find(path)
    return key.description if key is not None else ""


def default_words(key: Key) -> str:
    """The default as a person reads it: `5s`, `auto`, `all`."""
    if key.default is NODEFAULT:
        return "required"
    if not has_value(key.default):
        return str(key.extra.get("absent") or "none")
    return ", ".join(key.default) if key.is_list else _plain(key, key.default)


def has_value(value: object) -> bool:
    return value is not None and value not in ((), {})


def toml(key: Key, value: Any) -> str:
    """The value as the file would have it."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{_name(name)} = {_quoted(inner)}" for name, inner in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, tuple):
        return f"[{', '.join(_quoted(entry) for entry in value)}]"
    return _quoted(_plain(key, value)) if key.unit is not None or isinstance(value, str) else _plain(key, value)


def _example_value(key: Key) -> str:
    has_default = key.default is not NODEFAULT and has_value(key.default)
    return toml(key, key.default if has_default else key.extra["example"])


def _plain(key: Key, value: Any) -> str:
    if key.unit is not None:
        return key.unit.text(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(text: str) -> str:
    # What JSON escapes TOML escapes the same, but for DEL, which JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _name(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").replace("-", "").isalnum() else _quoted(name)


# ---- what is in force ----


def in_force(traced: Traced) -> str:
    """Every setting as TOML, each with the place that it comes from; hashes of secrets are not shown."""
    config = traced.config
    lines: list[tuple[str, str]] = []
    has_tables = any(isinstance(entry, Listener) for entry in config.listen)
    table: tuple[str, ...] = ()
    for key in shapes.config_keys():
        if key.path == ("listen",) and has_tables:
            continue
        if key.path[:-1] != table:
            table = key.path[:-1]
            lines += [("", ""), (f"[{'.'.join(table)}]", "")]
        if shapes.only_tables(key) is not None and has_value(key.value_in(config)):
            continue
        lines.append((_assignment(key, key.value_in(config)), traced.origin(key.path)))
    if has_tables:
        for index, listener in enumerate(config.listeners):
            lines += _listener_lines(traced, ("listen", index), listener)
    for key, struct in table_lists():
        for index, entry in enumerate(key.value_in(config)):
            lines += [("", ""), (f"[[{key.dotted}]]", "")]
            for inner in shapes.entry_keys(struct):
                value = inner.value_in(entry)
                lines.append((_assignment(inner, value), traced.origin((*key.path, index, *inner.path))))
    width = max(len(text) for text, origin in lines if origin and len(text) <= ORIGIN_COLUMN_MAX)
    return "".join(f"{text:<{width}}  # {origin}\n" if origin else f"{text}\n" for text, origin in lines)


def _listener_lines(traced: Traced, place: KeyPath, listener: Listener) -> Iterator[tuple[str, str]]:
    yield from (("", ""), ("[[listen]]", ""))
    table: tuple[str, ...] = ()
    for key in shapes.listener_keys():
        if key.path[0] == "tls" and listener.tls is None:
            continue
        if key.path[:-1] != table:
            table = key.path[:-1]
            yield from (("", ""), (f"[listen.{'.'.join(table)}]", ""))
        # An entry that is no table has its address from the entry itself.
        origin = traced.origins.get((*place, *key.path))
        if origin is None:
            origin = traced.origin(place) if key.path == ("address",) else DEFAULT
        yield _assignment(key, _without_secrets(key.value_in(listener))), origin


def _assignment(key: Key, value: Any) -> str:
    return (
        f"{key.name} = {toml(key, value)}" if has_value(value) else f"# {key.name}: {key.extra.get('absent', 'none')}"
    )


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: text if is_elsewhere(text) else HIDDEN for name, text in value.items()}
    if isinstance(value, tuple):
        return tuple(text if is_elsewhere(text) else HIDDEN for text in value)
    return value


# ---- schema, README, manual ----


def schema() -> bytes:
    """JSON Schema of the file, for editors and for whoever writes it by program."""
    document = msgspec.json.schema(Config)
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "jouled.toml",
        **_for_toml(document),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _for_toml(node: Any) -> Any:
    """TOML has no null, and quantities may be text too: a pattern binds only that, the bounds only numbers."""
    if isinstance(node, list):
        return [_for_toml(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    made = {name: _for_toml(inner) for name, inner in node.items() if inner is not None}
    choices = [choice for choice in made.pop("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        made = {**choices[0], **made}
    elif choices:
        made["anyOf"] = choices
    if "pattern" in made and made.get("type") in ("number", "integer"):
        made["type"] = [made["type"], "string"]
    return made


def readme_table() -> str:
    """The README's table: the settings that have a flag. The manual has all of them."""
    rows = [
        "| flag | in the file | default | meaning |",
        "|---|---|---|---|",
        "| `--config FILE` | | | read settings from this TOML file; `''` for none |",
        "| `--check-config` | | | check the settings and exit |",
    ]
    for key in shapes.config_keys():
        if not key.flag:
            continue
        flag = f"`{f'{key.flag} {key.metavar}'.strip()}`".replace("|", "\\|")
        default = default_words(key)
        cell = f"`{default}`" if has_value(key.default) else default
        words = key.description if _is_told(key) else f"{key.description} Allowed: {shapes.allowed(key)}."
        again = " The flag may be repeated." if key.is_list else ""
        rows.append(f"| {flag} | `{key.dotted}` | {cell} | {words}{again} |")
    rows.append("| `--version` | | | show the version and exit |")
    return "\n".join(rows) + "\n"


def _is_told(key: Key) -> bool:
    """Whether there is nothing to say of its values that its description does not."""
    return shapes.allowed(key) in {"text", "a list of text"}


MANUAL_HEAD = """\
% JOULED.TOML(5) jouled | File Formats

# NAME

jouled.toml - settings of the power daemon

# SYNOPSIS

*/etc/jouled/jouled.toml*

# DESCRIPTION

The settings of **jouled**(8), in TOML. A setting is taken from the daemon's flag, or else from the environment, or else from
this file, or else it has its default. The file that is read is the one that **--config** or the variable **JOULED_CONFIG**
names (none, where the name is empty), or else */etc/jouled/jouled.toml* where it exists.

What cannot be is refused with the file, its line, the key and what is allowed: **jouled --check-config** does only that.
**joulectl config show** prints every setting and where it comes from, **joulectl config default** an example file, and
**joulectl config schema** a JSON Schema.

Durations are written as "500ms", "5s", "2m", "1h", powers as "500mW", "65W", "1.2kW", energies as "1mJ", "1J" (of the
plan as "500Wh", "2kWh"), rates as "10Hz", sizes as "16KiB", "1MiB"; each may also be a number of seconds, watts, joules, hertz or bytes.

# KEYS
"""

MANUAL_LISTEN = """\
# PLACES TO LISTEN

An entry of **listen** is an address, or a table that also says who may read there:

    [[listen]]
    address = "0.0.0.0:9917"
    users = { prometheus = "credential:prometheus" }

    [listen.tls]
    cert = "/etc/jouled/tls.crt"
    key = "/etc/jouled/tls.key"

Where a place has neither users nor tokens, everybody who reaches it may read; on a Unix socket these are root and the group
**jouled**. Passwords and tokens on an address that other machines reach need TLS, or **plaintext = true**. Where the
environment or a flag names the address of such a table again, the table still holds. **joulectl hash-secret** makes the hashes.
"""

MANUAL_TAIL = """\
# ENVIRONMENT

The variable of a key is **JOULED_** and its dotted name in capitals, with _ for the dots: **JOULED_INTERVAL**,
**JOULED_LOG_LEVEL**. Lists are separated by commas, and their entries cannot be tables; a table of names is NAME=VALUE, separated
by commas too. An empty variable counts as not set; one that is unknown is refused.

With **compat = ["powercap"]** the variables of that program are taken too, between the file and these: **NODE_NAME** as *node.name*,
**MAX_SOURCE** in microwatts as *plan.reference_power*, **STABILISATION_TIME** in seconds as *plan.stabilisation*, **RAPL_MIN_POWER**
in microwatts as *caps.min* and *plan.min*, **TIMEZONE** as *market.timezone*, **POWER_CALC_MODE** (max, average) as *plan.reference*,
**DATA_PROVIDER** (epex, mock, static) as *market.providers*, **PROVIDER_URL** as *market.url*, **PROVIDER_PARAMS**, a table in JSON,
as *market.parameters*, and **DATA_REFRESH_CRON** as *market.refresh*. Where there is a provider and *plan.strategies* is not set it
is volume-proportional. Power limits are still written only with **caps.enabled = true**.

# RELOAD

At SIGHUP, which **systemctl reload jouled** sends, the daemon reads its settings again. It applies the keys that are marked
so, and says which others have changed and need a restart. A file that is refused changes nothing.

# FILES

*/etc/jouled/jouled.toml*

# SEE ALSO

**jouled**(8), **joulectl**(1)
"""


def manual() -> str:
    """The manual page jouled.toml(5), for pandoc."""
    parts = [MANUAL_HEAD, *_manual_keys(shapes.config_keys()), MANUAL_LISTEN]
    parts += _manual_keys(shapes.listener_keys())
    for key, struct in table_lists():
        parts += [f"# TABLES {_escaped(f'[[{key.dotted}]]')}\n", f"{_escaped(key.description)}\n"]
        parts += _manual_keys(shapes.entry_keys(struct))
    parts.append(MANUAL_TAIL)
    return "\n".join(parts)


def _manual_keys(keys: Iterable[Key]) -> Iterator[str]:
    for key in keys:
        said = [key.description, f"Allowed: {shapes.allowed(key)}."]
        said.append("Required." if key.default is NODEFAULT else f"Default: {default_words(key)}.")
        said += [f"Flag: {key.flag}."] if key.flag else []
        said += ["A reload applies it."] if key.is_live else []
        yield f"**{key.dotted}**\n:   {_escaped(' '.join(said))}\n"


def _escaped(text: str) -> str:
    """Signs that pandoc would take for its own."""
    return "".join(f"\\{char}" if char in "\\$@*[]_<>" else char for char in text)
