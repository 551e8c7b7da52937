"""Many fake miners on loopback addresses, one port, one thread; run as `python -m miners.farm` from `tests`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeAlias

from miners.braiins_fake import BraiinsFake
from miners.fake_http import Answer, Asked
from miners.machine import Clock
from miners.vnish_fake import VnishFake

Device: TypeAlias = VnishFake | BraiinsFake
# Ports that were free at the first address and are taken at another one.
TRIES = 20


class Farm:
    """`scale` is how much faster than the wall its devices live; `braiins` of `count` have Braiins OS.

    Everything is changed by `with farm.lock`, since the devices answer in a thread of their own.
    """

    def __init__(
        self,
        count: int,
        *,
        scale: float = 100.0,
        seed: int = 1,
        braiins: int = 0,
        clock: Clock | None = None,
        net: int = 20,
    ) -> None:
        self.clock = clock or Clock(scale)
        self.net = net
        self.port = 0
        self.lock = threading.RLock()
        self.devices: list[Device] = []
        self._hosts: dict[str, str] = {}
        for place in range(count):
            kind = BraiinsFake if place < braiins else VnishFake
            mac = f"02:00:{seed & 255:02x}:00:{place >> 8:02x}:{place & 255:02x}"
            self.devices.append(kind(mac, self.clock, seed=seed))
            self._hosts[mac] = self._host(place + 1)
        self._servers: dict[str, asyncio.Server] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="farm")
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._call(self._open_all)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._call(self._close_all)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def subnet(self) -> str:
        return f"127.{self.net}.0.0/16"

    def address(self, device: Device) -> str:
        return f"{self._hosts[device.mac]}:{self.port}"

    def power_w(self) -> float:
        """What all of them truly draw now, whatever they say."""
        with self.lock:
            return sum(device.watts() for device in self.devices)

    def add(self, device: Device, number: int) -> None:
        """One more, at the address of that number."""
        self._hosts[device.mac] = self._host(number)
        with self.lock:
            self.devices.append(device)
        self._call(lambda: self._open(device))

    def vanish(self, device: Device) -> None:
        """From the network only: it goes on drawing its power."""
        device.faults.is_gone = True
        self._call(lambda: self._close(device))

    def appear(self, device: Device, number: int | None = None) -> None:
        """Again, at the address of that number or at its former one."""
        if number is not None:
            self._hosts[device.mac] = self._host(number)
        device.faults.is_gone = False
        self._call(lambda: self._open(device))

    def _host(self, number: int) -> str:
        return f"127.{self.net}.{number >> 8}.{number & 255}"

    def _call(self, work: Callable[[], object]) -> None:
        async def run() -> None:
            result = work()
            if asyncio.iscoroutine(result):
                await result

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    async def _open_all(self) -> None:
        for left in reversed(range(TRIES)):
            self.port = 0
            try:
                for device in self.devices:
                    await self._open(device)
            except OSError:
                if not left:
                    raise
                await self._close_all()
            else:
                return

    async def _open(self, device: Device) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(device, reader, writer)

        server = await asyncio.start_server(serve, self._hosts[device.mac], self.port, backlog=64)
        self.port = self.port or server.sockets[0].getsockname()[1]
        self._servers[device.mac] = server

    async def _close(self, device: Device) -> None:
        if (server := self._servers.pop(device.mac, None)) is not None:
            server.close()
            # Connections that are open end with their next request: the device has no address any more.
            await asyncio.sleep(0)

    async def _close_all(self) -> None:
        for device in self.devices:
            await self._close(device)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, device: Device, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(device, reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # who asked has gone, or the farm ends
        finally:
            self._tasks.discard(task)
            with contextlib.suppress(OSError):
                writer.close()

    async def _exchange(self, device: Device, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        asked = await _read(reader)
        if device.faults.hangs:
            await asyncio.sleep(3600)
        if device.faults.late_s:
            await asyncio.sleep(device.faults.late_s)
        with self.lock:
            device.advance()
            answer = None if device.faults.is_gone or device.mode == "rebooting" else device.handle(asked)
        if answer is None or answer.is_lost:
            return False
        writer.write(_written(answer))
        await writer.drain()
        return True


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path.partition("?")[0], headers, json.loads(body) if body else {})


def _written(answer: Answer) -> bytes:
    body = answer.packed
    kind = "text/html" if body.startswith(b"<") else "application/json"
    head = f"HTTP/1.1 {answer.status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Prints where it is, then the true power of all, a line of JSON each, until its input ends."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--braiins", type=int, default=0)
    parser.add_argument("--scale", type=float, default=100.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=1.0, help="seconds of the wall between two lines")
    args = parser.parse_args(argv)
    is_over = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        is_over.set()

    threading.Thread(target=watch, daemon=True).start()
    with Farm(args.count, scale=args.scale, seed=args.seed, braiins=args.braiins) as farm:
        places = {device.mac: farm.address(device) for device in farm.devices}
        _say({"port": farm.port, "subnet": farm.subnet, "miners": places})
        while not is_over.wait(args.every):
            line = {
                "at_s": round(farm.clock(), 3),
                "wall": time.time(),
                "power_w": round(farm.power_w(), 1),
                "changes": sum(device.changes for device in farm.devices),
            }
            _say(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
