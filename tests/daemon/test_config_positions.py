"""On which line a key is found, against a writer that notes it."""

from __future__ import annotations

import tomllib
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jouled.config.positions import lines_of
from jouled.config.refused import KeyPath

SCALARS = (
    "1",
    "-3.5e2",
    "true",
    "1979-05-27 07:32:00",
    "inf",
    '"k1 = 1 # no ] } "',
    "'it is k2 = [ '",
    '"\\" \\\\"',
    '""',
    "''",
    '"""\n[k1]\nk2 = 1\n"""',
    '"""two quotes"""""',
    '"""a \\""" still\n"""',
    '"""\\\\"""',
    "'''\n# no\n[[k1]]\n'''",
    "'''one quote''''",
    "'''\\'''",
)


class Writer:
    """Writes TOML in every style there is, and notes on which line each key and entry begins."""

    def __init__(self, random: Random, newline: str) -> None:
        self.random = random
        self.newline = newline
        self.text = ""
        self.lines: dict[KeyPath, int] = {}
        self._keys = 0

    def document(self) -> str:
        self.pairs(())
        for _ in range(self.random.randint(0, 4)):
            self.section(())
        return self.text

    def section(self, above: KeyPath) -> None:
        """A table or a list of tables, some with tables of their own below."""
        self.gap()
        steps = [self.key() for _ in range(self.random.randint(1, 2))]
        names = [name for name, _ in steps]
        header = self.written([self.plain(step) for step in above if isinstance(step, str)] + [raw for _, raw in steps])
        for _ in range(self.random.choice([0, 1, 3])):
            self.gap()
            index = self.lines_in_list((*above, *names))
            self.note_all(above, names)
            self.note((*above, *names, index))
            self.text += f"[[{header}]]{self.end()}"
            self.pairs((*above, *names, index))
            if self.random.random() < 0.4:
                self.section((*above, *names, index))
        if self.lines_in_list((*above, *names)):
            return
        self.note_all(above, names)
        self.text += f"[{header}]{self.end()}"
        self.pairs((*above, *names))
        if self.random.random() < 0.3:
            self.section((*above, *names))

    def lines_in_list(self, path: KeyPath) -> int:
        return sum(1 for found in self.lines if found[:-1] == path and isinstance(found[-1], int))

    def pairs(self, table: KeyPath) -> None:
        for _ in range(self.random.randint(0, 3)):
            self.gap()
            self.pair(table, depth=0)
            self.text += self.end()

    def pair(self, table: KeyPath, depth: int) -> None:
        steps = [self.key() for _ in range(self.random.choice([1, 1, 1, 2, 3]))]
        names = [name for name, _ in steps]
        self.note_all(table, names)
        self.text += self.written([raw for _, raw in steps]) + self.random.choice(["=", " = ", "\t= "])
        self.value((*table, *names), depth)

    def value(self, path: KeyPath, depth: int) -> None:
        kind = self.random.choice(["scalar", "scalar", "array", "table"]) if depth < 3 else "scalar"
        if kind == "scalar":
            self.text += self.random.choice(SCALARS).replace("\n", self.newline)
        elif kind == "array":
            self.array(path, depth + 1)
        else:
            self.text += "{"
            count = self.random.randint(0, 2)
            for index in range(count):
                self.text += " "
                self.pair(path, depth + 1)
                self.text += " , " if index < count - 1 else " "
            self.text += "}"

    def array(self, path: KeyPath, depth: int) -> None:
        self.text += "["
        count = self.random.randint(0, 3)
        for index in range(count):
            self.text += self.random.choice(["", " ", self.newline, f" # ] k1 = '{self.newline}  "])
            self.note((*path, index))
            self.value((*path, index), depth)
            is_last = index == count - 1
            self.text += self.random.choice(["", ",", f" # x{self.newline},"]) if is_last else ","
        self.text += self.random.choice(["]", f"{self.newline}]"])

    def key(self) -> tuple[str, str]:
        """A new name, and one way to write it."""
        self._keys += 1
        name = f"k{self._keys}"
        return self.random.choice(
            [
                (name, name),
                (name, f'"{name}"'),
                (name, f"'{name}'"),
                (name, f'"\\u006b{self._keys}"'),
                (f"{name}.#", f'"{name}.#"'),
            ]
        )

    def plain(self, step: str) -> str:
        return f'"{step}"'

    def written(self, raws: list[str]) -> str:
        return self.random.choice([".", " . "]).join(raws)

    def note_all(self, table: KeyPath, names: list[str]) -> None:
        for length in range(1, len(names) + 1):
            self.note((*table, *names[:length]))

    def note(self, path: KeyPath) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def gap(self) -> None:
        for _ in range(self.random.choice([0, 0, 1, 2])):
            self.text += self.random.choice(["", "  ", "# k1 = 1", "# [k1]"]) + self.newline

    def end(self) -> str:
        return self.random.choice(["", "  # k3 = '''", " "]) + self.newline


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=True), st.sampled_from(["\n", "\r\n"]))
def test_every_key_is_found_on_the_line_where_it_was_written(random: Random, newline: str) -> None:
    writer = Writer(random, newline)
    text = writer.document()
    assert lines_of(text, tomllib.loads(text)) == writer.lines


def test_keys_of_every_style() -> None:
    text = """\
a = 1
"b.c".d = [
  1,  # e = 2
  { f = 3 },
]
[g.h]
i = '''
[not.a.table]
'''
[[g.j]]
k = 1
[g.j.l]
m = 2
[[g.j]]
"""
    assert lines_of(text, tomllib.loads(text)) == {
        ("a",): 1,
        ("b.c",): 2,
        ("b.c", "d"): 2,
        ("b.c", "d", 0): 3,
        ("b.c", "d", 1): 4,
        ("b.c", "d", 1, "f"): 4,
        ("g",): 6,
        ("g", "h"): 6,
        ("g", "h", "i"): 7,
        ("g", "j"): 10,
        ("g", "j", 0): 10,
        ("g", "j", 0, "k"): 11,
        ("g", "j", 0, "l"): 12,
        ("g", "j", 0, "l", "m"): 13,
        ("g", "j", 1): 14,
    }


@pytest.mark.parametrize("text", ["a = 1\nb = 2\n", "a 1", "[a", "a = [1", "a = ", "= 1", "a = 1\nc = 2 d = 3"])
def test_what_is_not_exactly_the_parsers_table_has_no_lines(text: str) -> None:
    assert lines_of(text, {"a": 1}) == {}


def test_a_text_nested_deeper_than_the_stack_has_no_lines() -> None:
    assert lines_of("a = " + "[" * 100_000, {"a": []}) == {}
