"""Content negotiation: which form and which encoding a client asks for (RFC 9110, section 12.5)."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Form(Enum):
    """A form of the page; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Choice(NamedTuple):
    """One element of an Accept header, in lower case."""

    name: str
    parameters: dict[str, str]
    quality: float


# A header is at most 16 KiB; this bounds the work where it holds nothing but commas.
CHOICES_MAX = 50


def choices(header: str) -> list[Choice]:
    """The elements of an `Accept` or `Accept-Encoding` header; what cannot be read is left out."""
    found = []
    for element in header.lower().split(",")[:CHOICES_MAX]:
        name, *rest = (part.strip() for part in element.split(";"))
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in (part.partition("=") for part in rest)}
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            continue
        if name and 0 <= quality <= 1:
            found.append(Choice(name, parameters, quality))
    return found


def form_of(accept: str) -> Form:
    """OpenMetrics where it is asked for by name and text is not preferred; else text.

    Nothing is refused with 406: a client that takes neither still gets to read the page.
    """
    asked = choices(accept)
    openmetrics = max(
        (c.quality for c in asked if c.name == "application/openmetrics-text" and _is_version_1(c)), default=0.0
    )
    text = max((c.quality for c in asked if c.name == "text/plain"), default=0.0)
    return Form.OPENMETRICS if openmetrics > 0 and openmetrics >= text else Form.TEXT


def takes_gzip(accept_encoding: str) -> bool:
    """Whether gzip is allowed and nothing is preferred to it."""
    asked = {choice.name: choice.quality for choice in choices(accept_encoding)}
    gzip = asked.get("gzip", asked.get("x-gzip", asked.get("*", 0.0)))
    return gzip > 0 and gzip >= asked.get("identity", 0.0)


def _is_version_1(choice: Choice) -> bool:
    return choice.parameters.get("version", "1.0.0") == "1.0.0"
