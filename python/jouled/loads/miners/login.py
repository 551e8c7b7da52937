"""A token for a password, as firmware gives them; a wrong password is not tried again and again."""

from __future__ import annotations

from typing import Any

import trio

from jouled.loads.miners.exchange import Exchange, LockedError, checked, mapping

# Some firmware shuts whoever guesses out.
LOCKED_S = 60.0


class Login:
    """`body` is what is sent to `path`; `settings` names where the password is set."""

    def __init__(self, exchange: Exchange, path: str, body: dict[str, Any], *, settings: str) -> None:
        self.token: str | None = None
        self._exchange = exchange
        self._path = path
        self._body = body
        self._settings = settings
        self._locked_until = -1.0

    def __repr__(self) -> str:
        """Without what is kept."""
        return f"<Login at {self._exchange.address}{self._path}>"

    async def renew(self) -> str:
        """Raises LoadError; LockedError where the password is another one, and for a while after that."""
        self.token = None
        if trio.current_time() < self._locked_until:
            raise LockedError(f"{self._exchange.address}: its password was refused just now; check {self._settings}")
        reply = await self._exchange.ask("POST", self._path, self._body)
        token = mapping(reply.content).get("token")
        if reply.status in {400, 401, 403} or (reply.is_well and not isinstance(token, str)):
            self._locked_until = trio.current_time() + LOCKED_S
            raise LockedError(f"{reply.where}: {reply.status}; its password is another one: set {self._settings}")
        checked(reply)
        self.token = str(token)
        return self.token
