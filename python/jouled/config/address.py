"""Where a listener listens: `HOST:PORT` or `unix:/PATH`."""

from __future__ import annotations

from functools import lru_cache

# What the address of a Unix socket begins with.
UNIX = "unix:"
# sun_path has 108 bytes, the last of which is 0.
UNIX_PATH_BYTES_MAX = 107


def split_address(address: str) -> tuple[str, int]:
    """`127.0.0.1:9917`, `[::1]:9917` or `name:9917` as host and port."""
    host, _, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_bracketed = bare != host
    if (
        not bare
        or (":" in bare) != is_bracketed
        or not port.isascii()
        or not port.isdigit()
        or len(port) > 5
        or int(port) > 65535
    ):
        raise ValueError(f"listen address {address!r} is not HOST:PORT; write 127.0.0.1:9917, [::1]:9917 or [::]:9917")
    return bare, int(port)


def check_address(address: str) -> None:
    """Raises ValueError for what can be no address."""
    if not address.startswith(UNIX):
        split_address(address)
        return
    path = address.removeprefix(UNIX)
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ValueError(f"{address!r} is not an absolute path; write unix:/run/jouled/jouled.sock")
    length = len(path.encode("utf-8", "surrogateescape"))
    if length > UNIX_PATH_BYTES_MAX:
        raise ValueError(f"the path of {address!r} has {length} bytes; the kernel takes {UNIX_PATH_BYTES_MAX}")


def canonical(address: str) -> str | None:
    """The same text for the same address; None for port 0, of which each is another."""
    if address.startswith(UNIX):
        return address
    host, port = split_address(address)
    if port == 0:
        return None
    return f"{_number(host)[0]} {port}"


@lru_cache(maxsize=64)  # asked at each request, of the few listeners there are
def is_loopback(address: str) -> bool:
    """No other machine reaches it. A name other than localhost could be anywhere."""
    if address.startswith(UNIX):
        return True
    host, _ = split_address(address)
    return _number(host)[1]


def _number(host: str) -> tuple[str, bool]:
    """The host as one text, numbers in their shortest form; and whether it is this machine's own."""
    import ipaddress  # takes as long to load as all of this room, and most hosts listen in one place

    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return host.lower(), host.lower() == "localhost"
    return str(number), number.is_loopback
