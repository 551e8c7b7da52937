"""`joulectl hash-secret`: what goes into the daemon's settings in place of a password or token."""

from __future__ import annotations

import sys

import click

from jouled.errors import JouledError

# More than any password manager makes; and a file given by mistake is not read to its end.
SECRET_BYTES_MAX = 1024


class SecretError(JouledError):
    """There is no secret to hash."""


@click.command(
    "hash-secret",
    epilog="""\b
Examples:
  joulectl hash-secret                       # asks for a password, twice
  pass show jouled | joulectl hash-secret    # or takes it from a pipe
  joulectl hash-secret --token               # makes a token, and shows it once

\b
The hash goes into the settings:
  [[listen]]
  address = "0.0.0.0:9917"
  users = { prometheus = "scrypt$..." }
  tokens = ["sha256$..."]
""",
)
@click.option("--token", "is_token", is_flag=True, help="Make a random bearer token and its hash.")
def command(is_token: bool) -> None:
    """Hash a password or token for the daemon's settings.

    The hash goes to standard output, everything else to standard error.
    """
    # Imported here, so that help stays fast.
    from jouled.web import secrets

    if is_token:
        token = secrets.new_token()
        click.echo("token, shown only this once (JOULED_TOKEN for joulectl, credentials for Prometheus):", err=True)
        click.echo(f"  {token}", err=True)
        click.echo("its hash, for tokens in the settings:", err=True)
        click.echo(secrets.hash_token(token.encode()))
        return
    click.echo(str(secrets.hash_password(_password())))


def _password() -> bytes:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)).encode()
    secret = sys.stdin.buffer.read(SECRET_BYTES_MAX + 1)
    secret = secret.removesuffix(b"\n").removesuffix(b"\r")
    if not secret:
        raise SecretError("standard input: no password; give one line, or start it in a terminal")
    if len(secret) > SECRET_BYTES_MAX or b"\n" in secret:
        raise SecretError(f"standard input: not a password; give one line of at most {SECRET_BYTES_MAX} bytes")
    return secret
