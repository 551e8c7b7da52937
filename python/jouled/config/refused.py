"""A value that a setting cannot have: which one, why, and what it may be."""

from __future__ import annotations

from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way to a value in the file: names of keys, and numbers of entries of a list."""


class RefusedError(ValueError):
    """`key` is relative to the table that refuses; `others` are the keys it does not go together with.

    Inside a struct's `__post_init__` msgspec says where that table is; the loader puts both together.
    """

    def __init__(self, key: KeyPath, what: str, *, others: tuple[KeyPath, ...] = ()) -> None:
        super().__init__(f"{dotted(key)}: {what}" if key else what)
        self.key = key
        self.what = what
        self.others = others

    def below(self, table: KeyPath) -> RefusedError:
        """The same, seen from further up."""
        return RefusedError((*table, *self.key), self.what, others=tuple((*table, *other) for other in self.others))


def dotted(path: KeyPath) -> str:
    """`("listen", 0, "tls")` as `listen[0].tls`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
