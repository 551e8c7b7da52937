"""Bodies as exact as the books: numbers become Decimals without a float in between, and numbers again."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import ClientException
from litestar.serialization import default_serializer
from litestar.types import Empty, Serializer

from jouled.wire.mistakes import explained

_ENCODER = msgspec.json.Encoder(decimal_format="number")
NUL = "\0"


class ExactResponse(Response[Any]):
    """JSON in which an amount is a number with all of its digits."""

    def render(self, content: Any, media_type: str, enc_hook: Serializer = default_serializer) -> bytes:
        if media_type == "application/json" and not isinstance(content, bytes):
            return _ENCODER.encode(content)
        return super().render(content, media_type, enc_hook)


class ExactRequest(Request[Any, Any, Any]):
    """Its body is decoded as what the handler wants, strictly: `"5"` is no number, and 0.1 is a tenth."""

    async def json(self) -> Any:
        body = await self.body()
        if not body:
            return Empty
        field = self.route_handler.parsed_data_field
        kind = Any if field is None else field.raw
        try:
            content = _decoder(kind).decode(body)
            if b"\\u0000" in body:
                refuse_nul(msgspec.json.decode(body))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ClientException(f"the body cannot be read: {explained(error, kind)}") from None
        return content


def refuse_nul(content: Any) -> None:
    """PostgreSQL keeps no text with the character 0, and nobody means one."""
    if isinstance(content, str) and NUL in content:
        raise ClientException("the body cannot be read: a text holds the character 0")
    if isinstance(content, dict):
        for name, value in content.items():
            refuse_nul(name)
            refuse_nul(value)
    elif isinstance(content, list):
        for value in content:
            refuse_nul(value)


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
