"""From file, environment and flags to one checked configuration that knows where each value came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jouled.config import checking, powercap, shapes
from jouled.config.address import canonical
from jouled.config.checking import nearest
from jouled.config.refused import KeyPath, RefusedError, dotted
from jouled.config.settings import Config
from jouled.config.shapes import VARIABLE_PREFIX, Key
from jouled.config.units import shown
from jouled.errors import ConfigError

DEFAULT_PATH = "/etc/jouled/jouled.toml"
PATH_VARIABLE = "JOULED_CONFIG"
# Read by the client, or by whoever finds the file: no keys of it.
OTHER_VARIABLES = (PATH_VARIABLE, "JOULED_URL", "JOULED_TOKEN")
# Kubernetes sets these in every pod beside a service called `jouled`.
SERVICE_VARIABLE = re.compile(r"JOULED_(SERVICE_(HOST|PORT)|PORT)(_\w+)?", re.ASCII)
# A hundred times what anybody writes; a device or a disk image given by mistake is not read to its end.
FILE_BYTES_MAX = 1024 * 1024

DEFAULT = "default"


class Traced(NamedTuple):
    """A configuration, and where its values came from: `FILE:LINE`, a variable, a flag."""

    config: Config
    origins: Mapping[KeyPath, str]

    def origin(self, path: KeyPath) -> str:
        """Where the value at this place came from; of a table, where it begins."""
        return self.origins.get(path, DEFAULT)


def load(
    path: str | None = None,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """The defaults, overridden by the file, then powercap's variables where compat says so, then the
    environment's JOULED_*, then the flags that were given.

    A flag is named by its dotted key (`log.level`); `None` and `()` mean that it was not given, and so
    does a variable that is empty. Raises ConfigError.
    """
    return trace(path, flags, environ).config


def trace(
    path: str | None = None,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Traced:
    """As `load`, with the origin of every value that is not a default."""
    draft = _Draft()
    config = Config()
    # Checked after each, so that a mistake in the file is never blamed on a flag.
    if path is not None:
        draft.read(path)
        config = draft.checked(path)
    if powercap.WORD in draft.compat(environ or {}, flags or {}) and draft.put_powercap(environ or {}):
        config = draft.checked("environment")
    if draft.put_environment(environ or {}):
        config = draft.checked("environment")
    if draft.put_flags(flags or {}):
        config = draft.checked("command line")
    return Traced(config, draft.origins)


def find(path: str | None, environ: Mapping[str, str], default: str = DEFAULT_PATH) -> str | None:
    """Which file to read: the one that `--config` names, or JOULED_CONFIG, or the usual one where it is.

    A name that is empty means none.
    """
    if path is None:
        path = environ.get(PATH_VARIABLE)
    if path is not None:
        return path or None
    try:
        Path(default).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # it is there, or may be: reading it says what is wrong
    return default


class _Draft:
    """The table as it grows, and the origin of what is in it."""

    def __init__(self) -> None:
        self.table: dict[str, Any] = {}
        self.origins: dict[KeyPath, str] = {}
        # What the latest layer brought: it is to blame for what does not go together.
        self._latest: set[KeyPath] = set()

    def read(self, path: str) -> None:
        text = _text_of(path)
        import tomllib

        from jouled.config.positions import lines_of

        try:
            self.table = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # also of an integer, or a nesting, without end
            raise ConfigError(f"{path}: not valid TOML: {error}") from error
        lines = lines_of(text, self.table)
        self.origins = {place: f"{path}:{line}" for place, line in lines.items()} or dict.fromkeys(
            _places(self.table, ()), path
        )
        self._latest = set(self.origins)

    def compat(self, environ: Mapping[str, str], flags: Mapping[str, object]) -> Sequence[object]:
        """The words of `compat`, before anything of the environment is put."""
        given = flags.get("compat")
        if isinstance(given, list | tuple) and given:
            return given
        words = [word.strip() for word in environ.get("JOULED_COMPAT", "").split(",") if word.strip()]
        there = self.table.get("compat")
        return words or (there if isinstance(there, list) else ())

    def put_powercap(self, environ: Mapping[str, str]) -> bool:
        """True where there was anything to put."""
        self._latest = set()
        known = {key.path: key for key in shapes.config_keys()}
        for setting in powercap.settings(environ, self._at("market", "providers")):
            value = setting.value
            if isinstance(value, dict):
                before = self._at(*setting.path)
                value = {**(before if isinstance(before, dict) else {}), **value}
            self._put(known[setting.path], value, setting.variable)
        # It has one strategy: it is the plan's where there are prices and nobody has chosen another.
        has_chosen = self._at("plan", "strategies") is not None or environ.get("JOULED_PLAN_STRATEGIES")
        if self._at("market", "providers") and not has_chosen:
            self._put(known["plan", "strategies"], [powercap.STRATEGY], f"compat = {powercap.WORD}")
        return bool(self._latest)

    def _at(self, *path: str) -> object:
        value: object = self.table
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def put_environment(self, environ: Mapping[str, str]) -> bool:
        """True where there was anything to put."""
        self._latest = set()
        known = {key.variable: key for key in shapes.config_keys()}
        for variable in sorted(name for name in environ if name.startswith(VARIABLE_PREFIX)):
            text = environ[variable].strip()
            if variable in OTHER_VARIABLES or SERVICE_VARIABLE.fullmatch(variable):
                continue
            if variable not in known:
                near = nearest(variable, [*known, *OTHER_VARIABLES])
                hint = f"did you mean {near}?" if near else "joulectl config default names the keys"
                raise ConfigError(f"{variable}: unknown variable; {hint}")
            if text:
                key = known[variable]
                value = [part.strip() for part in text.split(",")] if key.is_list else _named(key, text, variable)
                self._put(key, _from_text(key, value, variable), variable)
        return bool(self._latest)

    def put_flags(self, flags: Mapping[str, object]) -> bool:
        """True where there was anything to put."""
        self._latest = set()
        known = {key.dotted: key for key in shapes.config_keys()}
        for name, value in flags.items():
            if value is not None and value != ():
                key = known[name]
                origin = key.flag or "command line"
                self._put(key, _from_text(key, value, origin), origin)
        return bool(self._latest)

    def _put(self, key: Key, value: object, origin: str) -> None:
        before = {place: what for place, what in self.origins.items() if _is_below(place, key.path)}
        origins: dict[KeyPath, str] = {key.path: origin}
        if key.path == ("listen",) and isinstance(value, list | tuple):
            value = list(value)
            for index, address in enumerate(value):
                origins["listen", index] = origin
                number, kept = _table_of(self.table.get("listen"), address)
                if kept is not None:
                    # Whoever names an address again does not thereby open it to everybody.
                    value[index] = kept
                    rest = {place[2:]: what for place, what in before.items() if place[1:2] == (number,) and place[2:]}
                    origins.update({("listen", index, *place): what for place, what in rest.items()})
        for place in before:
            del self.origins[place]
        table = self.table
        for step in key.path[:-1]:
            table = table.setdefault(step, {})
        table[key.name] = value
        self.origins.update(origins)
        self._latest.update(origins)

    def checked(self, layer: str) -> Config:
        try:
            return checking.checked(self.table)
        except RefusedError as refused:
            raise ConfigError(self._words(refused, layer)) from refused

    def _words(self, refused: RefusedError, layer: str) -> str:
        """`FILE:LINE: KEY: WHAT`; a variable or flag is name enough by itself."""
        blamed = refused.key
        if refused.others and not self._origin(blamed)[1]:
            blamed = next((other for other in refused.others if self._origin(other)[1]), blamed)
        origin, _ = self._origin(blamed)
        is_of_file = origin is None or not (origin.startswith((VARIABLE_PREFIX, "--")) or origin in powercap.NAMES)
        key = f"{dotted(refused.key)}: " if refused.key and (is_of_file or refused.key != blamed) else ""
        return f"{origin or layer}: {key}{refused.what}"

    def _origin(self, path: KeyPath) -> tuple[str | None, bool]:
        """The origin of the nearest place around `path` that has one, and whether the latest layer brought it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]], path[:length] in self._latest
        return None, False


def _text_of(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: {reason}; check the path and that jouled may read it") from error
    if len(text) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {FILE_BYTES_MAX} bytes; name the configuration of jouled")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def _from_text(key: Key, value: object, origin: str) -> object:
    """A value of the environment or the command line, which are all text, as the file would have it."""
    hint = shapes.bare(key.hint)
    if not isinstance(value, str) or key.unit is not None or hint not in READERS:
        return value
    made = READERS[hint](value)
    if made is None:
        word = {int: "a whole number", float: "a number", bool: "true or false"}[hint]
        raise ConfigError(f"{origin}: {shown(value)} is not {word}; allowed: {shapes.allowed(key)}")
    return made


def _named(key: Key, text: str, variable: str) -> object:
    """`NAME=VALUE, NAME=VALUE` as the table that it stands for; any other text as it is."""
    if shapes.origin_of(shapes.bare(key.hint)) is not dict:
        return text
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(mark and name.strip() for name, mark, _ in pairs):
        raise ConfigError(f"{variable}: {shown(text)} is no table; write NAME=VALUE, NAME=VALUE")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?\d{1,30}", text, re.ASCII) else None


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[+-]?\d{1,30}(\.\d{1,30})?", text, re.ASCII) else None


READERS: Mapping[object, Callable[[str], object]] = {
    int: _whole,
    float: _number,
    bool: {"true": True, "false": False}.get,
}


def _table_of(listen: object, address: object) -> tuple[int, dict[str, Any] | None]:
    """The `[[listen]]` table of this address, however it is spelled, and its number in the list."""
    for number, entry in enumerate(listen if isinstance(listen, list) else ()):
        if isinstance(entry, dict) and _is_same(entry.get("address"), address):
            return number, entry
    return -1, None


def _is_same(one: object, other: object) -> bool:
    if one == other:
        return True
    try:
        return canonical(str(one)) == canonical(str(other)) is not None
    except ValueError:  # it is refused for what it is, later
        return False


def _is_below(place: KeyPath, path: KeyPath) -> bool:
    return place[: len(path)] == path


def _places(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    if path:
        yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, (*path, name))
