"""The settings' structs as the keys of the file: every key with its type, default, meaning, flag and variable."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from jouled.config.refused import KeyPath
from jouled.config.settings import Config, Listener
from jouled.config.units import SECONDS, Unit

Hint: TypeAlias = Any  # what typing.get_type_hints gives

VARIABLE_PREFIX = "JOULED_"
TYPE_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


class Key(NamedTuple):
    """One key of one struct. `path` holds the file's names, `attributes` the program's."""

    path: tuple[str, ...]
    attributes: tuple[str, ...]
    hint: Hint
    default: Any
    description: str
    extra: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def dotted(self) -> str:
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """The environment's name for it."""
        return VARIABLE_PREFIX + "_".join(self.path).upper()

    @property
    def flag(self) -> str | None:
        flag: str | None = self.extra.get("flag")
        return flag

    @property
    def metavar(self) -> str:
        """What stands for its value: `--interval TIME`. Nothing where the flag alone says true."""
        return "" if self.is_switch else str(self.extra.get("metavar") or "VALUE")

    @property
    def is_switch(self) -> bool:
        return bare(self.hint) is bool

    @property
    def is_live(self) -> bool:
        """A reload applies it."""
        return bool(self.extra.get("is_live"))

    @property
    def is_list(self) -> bool:
        return origin_of(bare(self.hint)) is tuple

    @property
    def unit(self) -> Unit | None:
        return unit_of(self.hint)

    @property
    def struct(self) -> type[Struct] | None:
        """Its table's struct, where it is a table and nothing else."""
        hint = bare(self.hint)
        return hint if isinstance(hint, type) and issubclass(hint, Struct) else None

    def value_in(self, config: Struct) -> Any:
        value: Any = config
        for attribute in self.attributes:
            value = getattr(value, attribute)
        return value


@cache
def fields_of(struct: type[Struct]) -> dict[str, Key]:
    """A struct's keys by the file's names."""
    hints = get_type_hints(struct, include_extras=True)
    keys = {}
    for field in msgspec.structs.fields(struct):
        hint = hints[field.name]
        meta = _own_meta(hint)
        default = field.default if field.default_factory is NODEFAULT else field.default_factory()
        keys[field.encode_name] = Key(
            (field.encode_name,), (field.name,), hint, default, meta.description or "", meta.extra or {}
        )
    return keys


@cache
def config_keys() -> tuple[Key, ...]:
    """Every key that the environment may set, tables opened: first those of no table, as a file has to."""
    return tuple(sorted(_leaves(Config), key=lambda key: len(key.path) > 1))


@cache
def listener_keys() -> tuple[Key, ...]:
    """The keys of a `[[listen]]` table, tables opened."""
    return entry_keys(Listener)


@cache
def entry_keys(struct: type[Struct]) -> tuple[Key, ...]:
    """The keys of a table that stands in a list of tables, those of no table first."""
    return tuple(sorted(_leaves(struct), key=lambda key: len(key.path) > 1))


def only_tables(key: Key) -> type[Struct] | None:
    """The struct of its entries, where they are tables and nothing else: `[[balance.load]]`."""
    struct = entry_struct(key.hint)
    return None if struct is None or get_args(get_args(bare(key.hint))[0]) else struct


def _leaves(struct: type[Struct]) -> Iterator[Key]:
    for key in fields_of(struct).values():
        inner = key.struct
        if inner is None:
            yield key
            continue
        for leaf in _leaves(inner):
            yield leaf._replace(path=key.path + leaf.path, attributes=key.attributes + leaf.attributes)


def find(path: KeyPath) -> Key | None:
    """The key at this place of a file; of an entry of a list, and of a table of names, the key that holds it."""
    struct: type[Struct] | None = Config
    key = None
    for step in path:
        if isinstance(step, int) or struct is None:
            continue
        inner = fields_of(struct).get(step)
        if inner is None:
            return key
        key = inner
        struct = key.struct or entry_struct(key.hint)
    return key


def allowed(key: Key, *, is_entry: bool = False) -> str:
    """What the key takes, in words; with `is_entry` what each entry of its list takes."""
    if key.extra.get("allowed") is not None:
        return str(key.extra["allowed"])
    hint = bare(key.hint)
    if origin_of(hint) is tuple:
        inner = words(hint)
        if is_entry:
            return inner or "text"
        return f"any of {inner}" if inner else "a list of text"
    if choice := words(hint):
        return choice
    if key.struct is not None:
        return "a table of " + ", ".join(fields_of(key.struct))
    unit = key.unit
    word = unit.noun if unit is not None else TYPE_WORDS.get(hint, "text")
    least, most = key.extra.get("least"), key.extra.get("most")
    return word if least is None and most is None else f"{word} from {_bound(unit, least)} to {_bound(unit, most)}"


def words(hint: Hint) -> str:
    """The words that a hint takes, where it takes only certain ones."""
    return ", ".join(_words(hint))


def _words(hint: Hint) -> list[str]:
    if origin_of(hint) is Literal:
        return [str(word) for word in get_args(hint)]
    return [word for inner in get_args(hint) for word in _words(inner)]


def origin_of(hint: Hint) -> Any:
    return get_origin(hint)


def bare(hint: Hint) -> Hint:
    """The type itself, without what is said of it and without None."""
    while True:
        if origin_of(hint) is Annotated:
            hint = get_args(hint)[0]
        elif is_optional(hint):
            (hint,) = (inner for inner in get_args(hint) if inner is not types.NoneType)
        else:
            return hint


def is_optional(hint: Hint) -> bool:
    return origin_of(hint) in (Union, types.UnionType) and types.NoneType in get_args(hint)


def entry_struct(hint: Hint) -> type[Struct] | None:
    """The struct of a list's entries that are tables."""
    hint = bare(hint)
    if origin_of(hint) is not tuple:
        return None
    entry = get_args(hint)[0]
    for choice in get_args(entry) or (entry,):
        if isinstance(choice, type) and issubclass(choice, Struct):
            return choice
    return None


def unit_of(hint: Hint) -> Unit | None:
    for meta in _metas(hint):
        if meta.extra and "unit" in meta.extra:
            unit: Unit = meta.extra["unit"]
            return unit
    return None


def _metas(hint: Hint) -> Iterator[Meta]:
    if origin_of(hint) is Annotated:
        yield from (meta for meta in hint.__metadata__ if isinstance(meta, Meta))
    for inner in get_args(hint):
        yield from _metas(inner)


def _own_meta(hint: Hint) -> Meta:
    """What settings.about says; every key has one, which a test holds to."""
    return next((meta for meta in _metas(hint) if meta.description is not None), Meta())


def _bound(unit: Unit | None, bound: float | None) -> str:
    if bound is None:
        return "any"
    if unit is None:
        return str(bound)
    return "0" if bound == 0 else "a year" if unit is SECONDS and bound == 365 * 24 * 3600.0 else unit.text(bound)
