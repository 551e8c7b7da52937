"""A feed that is asked over HTTP: once, with a deadline and a size limit; errors name the key of the settings to mend."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import NoReturn

import httpx2

from jouled.errors import one_line
from jouled.http import (
    AnswerError,
    BusyError,
    Http,
    MissingError,
    QuestionError,
    RejectedError,
    SignalError,
    TroubleError,
    is_html,
)
from jouled.signals.plant.protocol import BYTES_MAX, DEADLINE_S, Secrets

EXCERPT_CHARS = 80
# The first that holds a status is what it means.
REFUSALS: tuple[tuple[type[SignalError], Container[int], str], ...] = (
    (RejectedError, {401, 403}, "check plant.key, or plant.user and plant.password"),
    (MissingError, {204, 404, 410}, "there is no such plant or no reading yet: check plant.url and plant.id"),
    (BusyError, {429}, "asked too often: make plant.poll longer"),
    (AnswerError, range(300), "an answer without a reading"),
    (QuestionError, range(300, 400), "it has moved: set plant.url to where it is now"),
    (QuestionError, range(400, 500), "it does not understand the question: check plant.id and plant.url"),
    (TroubleError, range(500, 10_000), "their trouble: it is asked again"),
)


class Asked:
    """A client of one feed. `transport` stands for the network in tests."""

    def __init__(
        self,
        url: str,
        secrets: Secrets,
        *,
        user: str | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._secrets = secrets
        self._auth = None if user is None or secrets.password is None else (user, secrets.password)
        self._http = Http("plant", token="plant.key", deadline_s=DEADLINE_S, bytes_max=BYTES_MAX, transport=transport)  # noqa: S106  (the name of the setting)

    def __repr__(self) -> str:
        return f"<Asked {self._url}>"

    async def body(self, params: Mapping[str, str] | None = None) -> tuple[bytes, str]:
        """Of an answer 200, and how errors about it begin. Raises SignalError."""
        headers = {"accept": "application/json"}
        if self._secrets.key is not None:
            headers["authorization"] = f"Bearer {self._secrets.key}"
        url = str(httpx2.URL(self._url).copy_merge_params(params)) if params else self._url
        answer = await self._http.ask("GET", url, headers=headers, auth=self._auth)
        if answer.status != 200:
            error = refused(answer.status, answer.where, self._excerpt(answer.body))
            error.status, error.retry_after_s = answer.status, answer.retry_after_s
            raise error
        return answer.body, answer.where

    async def aclose(self) -> None:
        await self._http.__aexit__(None, None, None)

    def _excerpt(self, body: bytes) -> str:
        """How it begins. Some say back what they were sent: a key has no place in a log."""
        if not body or is_html(body):
            return ""
        text = one_line(" ".join(body[: 8 * EXCERPT_CHARS].decode("utf-8", "replace").split()))
        for secret in (self._secrets.key, self._secrets.password):
            if secret:
                text = text.replace(secret, "***")
        return f" {text[:EXCERPT_CHARS]!r}"


def refused(status: int, where: str, excerpt: str) -> SignalError:
    kind, fix = next((kind, fix) for kind, statuses, fix in REFUSALS if status in statuses)
    return kind(f"{where}: {status}{excerpt}; {fix}")


def refuse(where: str, problem: str) -> NoReturn:
    raise AnswerError(f"{where}: {problem}; nothing of it is used")
