"""One planned write to an attribute of the kernel: a power limit and a slice's CPU time alike."""

from __future__ import annotations

from typing import NamedTuple


class Write(NamedTuple):
    """Not done yet. Targets are absolute, so doing one twice does no more than doing it once."""

    # The file that is written, whole.
    path: str
    # For people: "package-0 long_term (intel-rapl:0)".
    what: str
    # The text, without a newline: "62500000".
    value: str
    # The zone's `name` file and what it held, without white space around it; the kernel may give the
    # number to another zone meanwhile, and what is written then must not be this. None: the path is enough.
    identity: tuple[str, str] | None = None
