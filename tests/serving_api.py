"""The API as a client sees it: the real daemon on a free port with a store of its own, and a token."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from jouled.bookkeeping import tokens
from jouled.store import Store
from running import Running, running


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Api:
    """One daemon."""

    def __init__(self, daemon: Running, state_dir: Path) -> None:
        self.daemon = daemon
        self.state_dir = state_dir
        self.url = f"http://127.0.0.1:{daemon.port}"

    def token(self, *scopes: str, name: str = "a test", expires_at: datetime | None = None) -> tokens.NewToken:
        with Store(state_dir=str(self.state_dir)) as store:
            return store.write(
                lambda connection: tokens.create(connection, name, scopes, expires_at, datetime.now(UTC))
            )

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str) -> Answer:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            given["authorization"] = f"Bearer {token}"
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if sent is not None:
            given.setdefault("content-type", "application/json")
        request = urllib.request.Request(self.url + path, sent, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(
                    answer.status, {key.lower(): value for key, value in answer.headers.items()}, answer.read()
                )
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, {key.lower(): value for key, value in error.headers.items()}, error.read())


@contextmanager
def serving_api(state_dir: Path, *flags: str, **environ: str) -> Iterator[Api]:
    fixed = ("--listen=127.0.0.1:0", "--log-format=text", "--meter=fake", f"--state-dir={state_dir}")
    given = {"JOULED_STORE_URL": "sqlite", **environ}
    with running(sys.executable, "-m", "jouled", *fixed, *flags, environ=given) as daemon:
        yield Api(daemon, state_dir)
