"""The terminal: a screen of its own, keys as they are pressed, and everything given back at the end."""

from __future__ import annotations

import codecs
import os
import select
import signal
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from jouled.cli.look import Line, Look, painted, width_of

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
# Terminals that know it show a frame whole; the others ignore it.
BEGIN_FRAME = "\x1b[?2026h"
END_FRAME = "\x1b[?2026l"

SEQUENCES = {
    "[A": "up",
    "[B": "down",
    "[C": "right",
    "[D": "left",
    "OA": "up",
    "OB": "down",
    "OC": "right",
    "OD": "left",
    "[5~": "page up",
    "[6~": "page down",
    "[H": "home",
    "[F": "end",
    "OH": "home",
    "OF": "end",
    "[1~": "home",
    "[4~": "end",
    "[7~": "home",
    "[8~": "end",
}
CONTROLS = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace"}
# The longest escape sequence that is waited for; anything longer is no key.
SEQUENCE_CHARS_MAX = 16


def keys_of(text: str) -> Iterator[str]:
    """The keys in what the terminal sent: letters, and names for those that have none."""
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char != "\x1b":
            yield CONTROLS.get(char, char)
            continue
        length = _sequence_length(text[at : at + SEQUENCE_CHARS_MAX])
        if length == 0:
            yield "escape"
        elif text[at : at + length] in SEQUENCES:
            yield SEQUENCES[text[at : at + length]]
        at += length


def _sequence_length(rest: str) -> int:
    """How much of what follows an escape belongs to it; nothing where it was the key itself."""
    if rest[:1] == "O":
        return min(2, len(rest))
    if rest[:1] != "[":
        return 0
    for at, char in enumerate(rest[1:], start=2):
        if "@" <= char <= "~":
            return at
    return len(rest)


class Painter:
    """Writes only the lines that have changed, in one write a frame: nothing scrolls, nothing flickers."""

    def __init__(self) -> None:
        self._shown: list[str] = []
        self._size = (0, 0)

    def forget(self) -> None:
        """What is on the screen is not ours any more."""
        self._shown = []
        self._size = (0, 0)

    def frame(self, lines: Sequence[Line], look: Look) -> str:
        """What to write so that the screen shows these lines."""
        texts = [painted(line, look) for line in lines[: look.height]]
        size = (look.width, look.height)
        parts = [] if size == self._size else ["\x1b[2J"]
        before = self._shown if size == self._size else []
        for at, text in enumerate(texts):
            if at >= len(before) or before[at] != text:
                # A line as wide as the screen leaves the cursor on its last cell, which must not be erased.
                rest = "" if width_of(lines[at]) >= look.width else "\x1b[K"
                parts.append(f"\x1b[{at + 1};1H{text}{rest}")
        if len(before) > len(texts):
            parts.append(f"\x1b[{len(texts) + 1};1H\x1b[J")
        self._shown, self._size = texts, size
        return f"{BEGIN_FRAME}{''.join(parts)}{END_FRAME}" if parts else ""


class Stopped(BaseException):
    """A signal that ends the program; everything on the way out is put back in order."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


class Terminal:
    """The screen and the keyboard, taken by `taken` and given back whatever happens.

    `out_fd` is written to, `in_fd` read from. Signals wake `wait` through a pipe, as does whoever writes
    to `wake_fd`.
    """

    def __init__(self, in_fd: int, out_fd: int) -> None:
        self._in_fd = in_fd
        self._out_fd = out_fd
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._wake_read, self.wake_fd = os.pipe()
        for end in (self._wake_read, self.wake_fd):
            os.set_blocking(end, False)
        self._was: list[Any] | None = None
        self._painter = Painter()
        self.has_gone = False

    def draw(self, lines: Sequence[Line], look: Look) -> None:
        self._write(self._painter.frame(lines, look))

    def wait(self, timeout_s: float | None = None) -> list[str]:
        """Sleeps until there is something to do; the keys that were pressed."""
        ready, _, _ = select.select([self._in_fd, self._wake_read], [], [], timeout_s)
        if self._wake_read in ready:
            _drain(self._wake_read)
        if self._in_fd not in ready:
            return []
        sent = os.read(self._in_fd, 1024)
        self.has_gone = not sent
        return list(keys_of(self._decoder.decode(sent)))

    @contextmanager
    def taken(self) -> Iterator[Terminal]:
        """The terminal is ours inside; as it was, outside: also after an error, a signal, or a stop."""
        handlers = {
            signal.SIGTERM: self._stop,
            signal.SIGHUP: self._stop,
            signal.SIGTSTP: self._suspend,
            signal.SIGWINCH: _ignore,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        wakeup = signal.set_wakeup_fd(self.wake_fd, warn_on_full_buffer=False)
        try:
            self._take()
            yield self
        finally:
            # A second signal must not cut short what the first one has begun.
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):
                signal.signal(number, signal.SIG_IGN)
            self._give_back()
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._wake_read)
            os.close(self.wake_fd)

    def _take(self) -> None:
        self._was = termios.tcgetattr(self._in_fd)
        tty.setcbreak(self._in_fd, termios.TCSANOW)
        self._painter.forget()
        self._write(ENTER)

    def _give_back(self) -> None:
        if self._was is None:
            return
        was, self._was = self._was, None
        try:
            self._write(LEAVE)
            # TCSADRAIN would wait for a terminal that may have gone.
            termios.tcsetattr(self._in_fd, termios.TCSANOW, was)
        except (OSError, termios.error):
            self.has_gone = True

    def _stop(self, number: int, _: FrameType | None) -> None:
        raise Stopped(number)

    def _suspend(self, number: int, _: FrameType | None) -> None:
        """Ctrl-Z: the shell gets its terminal, and `fg` brings the screen back."""
        self._give_back()
        handler = signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # Here it goes on after SIGCONT.
        signal.signal(number, handler)
        self._take()

    def _write(self, text: str) -> None:
        left = text.encode(errors="replace")
        while left:
            try:
                left = left[os.write(self._out_fd, left) :]
            except BlockingIOError:
                # The terminal shares its mode with the shell's other programs: one of them unblocked it.
                select.select([], [self._out_fd], [])


def _ignore(number: int, frame: FrameType | None) -> None:
    """The wakeup pipe says it."""


def _drain(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        pass
