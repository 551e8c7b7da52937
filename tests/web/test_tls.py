"""Real certificates, real handshakes."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from certificates import Pair, make_pair
from jouled.config import Limits, Listener
from jouled.errors import ConfigError
from jouled.web import connections
from jouled.web.tls import context_of
from serving import FREE, Rig, port_of, serving


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("tls"), "jouled")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("tls"), "other")


def client_context(pair: Pair, own: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pair.cert))
    if own is not None:
        context.load_cert_chain(own.cert, own.key)
    return context


async def first_line(rig: Rig, context: ssl.SSLContext) -> bytes:
    """Of the answer to a real client, which checks the certificate."""

    def ask() -> bytes:
        with (
            socket.create_connection(("127.0.0.1", port_of(rig.places[0])), timeout=60) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as client,
        ):
            client.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            return client.recv(4096).partition(b"\r\n")[0].rstrip()

    return await trio.to_thread.run_sync(ask)


async def test_a_client_that_trusts_the_certificate_is_served(pair: Pair) -> None:
    async with serving(Listener(FREE, tls=pair.tls())) as rig:
        assert rig.places[0].page_url.startswith("https://127.0.0.1:")
        assert await first_line(rig, client_context(pair)) == b"HTTP/1.1 200"


async def test_curl_is_served(pair: Pair) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this host: install the package curl")
    async with serving(Listener(FREE, tls=pair.tls())) as rig:
        url = f"https://localhost:{port_of(rig.places[0])}/metrics"
        done = await trio.run_process(
            ["curl", "-sS", "--compressed", "--cacert", str(pair.cert), "--resolve", "localhost:0:127.0.0.1", url],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"jouled_process_joules_total" in done.stdout


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_versions_that_are_sound_are_spoken(pair: Pair, version: ssl.TLSVersion) -> None:
    context = client_context(pair)
    context.minimum_version = context.maximum_version = version
    async with serving(Listener(FREE, tls=pair.tls())) as rig:
        assert await first_line(rig, context) == b"HTTP/1.1 200"


def test_versions_before_1_2_are_not_spoken(pair: Pair) -> None:
    assert context_of(pair.tls()).minimum_version == ssl.TLSVersion.TLSv1_2


async def test_what_is_not_tls_gets_no_answer_and_ends_nothing(pair: Pair, lines: list[Any]) -> None:
    async with serving(Listener(FREE, tls=pair.tls())) as rig:
        for nonsense in (b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(100), b""):
            with socket.create_connection(("127.0.0.1", port_of(rig.places[0])), timeout=60) as client:
                client.sendall(nonsense)
        assert await first_line(rig, client_context(pair)) == b"HTTP/1.1 200"
    assert lines == []


async def test_only_clients_with_a_certificate_of_the_authority_are_served(pair: Pair, other: Pair) -> None:
    async with serving(Listener(FREE, tls=pair.tls(client_ca=other.cert))) as rig:
        assert await first_line(rig, client_context(pair, own=other)) == b"HTTP/1.1 200"
        for context in (client_context(pair), client_context(pair, own=pair)):
            line = b""
            with suppress(ssl.SSLError, ConnectionError):
                line = await first_line(rig, context)
            assert line == b""


async def test_a_handshake_that_does_not_end_is_cut_off(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HANDSHAKE_S", 0.2)
    async with serving(Listener(FREE, tls=pair.tls())) as rig:
        silent = await trio.open_tcp_stream("127.0.0.1", port_of(rig.places[0]))
        async with silent:
            with trio.fail_after(60):
                assert await silent.receive_some(1) == b""


async def test_handshakes_that_do_not_end_give_way_to_those_that_do(pair: Pair) -> None:
    limits = Limits(connections=4)
    async with serving(Listener(FREE, tls=pair.tls(), limits=limits)) as rig:
        silent = [await trio.open_tcp_stream("127.0.0.1", port_of(rig.places[0])) for _ in range(12)]
        for _ in range(3):
            assert await first_line(rig, client_context(pair)) == b"HTTP/1.1 200"
        for stream in silent:
            await stream.aclose()


async def test_a_reload_takes_the_new_certificate_for_new_connections(pair: Pair, other: Pair, tmp_path: Path) -> None:
    live = Pair(tmp_path / "live.crt", tmp_path / "live.key")
    for source, target in zip(pair, live, strict=True):
        target.write_bytes(source.read_bytes())
    async with serving(Listener(FREE, tls=live.tls())) as rig:
        assert await first_line(rig, client_context(pair)) == b"HTTP/1.1 200"
        for source, target in zip(other, live, strict=True):
            target.write_bytes(source.read_bytes())
        assert await first_line(rig, client_context(pair)) == b"HTTP/1.1 200"
        rig.room.apply(rig.config)
        with pytest.raises(ssl.SSLCertVerificationError):
            await first_line(rig, client_context(pair))
        assert await first_line(rig, client_context(other)) == b"HTTP/1.1 200"


async def test_a_reload_ends_connections_that_a_certificate_of_the_client_let_in(pair: Pair, other: Pair) -> None:
    tls = msgspec.structs.replace(pair.tls(), client_ca=str(other.cert))
    async with serving(Listener(FREE, tls=tls)) as rig:
        raw = await trio.open_tcp_stream("127.0.0.1", port_of(rig.places[0]))
        context = client_context(pair, other)
        async with trio.SSLStream(raw, context, server_hostname="localhost", https_compatible=True) as client:
            with trio.fail_after(60):
                await client.send_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
                assert b"HTTP/1.1 200" in await client.receive_some()
                trusted = msgspec.structs.replace(tls, client_ca=str(pair.cert))
                changed = msgspec.structs.replace(rig.config.listeners[0], tls=trusted)
                rig.room.apply(msgspec.structs.replace(rig.config, listen=(changed,)))
                with suppress(trio.BrokenResourceError):
                    while await client.receive_some():
                        pass


async def test_a_certificate_that_is_gone_at_a_reload_is_said_and_the_old_one_stays(
    pair: Pair, tmp_path: Path, lines: list[Any]
) -> None:
    live = Pair(tmp_path / "live.crt", tmp_path / "live.key")
    for source, target in zip(pair, live, strict=True):
        target.write_bytes(source.read_bytes())
    async with serving(Listener(FREE, tls=live.tls())) as rig:
        live.cert.unlink()
        changed = msgspec.structs.replace(rig.config.listeners[0], limits=Limits(connections=3))
        rig.room.apply(msgspec.structs.replace(rig.config, listen=(changed,)))
        assert await first_line(rig, client_context(pair)) == b"HTTP/1.1 200"
        assert rig.places[0].listener.limits.connections == 256
    (line,) = lines
    assert line["event"].startswith(f"tls: read {live.cert}: No such file or directory; check the path")
    assert line["event"].endswith("; what was there before stays in force")


def test_a_pipe_in_place_of_a_certificate_is_refused_and_not_waited_for(pair: Pair, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="it is a pipe; name a PEM file"):
        context_of(msgspec.structs.replace(pair.tls(), cert=str(tmp_path / "pipe")))


def test_a_key_that_is_not_of_the_certificate_is_refused(pair: Pair, other: Pair) -> None:
    with pytest.raises(ConfigError, match=rf"^tls: {pair.cert} and {other.key}: key values mismatch; give a PEM"):
        context_of(Pair(pair.cert, other.key).tls())


def test_files_that_are_none_of_that_are_refused(pair: Pair, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no certificate")
    with pytest.raises(ConfigError, match=rf"^tls: {text} and {pair.key}: .*; give a PEM certificate"):
        context_of(Pair(text, pair.key).tls())
    with pytest.raises(ConfigError, match=rf"^tls: {text}: .*; give PEM certificates"):
        context_of(pair.tls(client_ca=text))
    with pytest.raises(ConfigError, match=rf"^tls: read {tmp_path}/none: No such file or directory; check"):
        context_of(Pair(pair.cert, tmp_path / "none").tls())


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(pair: Pair, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    command = ["openssl", "ec", "-aes128", "-passout", "pass:geheim", "-in", str(pair.key), "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(ConfigError, match="the key is encrypted; give a PEM certificate and its own key, unencrypted"):
        context_of(Pair(pair.cert, locked).tls())
