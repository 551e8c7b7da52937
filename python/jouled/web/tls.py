"""A listener's certificate as a context; read at the start and at every reload."""

from __future__ import annotations

import ssl
from pathlib import Path

from jouled.config import Tls
from jouled.errors import ConfigError


def context_of(tls: Tls) -> ssl.SSLContext:
    """Raises ConfigError, which names the file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # What a client could make us renegotiate, or compress, costs us more than it.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    for path in filter(None, (tls.cert, tls.key, tls.client_ca)):
        _check_readable(path)
    try:
        # Without a password of its own, OpenSSL would ask the terminal for that of an encrypted key.
        context.load_cert_chain(tls.cert, tls.key, password=_no_password)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"tls: {tls.cert} and {tls.key}: {_reason(error)}; give a PEM certificate and its own key, unencrypted"
        ) from error
    if tls.client_ca is not None:
        try:
            context.load_verify_locations(tls.client_ca)
        except OSError as error:
            raise ConfigError(f"tls: {tls.client_ca}: {_reason(error)}; give PEM certificates") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _check_readable(path: str) -> None:
    """OpenSSL says what is wrong, but not with which file."""
    try:
        if Path(path).is_fifo():  # opening it would wait for a writer, and the daemon with it
            raise ConfigError(f"tls: read {path}: it is a pipe; name a PEM file")
        with Path(path).open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ConfigError(f"tls: read {path}: {error.strerror}; check the path and that jouled may read it") from error


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).lower().replace("_", " ") if reason else str(error)
