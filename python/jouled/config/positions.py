"""On which line of a TOML text each key stands, which the standard library's parser does not tell."""

from __future__ import annotations

import bisect
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from jouled.config.refused import KeyPath

SPACE = re.compile(r"[ \t]*")
BETWEEN = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
# The long strings first; each may end in up to two quotes of its own before the closing three.
STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:'{0,2})|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''', re.DOTALL
)
SCALAR = re.compile(r"[^,\]}#\r\n]+")


def lines_of(text: str, table: dict[str, Any]) -> dict[KeyPath, int]:
    """The line, from 1 on, of every key and list entry of `table`, which tomllib made of `text`.

    Better no line than a wrong one: where this scanner does not find exactly the keys and entries that
    the parser found, the answer is empty.
    """
    scanner = _Scanner(text)
    try:
        scanner.document()
    except (_LostError, RecursionError):
        return {}
    return scanner.found if set(scanner.found) == set(_paths(table, ())) else {}


def _paths(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in entries:
        yield from _paths(inner, (*path, step))


class _LostError(Exception):
    """The text does not go on as the scanner thinks."""


class _Scanner:
    """Walks over a text that is known to be valid, and notes where keys begin."""

    def __init__(self, text: str) -> None:
        self.found: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        # The latest entry of each list of tables.
        self._latest: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        self._skip(BETWEEN)
        while self._at < len(self._text):
            table = self._header() if self._text[self._at] == "[" else self._pair(table)
            self._skip(BETWEEN)

    def _header(self) -> KeyPath:
        line = self._line()
        is_list = self._text.startswith("[[", self._at)
        self._at += 2 if is_list else 1
        steps = self._dotted_key()
        self._take("]]" if is_list else "]")
        path: KeyPath = ()
        for step in steps[:-1]:
            path = self._entered(self._note((*path, step), line))
        path = self._note((*path, steps[-1]), line)
        if not is_list:
            return path
        self._latest[path] = self._latest.get(path, -1) + 1
        return self._note(self._entered(path), line)

    def _pair(self, table: KeyPath) -> KeyPath:
        """Notes one `key = value`, and gives the table back, in which it goes on."""
        path = table
        line = self._line()
        for step in self._dotted_key():
            path = self._note((*path, step), line)
        self._take("=")
        self._skip(SPACE)
        self._value(path)
        return table

    def _value(self, path: KeyPath) -> None:
        opening = self._text[self._at : self._at + 1]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        elif opening in {'"', "'"}:
            self._match(STRING)
        else:
            self._match(SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._take("[")
        self._skip(BETWEEN)
        index = 0
        while not self._is_taken("]"):
            self._value(self._note((*path, index), self._line()))
            index += 1
            self._skip(BETWEEN)
            self._is_taken(",")
            self._skip(BETWEEN)

    def _inline_table(self, path: KeyPath) -> None:
        self._take("{")
        self._skip(BETWEEN)
        while not self._is_taken("}"):
            self._pair(path)
            self._skip(BETWEEN)
            self._is_taken(",")
            self._skip(BETWEEN)

    def _dotted_key(self) -> list[str]:
        steps = []
        while True:
            self._skip(SPACE)
            raw = self._match(KEY)
            # The parser itself says what escapes stand for.
            steps.append(next(iter(tomllib.loads(f"{raw} = 0"))) if raw[0] in "\"'" else raw)
            self._skip(SPACE)
            if not self._is_taken("."):
                return steps

    def _entered(self, path: KeyPath) -> KeyPath:
        """A header below a list of tables means the list's latest entry."""
        return (*path, self._latest[path]) if path in self._latest else path

    def _note(self, path: KeyPath, line: int) -> KeyPath:
        self.found.setdefault(path, line)
        return path

    def _line(self) -> int:
        return bisect.bisect_left(self._newlines, self._at) + 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match is not None else self._at

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _LostError
        self._at = match.end()
        return match[0]

    def _take(self, text: str) -> None:
        if not self._is_taken(text):
            raise _LostError

    def _is_taken(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True
