from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jouled.config.hashes import password_problem, token_problem
from jouled.errors import ConfigError
from jouled.web import secrets

# RFC 7914, section 12: scrypt (P="pleaseletmein", S="SodiumChloride", N=16384, r=8, p=1, dkLen=64).
RFC_7914 = (
    "scrypt$16384$8$1$U29kaXVtQ2hsb3JpZGU=$"
    "cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw=="
)


def small(password: bytes = b"secret") -> secrets.PasswordHash:
    return secrets.hash_password(password, n=16, r=1, p=1)


def test_a_password_is_verified_as_the_standard_says() -> None:
    known = secrets.password_hash(RFC_7914)
    assert known.is_of(b"pleaseletmein")
    assert not known.is_of(b"pleaseletmeIn")


def test_a_hash_that_was_made_here_is_one_that_settings_take() -> None:
    text = str(secrets.hash_password(b"secret"))
    assert password_problem(text) is None
    assert secrets.password_hash(text).is_of(b"secret")
    assert not secrets.password_hash(text).is_of(b"Secret")


def test_each_hash_has_its_own_salt() -> None:
    assert small().salt != small().salt


def test_a_token_and_its_hash_are_what_settings_take() -> None:
    token = secrets.new_token()
    assert len(token) >= 43
    assert token_problem(secrets.hash_token(token.encode())) is None
    assert secrets.token_digest(secrets.hash_token(b"abc")).hex().startswith("ba7816bf")  # FIPS 180


def test_a_decoy_costs_the_same_and_is_nobodys() -> None:
    known = small()
    decoy = known.decoy()
    assert (decoy.n, decoy.r, decoy.p, len(decoy.key)) == (known.n, known.r, known.p, len(known.key))
    assert not decoy.is_of(b"secret")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "geheim",
        "scrypt$16$1$1$$AAAA",
        "scrypt$15$1$1$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA==",
        "scrypt$16$1$1$c2FsdA==$AAAA",
        "scrypt$16$1$0$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA==",
        "scrypt$-16$1$1$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA==",
        "bcrypt$16$1$1$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA==",
        "scrypt$16$1$1$c2Fs dA==$AAAAAAAAAAAAAAAAAAAAAA==",
        "scrypt$1048576$8$1$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA==",
        "scrypt$16$1$99$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA==",
        "scrypt$65536$1$1$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA==",  # OpenSSL refuses N from 2**(16 r) on
        RFC_7914 + "$more",
    ],
)
def test_what_is_no_hash_of_a_password_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="hash") as caught:
        secrets.password_hash(text)
    assert not text or text not in str(caught.value)


def test_the_largest_n_of_an_r_is_taken_by_both_and_by_openssl() -> None:
    largest, above = (f"scrypt${n}$1$1$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA==" for n in (2**15, 2**16))
    assert password_problem(largest) is None
    assert not secrets.password_hash(largest).is_of(b"secret")
    assert "n=65536 r=1 p=1, which is out of bounds" in (password_problem(above) or "")


@pytest.mark.parametrize("text", ["", "sha256$", "sha256$12", "sha256$" + "g" * 64, "a" * 64])
def test_what_is_no_hash_of_a_token_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no hash of a token"):
        secrets.token_digest(text)


def test_a_hash_is_read_from_a_credential_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "scrape").write_text(f"{RFC_7914}\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert secrets.resolved("credential:scrape", environ) == RFC_7914
    assert secrets.resolved(f"file:{tmp_path}/scrape", {}) == RFC_7914
    assert secrets.resolved("env:SCRAPE", {"SCRAPE": f" {RFC_7914}\n"}) == RFC_7914
    with pytest.raises(ConfigError, match="the daemon's environment has no SCRAPE"):
        secrets.resolved("env:SCRAPE", {"SCRAPE": ""})
    assert secrets.resolved(RFC_7914, {}) == RFC_7914


def test_what_cannot_be_read_is_named_with_its_fix(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    (tmp_path / "long").write_text("x" * 5000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for text, words in {
        "credential:none": f"read {tmp_path}/none: No such file or directory; put the hash there",
        "credential:../etc/passwd": "not a credential's name; write credential:NAME",
        "credential:long": f"read {tmp_path}/long: more than 4096 bytes; put only the hash there",
        "credential:binary": f"read {tmp_path}/binary: not a hash; make one with joulectl hash-secret",
    }.items():
        with pytest.raises(ConfigError) as caught:
            secrets.resolved(text, environ)
        assert words in str(caught.value)
    with pytest.raises(ConfigError, match=r"no credentials; add LoadCredential=scrape:/PATH to the unit"):
        secrets.resolved("credential:scrape", {})


VERIFIES = """
import re, threading
import subprocess
import sys
from pathlib import Path
from jouled.web import secrets

def resident_kb():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

secrets.give_back_large_blocks()
known = secrets.hash_password(b"x")
before = resident_kb()
for _ in range(3):
    thread = threading.Thread(target=known.is_of, args=(b"y",))
    thread.start()
    thread.join()
print(resident_kb() - before)
"""


def test_verifying_leaves_no_memory_behind() -> None:
    done = subprocess.run([sys.executable, "-c", VERIFIES], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 8 * 1024
