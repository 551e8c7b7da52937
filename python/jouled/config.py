"""What the operator may set: a TOML file, overridden by flags, checked as a whole."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct, field

from jouled.errors import ConfigError

IDLE_POLICIES = Literal["ratio", "learned"]
METER_WORDS = Literal["auto", "rapl", "hwmon", "battery", "estimate", "fake"]
LEVEL_WORDS = Literal["process", "unit", "container", "pod", "vm", "user"]
LOG_LEVELS = Literal["debug", "info", "warning", "error"]
COMPAT_WORDS = Literal["kepler"]
DETAIL_WORDS = Literal["coarse", "full"]
LOG_FORMATS = Literal["auto", "text", "json", "journal"]

# A hundred times what anybody writes; a device or a disk image given by mistake is not read to its end.
FILE_BYTES_MAX = 1024 * 1024
# What the address of a Unix socket begins with.
UNIX = "unix:"
YEAR_S = 365 * 24 * 3600.0

DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?", re.ASCII)
SECONDS_PER_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Seconds(float):
    """A span of time; written as `"500ms"`, `"5s"`, `"2m"`, `"1h"`, or a number of seconds."""


class Terminated(Struct, frozen=True, forbid_unknown_fields=True):
    """How long, and how many, workloads that have ended stay on the page."""

    age_s: Seconds = field(default=Seconds(120), name="age")
    max: Annotated[int, Meta(ge=0, le=1_000_000)] = 500

    def __post_init__(self) -> None:
        if self.age_s > YEAR_S:
            raise ValueError(f"age {self.age_s:g} s is out of range; choose a year at most")


class Estimate(Struct, frozen=True, forbid_unknown_fields=True):
    """The model's watts per CPU, where no sensor can be read; absent means by CPU family."""

    idle_w: Annotated[float, Meta(ge=0, le=10_000)] | None = None
    max_w: Annotated[float, Meta(gt=0, le=10_000)] | None = None

    def __post_init__(self) -> None:
        if self.idle_w is not None and self.max_w is not None and self.idle_w > self.max_w:
            raise ValueError(f"idle_w {self.idle_w} is above max_w {self.max_w}; swap them")


class Fake(Struct, frozen=True, forbid_unknown_fields=True):
    """Made-up zones, for demonstrations and tests; only read by the meter `fake`."""

    zones: tuple[str, ...] = ()
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class Log(Struct, frozen=True, forbid_unknown_fields=True):
    """How much the daemon says, and in which form."""

    level: LOG_LEVELS = "info"
    format: LOG_FORMATS = "auto"


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """The listener's certificate, PEM; both are read again on reload. With `client_ca`, clients need one too."""

    cert: str
    key: str
    client_ca: str | None = None


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What one listener's clients may take."""

    connections: Annotated[int, Meta(ge=1, le=100_000)] = 256
    head_bytes: Annotated[int, Meta(ge=1024, le=1024 * 1024)] = 16 * 1024
    body_bytes: Annotated[int, Meta(ge=0, le=64 * 1024 * 1024)] = 64 * 1024
    idle_s: Seconds = field(default=Seconds(65), name="idle")
    request_s: Seconds = field(default=Seconds(30), name="request")
    send_s: Seconds = field(default=Seconds(10), name="send")


class Listener(Struct, frozen=True, forbid_unknown_fields=True):
    """One place to listen: `HOST:PORT` or `unix:/PATH`, and who may read what there.

    `users` maps names to hashes of passwords, `tokens` holds hashes of bearer tokens (`joulectl hash-secret`
    makes both); where neither is given everybody may read. A hash may be `credential:NAME` (of systemd)
    or `file:/PATH` instead. With `detail = "full"` readers are not held to `[access]`.
    """

    address: str
    tls: Tls | None = None
    users: dict[str, str] = {}
    tokens: tuple[str, ...] = ()
    detail: DETAIL_WORDS = "coarse"
    limits: Limits = Limits()


class Access(Struct, frozen=True, forbid_unknown_fields=True):
    """How finely those may read who are not `privileged` (users; `@group` for a group): energy in fine
    grain tells of secrets that a processor works with (PLATYPUS, CVE-2020-8694).
    """

    rate_hz: Annotated[float, Meta(gt=0, le=10_000)] = 10.0
    resolution_j: Annotated[float, Meta(ge=0, le=1000)] = 0.001
    privileged: tuple[str, ...] = ("root",)


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the daemon is told. The file's keys are these names without their units."""

    sysfs: str = "/sys"
    procfs: str = "/proc"
    interval_s: Seconds = field(default=Seconds(5), name="interval")
    listen: tuple[str | Listener, ...] = ("127.0.0.1:9917",)
    state_dir: str = "/var/lib/jouled"
    meters: Annotated[tuple[METER_WORDS, ...], Meta(min_length=1)] = ("auto",)
    zones: tuple[str, ...] = ()
    levels: tuple[LEVEL_WORDS, ...] | None = None
    top: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    idle: IDLE_POLICIES = "ratio"
    compat: tuple[COMPAT_WORDS, ...] = ()
    access: Access = Access()
    terminated: Terminated = Terminated()
    estimate: Estimate = Estimate()
    fake: Fake = Fake()
    log: Log = Log()

    def __post_init__(self) -> None:
        # Below 100 ms the scans would cost more than they tell; in more than a minute the counter of a
        # large processor could wrap twice, which nobody would see.
        if not 0.1 <= self.interval_s <= 60:
            raise ValueError(f"interval {self.interval_s:g} s is out of range; choose 100ms to 1m")
        if not self.listen:
            raise ValueError("listen is empty; give at least one HOST:PORT")
        addresses = [listener.address for listener in self.listeners]
        for address in addresses:
            if not address.startswith(UNIX) and split_address(address)[1] == 0:
                continue
            if addresses.count(address) > 1:
                raise ValueError(f"listen address {address!r} is given twice; give it once")

    @property
    def listeners(self) -> list[Listener]:
        """All of `listen`, each as a table."""
        return [Listener(entry) if isinstance(entry, str) else entry for entry in self.listen]


def split_address(address: str) -> tuple[str, int]:
    """`127.0.0.1:9917`, `[::1]:9917` or `name:9917` as host and port."""
    host, _, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_bracketed = bare != host
    if (
        not bare
        or (":" in bare) != is_bracketed
        or not port.isascii()
        or not port.isdigit()
        or len(port) > 5
        or int(port) > 65535
    ):
        raise ValueError(f"listen address {address!r} is not HOST:PORT; write 127.0.0.1:9917, [::1]:9917 or [::]:9917")
    return bare, int(port)


def load(path: str | None = None, flags: Mapping[str, object] | None = None) -> Config:
    """The defaults, overridden by the file, overridden by the flags that were given.

    A flag is named by its dotted key (`log.level`); `None` and `()` mean that it was not given.
    """
    table = read(path) if path is not None else {}
    if path is not None:
        # Checked alone first, so that a mistake in the file is never blamed on a flag.
        convert(table, path)
    for key, value in (flags or {}).items():
        if value is not None and value != ():
            _put(table, key.split("."), value)
    return convert(table, "command line")


def read(path: str) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; check the path and that jouled may read it") from error
    if len(text) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {FILE_BYTES_MAX} bytes; name the configuration of jouled")
    try:
        return tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:  # also of an integer, or a nesting, without end
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def convert(table: Mapping[str, Any], where: str) -> Config:
    """The checked configuration; `where` is what an error names."""
    _refuse_unknown(table, Config, where, "")
    try:
        return msgspec.convert(table, Config, dec_hook=_convert_duration)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        key = place.strip("`").removeprefix("$").removeprefix(".")
        allowed = _allowed(Config, key)
        hint = f"; allowed: {', '.join(allowed)}" if allowed else ""
        raise ConfigError(f"{where}: {f'{key}: ' if key else ''}{message}{hint}") from error


def _convert_duration(kind: type, value: object) -> Seconds:
    if kind is not Seconds:
        raise NotImplementedError(f"no conversion to {kind}")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return Seconds(value)
    match = DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is not a duration; write "500ms", "5s", "2m" or a number of seconds')
    return Seconds(float(match[1]) * SECONDS_PER_UNIT[match[2] or "s"])


def _refuse_unknown(table: Mapping[str, Any], struct: type[Struct], where: str, prefix: str) -> None:
    """Names the nearest key that exists: a key with a typing error must not be a setting ignored."""
    known = {item.encode_name: item.type for item in msgspec.structs.fields(struct)}
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
            raise ConfigError(f"{where}: unknown key {prefix}{key}; {hint}")
        inner = known[key]
        if isinstance(inner, type) and issubclass(inner, Struct) and isinstance(value, Mapping):
            _refuse_unknown(value, inner, where, f"{prefix}{key}.")


def _allowed(struct: type[Struct], key: str) -> list[str]:
    """The words that the field at this dotted key takes, where it takes only certain words."""
    name, _, rest = key.partition(".")
    name = re.sub(r"\[.*\]", "", name)
    for item in msgspec.structs.fields(struct):
        if item.encode_name == name:
            hint = get_type_hints(struct, include_extras=True)[item.name]
            return _allowed(hint, rest) if rest else _words(hint)
    return []


def _words(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return [str(word) for word in get_args(hint)]
    return [word for inner in get_args(hint) for word in _words(inner)]


def _put(table: dict[str, Any], keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        table = table.setdefault(key, {})
    table[keys[-1]] = value
