"""Certificates of this moment, made by the openssl command."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from jouled.config import Tls


class Pair(NamedTuple):
    """A certificate for localhost and its key, PEM."""

    cert: Path
    key: Path

    def tls(self, client_ca: Path | None = None) -> Tls:
        return Tls(cert=str(self.cert), key=str(self.key), client_ca=None if client_ca is None else str(client_ca))


def make_pair(folder: Path, name: str) -> Pair:
    """Signed by itself, so that it is its own authority."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command on this host: install the package openssl")
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(pair.key), "-out", str(pair.cert), "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return pair
