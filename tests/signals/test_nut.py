"""UPSes of the real `upsd` with its dummy driver, whose variables are a file of the test's."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio

from jouled.config import loading
from jouled.errors import ConfigError
from jouled.signals.nut import Ups, UpsAwayError, read_ups, supply_of, variables_of
from jouled.signals.supply import Supply

UPS = Ups("su700", "127.0.0.1")
VALUES = {
    "ups.status": "OL CHRG",
    "battery.charge": "80",
    "battery.voltage": "13.6",
    "battery.voltage.nominal": "12",
    "battery.capacity": "7",
    "ups.load": "25",
    "ups.realpower.nominal": "400",
}


class Nut:
    """A server and a driver in a folder of their own; they write what they say into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        (folder / "ups.conf").write_text("[su700]\ndriver = dummy-ups\nport = su700.dev\nmode = dummy-loop\n")
        (folder / "upsd.conf").write_text(f"LISTEN 127.0.0.1 {self.port}\nMAXAGE 2\n")
        (folder / "upsd.users").write_text("")
        for path in folder.iterdir():
            path.chmod(0o640)
        self.set(VALUES)
        for path in [folder, *folder.iterdir()]:
            if os.getuid() == 0:
                shutil.chown(path, self.user)
        self.driver = self.start("/lib/nut/dummy-ups", "-a", "su700", "-FF", "-u", self.user)
        self.server = self.start("/lib/nut/upsd", "-FF", "-u", self.user)

    def set(self, values: dict[str, str]) -> None:
        new = self.folder / "new"
        new.write_text("".join(f"{name}: {value}\n" for name, value in values.items()) + "TIMER 1\n")
        new.chmod(0o644)
        new.rename(self.folder / "su700.dev")

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "NUT_CONFPATH": str(self.folder), "NUT_STATEPATH": str(self.folder)}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, env=environ, stdout=log, stderr=log, cwd=self.folder)

    @staticmethod
    def end(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        process.wait()

    @property
    def ups(self) -> Ups:
        return Ups("su700", "127.0.0.1", self.port)

    async def read_until(self, is_so: str, *, is_stale: bool = False) -> Supply | UpsAwayError:
        """What comes once it is told of; the server and its driver have periods of their own."""
        with trio.fail_after(60):
            while True:
                try:
                    found: Supply | UpsAwayError = await read_ups(self.ups)
                except UpsAwayError as error:
                    found = error
                if is_so in repr(found) and getattr(found, "is_stale", False) == is_stale:
                    return found
                await trio.sleep(0.1)


@pytest.fixture
def nut() -> Iterator[Nut]:
    if not Path("/lib/nut/dummy-ups").exists():
        pytest.fail("the tests start a NUT server; make test-packages installs it")
    folder = Path(tempfile.mkdtemp(prefix="jouled-nut-"))
    nut = Nut(folder)
    yield nut
    nut.end(nut.server)
    nut.end(nut.driver)
    shutil.rmtree(folder)


async def test_a_real_server_is_asked_through_its_troubles(nut: Nut) -> None:
    """In one test, as its parts begin with what the last one left."""
    supply = await nut.read_until("charging")
    assert isinstance(supply, Supply)
    assert (supply.kind, supply.capacity_wh, supply.name) == ("ups", 84.0, f"su700@127.0.0.1:{nut.port}")
    assert (supply.power.wattage, supply.power.charge_pct, supply.power.voltage) == (100.0, 80.0, 13.6)

    nut.set({**VALUES, "ups.status": "OB LB WHATEVER", "battery.charge": "7"})
    supply = await nut.read_until("discharging")
    assert isinstance(supply, Supply)
    assert (supply.power.status, supply.power.is_low, supply.power.charge_pct) == ("discharging", True, 7.0)

    with pytest.raises(UpsAwayError, match="UNKNOWN-UPS; mend"):
        await read_ups(Ups("other", "127.0.0.1", nut.port))

    nut.end(nut.driver)
    # DATA-STALE or DRIVER-NOT-CONNECTED: what it was on is not known any more.
    assert isinstance(await nut.read_until("UpsAway", is_stale=True), UpsAwayError)
    nut.driver = nut.start("/lib/nut/dummy-ups", "-a", "su700", "-FF", "-u", nut.user)
    await nut.read_until("discharging")

    nut.end(nut.server)
    assert isinstance(await nut.read_until("UpsAway", is_stale=False), UpsAwayError)
    nut.server = nut.start("/lib/nut/upsd", "-FF", "-u", nut.user)
    await nut.read_until("discharging")


@pytest.mark.parametrize(
    ("tokens", "status", "is_low"),
    [
        ("OL", "full", False),
        ("OL CHRG", "charging", False),
        ("OL CHRG HB SOMETHING-NEW", "charging", False),
        ("OB DISCHRG", "discharging", False),
        ("OB LB", "discharging", True),
        ("OB CHRG", "discharging", False),
        ("FSD OB LB", "discharging", True),
        ("OL LB RB", "full", True),
        ("OL DISCHRG", "full", False),
    ],
)
def test_status_tokens(tokens: str, status: str, is_low: bool) -> None:
    power = supply_of(UPS, {"ups.status": tokens, "battery.charge": "100"}).power
    assert (power.status, power.is_low) == (status, is_low)


@pytest.mark.parametrize("tokens", ["", "WAIT", "HB"])
def test_a_ups_without_a_status_tells_nothing(tokens: str) -> None:
    with pytest.raises(UpsAwayError, match="its status says"):
        supply_of(UPS, {"ups.status": tokens})


@pytest.mark.parametrize("reason", ["DATA-STALE", "DRIVER-NOT-CONNECTED"])
def test_what_a_server_does_not_know_is_stale(reason: str) -> None:
    with pytest.raises(UpsAwayError, match=reason) as caught:
        variables_of(UPS, [f"ERR {reason}"])
    assert caught.value.is_stale


def test_an_answer_that_breaks_off_is_none() -> None:
    with pytest.raises(UpsAwayError, match="broke off"):
        variables_of(UPS, ["BEGIN LIST VAR su700", 'VAR su700 ups.status "OL"'])
    with pytest.raises(UpsAwayError, match="broke off"):
        variables_of(UPS, [])


def test_quoted_values_are_read() -> None:
    lines = ["BEGIN LIST VAR su700", 'VAR su700 ups.mfr "A \\"B\\" \\\\ C"', "END LIST VAR su700"]
    assert variables_of(UPS, lines) == {"ups.mfr": 'A "B" \\ C'}


async def test_a_server_that_never_answers_is_left() -> None:
    async def say_nothing(stream: trio.SocketStream) -> None:
        async for _ in stream:
            pass

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, say_nothing, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(UpsAwayError, match=r"no whole answer within 0\.2 s"):
            await read_ups(Ups("su700", "127.0.0.1", port), timeout_s=0.2)
        nursery.cancel_scope.cancel()


def test_names_of_upses() -> None:
    assert Ups.parse("su700@box") == ("su700", "box", 3493)
    assert Ups.parse("su700@[::1]:99") == ("su700", "::1", 99)
    for wrong in ("su700", "@box", "su700@box:0", "su700@box:70000", "a b@box"):
        with pytest.raises(ValueError, match="is no UPS"):
            Ups.parse(wrong)


@pytest.mark.parametrize(
    ("nut", "words"),
    [
        (
            ["su700@box", "su700"],
            r"jouled.toml:2: supplies.nut\[1\]: 'su700' is no UPS; write UPS@HOST or UPS@HOST:PORT",
        ),
        (["su700@box:99999"], "is no UPS"),
        (["su700@box", "su700@box:3493"], r"supplies.nut\[1\]: 'su700@box:3493' is in the list already"),
    ],
)
def test_an_entry_that_is_no_ups_is_refused_before_the_daemon_starts(
    tmp_path: Path, nut: list[str], words: str
) -> None:
    file = tmp_path / "jouled.toml"
    file.write_text(f"[supplies]\nnut = {nut!r}\n")
    with pytest.raises(ConfigError, match=words):
        loading.load(str(file))
