"""The daemon's own words: to a terminal, as JSON, or to the journal; one line per problem."""

from __future__ import annotations

import io
import logging
import os
import select
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias, cast

from jouled.errors import one_line

# structlog pulls in rich where that is installed, to draw tracebacks; 4 MB that a daemon never shows.
_rich_was = sys.modules.get("rich")
if _rich_was is None:
    sys.modules["rich"] = None  # type: ignore[assignment]
try:
    import structlog
finally:
    if _rich_was is None:
        del sys.modules["rich"]

log = structlog.get_logger()

Event: TypeAlias = MutableMapping[str, Any]
Format: TypeAlias = Literal["auto", "text", "json", "journal"]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]

STDERR = 2
# What a reader that is merely slow is given, for each piece.
STDERR_WAIT_MS = 100
JOURNAL = Path("/run/systemd/journal/socket")

# syslog(3) priorities, which the journal filters and colours by.
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def set_up(level: Level, log_format: Format) -> None:
    """Decide once where log lines go. Libraries that use `logging` take the same road."""
    open_standard_files()
    chosen = _format_of(STDERR) if log_format == "auto" else log_format
    if chosen == "journal" and not JOURNAL.exists():
        chosen = "text"  # the library would drop every line in silence
    processors: list[Any] = [structlog.processors.add_log_level, _format_exception]
    if chosen == "json":
        processors += [structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()]
    elif chosen == "journal":
        processors += [_to_journal]
    else:
        processors += [to_text]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, Stderr())),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)


class Stderr(io.TextIOBase):
    """Standard error, for as long as somebody takes it: measuring neither ends nor waits because the
    reader of the log has gone, or stopped reading.
    """

    def write(self, text: str) -> int:
        rest = text.encode("utf-8", "backslashreplace")
        is_writable = select.poll()
        is_writable.register(STDERR, select.POLLOUT)
        with suppress(OSError):
            while rest and is_writable.poll(STDERR_WAIT_MS):
                # A pipe with room has room for so much, at least.
                rest = rest[os.write(STDERR, rest[: select.PIPE_BUF]) :]
        return len(text)


def open_standard_files() -> None:
    """A descriptor that was closed at the start would become that of a socket, and a client would be
    sent what a library writes there.
    """
    for standard in (0, 1, STDERR):
        try:
            os.fstat(standard)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest descriptor that is free: this one


def _format_of(stderr_fd: int) -> Format:
    """`journal` where stderr already goes there (systemd says its device and inode), else text."""
    stat = os.fstat(stderr_fd)
    return "journal" if os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}" else "text"


def to_text(_logger: object, _method: str, event: Event) -> str:
    """`jouled: warning: message (key=value)`: no time, because whoever keeps the lines adds it."""
    level = event.pop("level", "info")
    message = event.pop("event", "")
    exception = event.pop("exception", None)
    fields = ", ".join(f"{key}={value}" for key, value in event.items())
    line = f"jouled: {'' if level == 'info' else level + ': '}{message}{f' ({fields})' if fields else ''}"
    line = one_line(line)
    return f"{line}\n{exception}" if exception else line


def _to_journal(_logger: object, _method: str, event: Event) -> str:
    from systemd.journal import send

    level = event.pop("level", "info")
    fields = {f"JOULED_{key.upper()}": str(value) for key, value in event.items() if key not in {"event", "exception"}}
    message = str(event.get("event", ""))
    if "exception" in event:
        message = f"{message}\n{event['exception']}"
    try:
        send(message, PRIORITY=PRIORITIES.get(level, 6), SYSLOG_IDENTIFIER="jouled", **fields)
    except OSError:
        return message  # to standard error: the journal is gone, or takes no lines as long as this one
    raise structlog.DropEvent


def _format_exception(_logger: object, _method: str, event: Event) -> Event:
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        # Imported here: it is needed when something broke, which is rare.
        import traceback

        event["exception"] = "".join(traceback.format_exception(error)).rstrip()
    return event


class _Bridge(logging.Handler):
    """Hands records of the standard library's logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        say = getattr(log, level if level in PRIORITIES else "warning")
        say(record.getMessage(), logger=record.name, **({"exc_info": record.exc_info[1]} if record.exc_info else {}))


class Once:
    """Says each problem the first time only: a sensor that fails at every tick is one line, not one
    per tick. Bounded, because a problem line may carry a name that others choose.
    """

    LIMIT = 1000

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warning(self, problem: str, error: BaseException | None = None) -> None:
        if problem in self._said or len(self._said) >= self.LIMIT:
            return
        self._said.add(problem)
        log.warning(problem, **({} if error is None else {"exc_info": error}))
        if len(self._said) == self.LIMIT:
            log.warning("too many different problems; no more of them are logged")
