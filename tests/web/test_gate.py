from __future__ import annotations

import base64
import threading
from pathlib import Path
from typing import Any

import pytest
import trio

from jouled.config import Listener
from jouled.errors import ConfigError
from jouled.web import gate as gate_module
from jouled.web import secrets
from jouled.web.gate import Bucket, Gate, Refusal
from serving import FREE

TOKEN = secrets.new_token()


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The passwords that were really hashed."""
    seen: list[bytes] = []
    real = secrets.PasswordHash.is_of

    def is_of(self: secrets.PasswordHash, password: bytes) -> bool:
        assert threading.current_thread() is not threading.main_thread()
        seen.append(password)
        return real(self, password)

    monkeypatch.setattr(secrets.PasswordHash, "is_of", is_of)
    return seen


@pytest.fixture
def gate() -> Gate:
    cheap = str(secrets.hash_password(b"secret:with colon", n=16, r=1, p=1))
    return Gate(Listener(FREE, users={"anna": cheap}, tokens=(secrets.hash_token(TOKEN.encode()),)))


async def status(gate: Gate, authorization: str, address: str = "192.0.2.1") -> int:
    refused = await gate.admit(authorization, address)
    return 200 if refused is None else refused.status


async def test_without_users_and_tokens_everybody_is_let_in() -> None:
    gate = Gate(Listener(FREE))
    assert gate.is_open
    assert await gate.admit("", "") is None


async def test_a_user_and_a_token_are_let_in(gate: Gate) -> None:
    assert await status(gate, basic("anna", "secret:with colon")) == 200
    assert await status(gate, f"Bearer {TOKEN}") == 200
    assert await status(gate, f"bearer  {TOKEN} ") == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic !",
        "Basic YW5uYQ==",
        basic("anna", "secret"),
        basic("anna", ""),
        basic("bert", "secret:with colon"),
        basic("", ""),
        "Bearer",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        f"Digest {TOKEN}",
        "Bearer \xff",
        "Basic " + "A" * 100_000,
    ],
)
async def test_everybody_else_is_told_how(gate: Gate, authorization: str) -> None:
    refused = await gate.admit(authorization, "192.0.2.1")
    assert refused == Refusal(
        401,
        "this listener wants a user's password or a bearer token",
        (
            (b"www-authenticate", b'Basic realm="jouled", charset="UTF-8"'),
            (b"www-authenticate", b'Bearer realm="jouled"'),
        ),
    )


async def test_only_what_the_listener_takes_is_offered() -> None:
    gate = Gate(Listener(FREE, tokens=(secrets.hash_token(b"x"),)))
    refused = await gate.admit(basic("anna", "secret"), "")
    assert refused is not None
    assert refused.headers == ((b"www-authenticate", b'Bearer realm="jouled"'),)


async def test_a_password_that_was_right_is_not_hashed_again(gate: Gate, verified: list[bytes]) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(status, gate, basic("anna", "secret:with colon"))
    assert await status(gate, basic("anna", "secret:with colon")) == 200
    assert verified == [b"secret:with colon"]


async def test_what_is_remembered_is_bounded_and_is_no_password(gate: Gate, verified: list[bytes]) -> None:
    for number in range(gate_module.REMEMBERED_MAX + 10):
        gate._remembered[b"%d" % number] = None
    await status(gate, basic("anna", "secret:with colon"))
    assert len(gate._remembered) <= gate_module.REMEMBERED_MAX + 10
    assert b"secret" not in b"".join(gate._remembered)


async def test_an_unknown_user_costs_as_much_as_a_wrong_password(gate: Gate, verified: list[bytes]) -> None:
    await status(gate, basic("anna", "wrong"))
    await status(gate, basic("nobody", "wrong"))
    assert verified == [b"wrong", b"wrong"]


async def test_guessing_is_slowed_down_for_one_address_and_lets_others_in(
    gate: Gate, verified: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    guesses = [await status(gate, basic("anna", f"guess {number}"), "203.0.113.9") for number in range(20)]
    assert guesses == [401] * 5 + [429] * 15
    assert len(verified) == 5
    refused = await gate.admit(basic("anna", "guess"), "203.0.113.9")
    assert refused is not None
    assert refused.headers == ((b"retry-after", b"3"),)
    assert await status(gate, basic("anna", "secret:with colon"), "198.51.100.1") == 200
    clock.now_s += 4.1
    assert await status(gate, basic("anna", "guess"), "203.0.113.9") == 401


async def test_guessing_from_many_addresses_is_slowed_down_for_all_but_who_is_remembered(
    gate: Gate, verified: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch)
    assert await status(gate, basic("anna", "secret:with colon")) == 200
    guesses = [await status(gate, basic("anna", "guess"), f"10.0.{n // 250}.{n % 250}") for n in range(600)]
    assert guesses.count(401) == gate_module.LISTENER_BURST
    assert len(gate._address_buckets) <= gate_module.ADDRESSES_MAX
    assert await status(gate, basic("anna", "secret:with colon")) == 200
    assert await status(gate, f"Bearer {TOKEN}") == 200


class Clock:
    """Stands still until it is told; threads do not go by Trio's own test clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(trio, "current_time", lambda: self.now_s)


def test_a_bucket_fills_to_its_burst() -> None:
    bucket = Bucket(2, 0.5, 0.0)
    for _ in range(2):
        assert bucket.wait_s(0.0) == 0
        bucket.take()
    assert bucket.wait_s(0.0) == 2.0
    assert bucket.wait_s(1.0) == 1.0
    assert bucket.wait_s(100.0) == 0
    for _ in range(2):
        bucket.take()
    assert bucket.wait_s(100.0) == 2.0


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        ({"users": {"anna": "file:{}/bad"}}, "the password of anna: no hash of a password; make one with joulectl"),
        ({"tokens": ("file:{}/bad",)}, "a token: no hash of a token; make one with joulectl"),
        ({"tokens": ("file:{}/none",)}, "a token: read {}/none: No such file or directory; put the hash there"),
    ],
)
def test_a_hash_that_is_none_names_listener_and_owner(tmp_path: Path, listener: dict[str, Any], words: str) -> None:
    (tmp_path / "bad").write_text("geheim")
    users = {name: text.format(tmp_path) for name, text in listener.get("users", {}).items()}
    tokens = tuple(text.format(tmp_path) for text in listener.get("tokens", ()))
    with pytest.raises(ConfigError) as caught:
        Gate(Listener(FREE, users=users, tokens=tokens))
    assert str(caught.value).startswith(f"listen on {FREE}: {words.format(tmp_path)}")
    assert "geheim" not in str(caught.value)
