"""Who asks, and what each route wants of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers.base import BaseRouteHandler

from jouled.books.scopes import ADMIN, ALL, CONTROL, READ, may

READING = frozenset({"GET", "HEAD", "OPTIONS"})
CHALLENGE = 'Bearer realm="jouled"'
WAYS = "use the Unix socket, or a bearer token; joulectl token create makes one"


class Who(NamedTuple):
    """A client. `name` goes into the audit and into what it decides; `key` is what its rate is counted by."""

    name: str
    key: str
    scopes: frozenset[str]
    address: str = ""
    # By its token, or as a user of this host.
    is_known: bool = False
    # Whoever was let near the energy counters may not, by that alone, slow the whole host down.
    is_barred_from_control: bool = False

    def may(self, scope: str) -> bool:
        return may(self.scopes, scope) and not (scope == CONTROL and self.is_barred_from_control)


def of_user(uid: int, *, is_privileged: bool = True) -> Who:
    """At the Unix socket, whose file's mode says who gets there. Caps are for the privileged of them."""
    return Who(f"uid {uid}", f"uid {uid}", ALL, "unix", is_known=True, is_barred_from_control=not is_privileged)


def wanted(handler: BaseRouteHandler, method: str) -> str:
    """The scope that a route's `opt` names, for all but reading; one that was forgotten opens nothing."""
    return READ if method in READING else str(handler.opt.get("scope", ADMIN))


def check_scope(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Before anything of the body is looked at. Raises NotAuthorizedException, PermissionDeniedException."""
    who: Who = connection.scope["state"]["who"]
    scope = wanted(handler, str(connection.scope.get("method", "GET")))
    if who.may(scope):
        return
    if who.is_barred_from_control and scope == CONTROL:
        words = f"{who.name} may not set power caps; run as root, or name the user in access.privileged"
        raise PermissionDeniedException(words)
    if who.is_known:
        raise PermissionDeniedException(f"{who.name} has not the scope {scope}; use one that has")
    raise NotAuthorizedException(f"this needs the scope {scope}: {WAYS}", headers={"www-authenticate": CHALLENGE})
