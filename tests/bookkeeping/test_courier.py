from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import trio

from answering import Server, answering
from jouled.bookkeeping import courier, deliveries, events
from jouled.bookkeeping.courier import Carrier
from jouled.books.deliveries import Failure
from jouled.config.books import Alerts
from jouled.errors import ConfigError
from jouled.store import Store
from jouled.wire.events import Event, Severity

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
LOOK_S = 0.01


class FakeCarrier:
    def __init__(self, target: Literal["webhook", "command"], *answers: Failure | None, hangs: bool = False) -> None:
        self.target = target
        self.carried: list[str] = []
        self._answers = list(answers)
        self._hangs = hangs

    async def carry(self, event: Event) -> Failure | None:
        self.carried.append(event.note)
        if self._hangs:
            await trio.sleep_forever()
        return self._answers.pop(0) if self._answers else None


class Wall:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as server:
        yield server


@pytest.fixture(autouse=True)
def no_targets_left() -> Iterator[None]:
    yield
    events.deliver_to(())


@asynccontextmanager
async def telling(store: Store, wall: Wall, *carriers: Carrier) -> AsyncIterator[None]:
    events.deliver_to(carrier.target for carrier in carriers)
    async with trio.open_nursery() as nursery:
        await nursery.start(courier.tell, store, carriers, wall, LOOK_S)
        yield
        nursery.cancel_scope.cancel()


async def happen(store: Store, note: str, severity: Severity = "warning") -> str:
    return await store.commit(
        lambda connection: events.note_event(
            connection,
            type="test",
            severity=severity,
            dedup_key=note,
            at=NOW,
            note=note,
            device_id="ups-1",
        )
    )


async def until(is_so: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not is_so():  # noqa: ASYNC110  (what it waits for is in the store)
            await trio.sleep(LOOK_S)


def states(store: Store) -> list[tuple[str, str]]:
    page = store.read(lambda connection: deliveries.listed(connection, None, None, 100))
    return sorted((one.target, one.state) for one in page.items)


async def test_each_event_reaches_each_target_once_and_in_order(store: Store, wall: Wall) -> None:
    webhook, command = FakeCarrier("webhook"), FakeCarrier("command")
    async with telling(store, wall, webhook, command):
        for note in ("one", "two", "three"):
            await happen(store, note)
        await until(lambda: len(webhook.carried) == len(command.carried) == 3)
        await until(lambda: {state for _, state in states(store)} == {"delivered"})
        await trio.sleep(5 * LOOK_S)
    assert webhook.carried == command.carried == ["one", "two", "three"]


async def test_a_target_that_hangs_holds_up_no_other_and_not_the_log(
    store: Store, wall: Wall, lines: list[Any]
) -> None:
    webhook, command = FakeCarrier("webhook", hangs=True), FakeCarrier("command")
    async with telling(store, wall, webhook, command):
        await happen(store, "one")
        await until(lambda: command.carried == ["one"])
        await until(lambda: any(line["event"] == "one" for line in lines))
        await until(lambda: webhook.carried == ["one"])


async def test_each_event_is_one_line_at_its_severity(store: Store, wall: Wall, lines: list[Any]) -> None:
    await happen(store, "before the daemon")
    async with telling(store, wall):
        await trio.sleep(10 * LOOK_S)
        severity: Severity
        for severity in ("info", "warning", "critical"):
            await happen(store, f"a {severity}", severity)
        await until(lambda: len(lines) >= 3)
        await trio.sleep(10 * LOOK_S)
    told = [(line["event"], line["log_level"], line["device_id"]) for line in lines]
    assert told == [("a info", "info", "ups-1"), ("a warning", "warning", "ups-1"), ("a critical", "error", "ups-1")]


async def test_an_event_that_another_process_wrote_is_delivered_too(store: Store, wall: Wall) -> None:
    webhook = FakeCarrier("webhook")
    async with telling(store, wall, webhook):
        events.deliver_to(())  # another process knows of no targets
        await happen(store, "one")
        await until(lambda: webhook.carried == ["one"])


async def test_a_failure_is_said_once_and_the_event_comes_later(store: Store, wall: Wall, lines: list[Any]) -> None:
    away = Failure("POST http://x: no answer")
    webhook = FakeCarrier("webhook", away, away)
    async with telling(store, wall, webhook):
        await happen(store, "one")
        await until(lambda: len(webhook.carried) == 1)
        await trio.sleep(10 * LOOK_S)
        assert len(webhook.carried) == 1  # not before its time
        wall.now += timedelta(seconds=15)
        await until(lambda: len(webhook.carried) == 2)
        wall.now += timedelta(seconds=90)
        await until(lambda: states(store) == [("webhook", "delivered")])
        await until(lambda: "again" in lines[-1]["event"])
    said = [line["event"] for line in lines if line["event"].startswith("alerts.")]
    assert said == ["alerts.webhook: POST http://x: no answer", "alerts.webhook: events are delivered again"]


async def test_an_event_that_is_given_up_is_said_with_the_way_to_try_it_again(
    store: Store, wall: Wall, lines: list[Any]
) -> None:
    webhook = FakeCarrier("webhook", Failure("POST http://x: 410", is_final=True))
    async with telling(store, wall, webhook):
        await happen(store, "one")
        await happen(store, "two")
        await until(lambda: states(store) == [("webhook", "dead"), ("webhook", "delivered")])
    (line,) = [line for line in lines if "given up" in line["event"]]
    assert line["event"] == "alerts.webhook: an event was given up: POST http://x: 410"
    assert line["again"] == "POST /api/v1/deliveries/1/retry"


async def test_a_carrier_with_a_defect_is_started_again(store: Store, wall: Wall, lines: list[Any]) -> None:
    class Broken(FakeCarrier):
        async def carry(self, event: Event) -> Failure | None:
            await super().carry(event)
            raise ValueError("a defect")

    command, broken = FakeCarrier("command"), Broken("webhook")
    async with telling(store, wall, broken, command):
        await happen(store, "one")
        await until(lambda: any(line["event"].startswith("alerts.webhook failed") for line in lines))
        await happen(store, "two")
        await until(lambda: command.carried == ["one", "two"])


async def test_as_set_the_webhook_is_signed_and_the_command_runs(store: Store, server: Server, tmp_path: Path) -> None:
    server.tell("/hook")
    (tmp_path / "secret").write_text("s3cret")
    write = f"import sys; open({str(tmp_path / 'got')!r}, 'w').write(sys.stdin.read())"
    settings = Alerts(
        webhook=f"{server.url}/hook",
        secret=f"file:{tmp_path}/secret",
        command=(sys.executable, "-S", "-c", write),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(courier.tell_as_set, settings, store, lambda: NOW)
        await happen(store, "one")
        await until(lambda: states(store) == [("command", "delivered"), ("webhook", "delivered")])
        nursery.cancel_scope.cancel()
    assert server.asked[0].headers["jouled-signature"].startswith("sha256=")
    assert b'"note":"one"' in server.asked[0].body
    assert '"note":"one"' in (tmp_path / "got").read_text()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            Alerts(webhook="http://x/", secret="file:/nowhere"),
            "read /nowhere: No such file or directory; put the secret",
        ),
    ],
)
async def test_alerts_that_cannot_be_are_refused_at_the_start(settings: Alerts, words: str, tmp_path: Path) -> None:
    with Store(state_dir=str(tmp_path)) as store, pytest.raises(ConfigError) as caught:
        await courier.tell_as_set(settings, store, lambda: NOW)
    assert words in str(caught.value)


DELIVERS = """
import sys
from datetime import UTC, datetime, timedelta
import trio
from jouled.bookkeeping import courier
from jouled.config.books import Alerts
from jouled.store import Store

later = timedelta(seconds=float(sys.argv[3]))
with Store(sys.argv[1]) as store:
    trio.run(courier.tell_as_set, Alerts(webhook=sys.argv[2]), store, lambda: datetime(2026, 5, 4, 12, tzinfo=UTC) + later)
"""


async def test_a_delivery_survives_the_kill_of_the_daemon(tmp_path: Path, server: Server) -> None:
    url = f"sqlite:///{tmp_path}/books.sqlite"
    server.tell("/hook", b"0123456789", hangs=True)
    with Store(url) as store:
        events.deliver_to(("webhook",))
        await happen(store, "one")
        for later_s in (0, 300):
            command = [sys.executable, "-c", DELIVERS, url, f"{server.url}/hook", str(later_s)]
            process = subprocess.Popen(command)  # noqa: ASYNC220  (it starts at once, and is killed)
            try:
                expected = 1 if later_s == 0 else 2
                await until(lambda expected=expected: len(server.asked) == expected)  # type: ignore[misc]
                if later_s == 0:
                    os.kill(process.pid, signal.SIGKILL)
                    assert states(store) == [("webhook", "pending")]
                    server.forget()
                    server.tell("/hook")
                else:
                    await until(lambda: states(store) == [("webhook", "delivered")])
            finally:
                process.kill()
                process.wait()
    first, second = server.asked
    assert first.body == second.body
    assert first.headers["jouled-event-id"] == second.headers["jouled-event-id"]
