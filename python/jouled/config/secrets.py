"""Secrets that the settings only point to: `credential:NAME` of systemd, `file:/PATH`, or `env:NAME`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from jouled.errors import ConfigError

FILE_BYTES_MAX = 4096


def resolved(text: str, environ: Mapping[str, str] = os.environ, *, what: str = "hash") -> str:
    """What is kept there, without the white space around it; any other text as it is. Raises ConfigError.

    `what` is the word for it in errors: the hash of a secret, or a token itself.
    """
    kind, _, rest = text.partition(":")
    if kind == "file":
        return _read(Path(rest), what)
    if kind == "env":
        held = environ.get(rest, "").strip()
        if not held:
            raise ConfigError(f"{text}: the daemon's environment has no {rest}; set it there, or name a file")
        return held
    if kind != "credential":
        return text
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise ConfigError(
            f"{text}: systemd has handed over no credentials; add LoadCredential={rest}:/PATH to the unit"
        )
    if not rest or "/" in rest or rest in {".", ".."}:
        raise ConfigError(f"{text}: not a credential's name; write credential:NAME")
    return _read(Path(folder) / rest, what)


def _read(path: Path, what: str) -> str:
    try:
        if path.is_fifo():  # opening it would wait for a writer, and the daemon with it
            raise ConfigError(f"read {path}: it is a pipe; name a file that holds the {what}")
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        text = content.decode("ascii").strip()
    except OSError as error:
        raise ConfigError(f"read {path}: {error.strerror}; put the {what} there, readable by jouled") from error
    except UnicodeDecodeError:
        make = "; make one with joulectl hash-secret" if what == "hash" else ", which is plain ASCII; write it anew"
        raise ConfigError(f"read {path}: not a {what}{make}") from None
    if len(content) > FILE_BYTES_MAX:
        raise ConfigError(f"read {path}: more than {FILE_BYTES_MAX} bytes; put only the {what} there")
    return text
