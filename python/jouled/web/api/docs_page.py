"""`/api/v1/openapi.json`, and the page that shows it and lets try it: both from here, nothing from elsewhere."""

from __future__ import annotations

from importlib import resources
from typing import Any

import msgspec
import trio
from litestar import Controller, Litestar, MediaType, Request, Response, get

from jouled.web.api import openapi

# The page's own script, style and requests, and nothing else.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KINDS = {"docs.js": "text/javascript", "docs.css": "text/css"}


class Docs(Controller):
    """What the API is: for programs, and for people."""

    path = "/"
    include_in_schema = False

    @get("/openapi.json", media_type=MediaType.JSON)
    async def get_openapi(self, request: Request[Any, Any, Any]) -> bytes:
        """The description of this API, OpenAPI 3.1."""
        state = request.app.state
        if "openapi" not in state:
            # Some tenths of a second, once.
            state["openapi"] = await trio.to_thread.run_sync(_described, request.app)
        described: bytes = state["openapi"]
        return described

    @get("/docs", media_type=MediaType.HTML, sync_to_thread=False)
    def get_docs(self) -> Response[bytes]:
        """The page."""
        return Response(_file("docs.html"), headers={"content-security-policy": POLICY})

    @get("/docs/docs.js", media_type=KINDS["docs.js"], sync_to_thread=False)
    def get_script(self) -> bytes:
        return _file("docs.js")

    @get("/docs/docs.css", media_type=KINDS["docs.css"], sync_to_thread=False)
    def get_style(self) -> bytes:
        return _file("docs.css")


def _described(app: Litestar) -> bytes:
    return msgspec.json.encode(openapi.document(app))


def _file(name: str) -> bytes:
    return resources.files("jouled.web.api").joinpath("docs", name).read_bytes()
