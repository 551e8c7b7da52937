"""Devices, meters and their power for programs: over the daemon's store, without the daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, get_args

import msgspec
from msgspec import UNSET, UnsetType

from jouled.errors import BooksError, JouledError
from jouled.wire.devices import (
    Device,
    DeviceDraft,
    DeviceReport,
    Direction,
    EventType,
    Kind,
    Meter,
    MeterDraft,
    PowerBatch,
    PowerDraft,
    PowerLogged,
    PowerReading,
    Runtime,
    Status,
)
from jouled.wire.mistakes import explained

if TYPE_CHECKING:  # SQLAlchemy comes with it
    from sqlalchemy import Connection

    from jouled.store import Store

T = TypeVar("T")

EVENTS_MAX = 10_000


class PowerError(JouledError, ValueError):
    """The books refuse it, and nothing was changed: the message says why."""


class PowerManager:
    """Registers devices and meters, logs their power, and says how they are. Any thread may call it.

    `place` is a file (SQLite), an address (`postgresql://USER@HOST/DATABASE`, `sqlite:////PATH`), or an
    open Store, which stays its owner's. Without one it is the daemon's own file. Powers are in W, energies
    in Wh, charges in percent; times are aware, results in UTC. Methods raise PowerError, a ValueError, for
    what cannot be, and StoreError where the store is away.
    """

    def __init__(
        self,
        place: str | Path | Store | None = None,
        *,
        prefix: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        from jouled.store import Store as OpenStore

        self._clock = clock
        self._is_own = not isinstance(place, OpenStore)
        self._store = place if isinstance(place, OpenStore) else OpenStore(_address(place), prefix=prefix)

    def __repr__(self) -> str:
        return f"<PowerManager {self._store!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._is_own:
            self._store.close()

    def register_device(
        self,
        device_id: str,
        name: str | UnsetType = UNSET,
        shutdown_threshold: float | UnsetType = UNSET,
        target_wh: float | UnsetType | None = UNSET,
        *,
        low_threshold: float | UnsetType = UNSET,
        critical_threshold: float | UnsetType = UNSET,
        full_threshold: float | UnsetType = UNSET,
        site_id: str | UnsetType | None = UNSET,
    ) -> Device:
        """Make a device (shutdown_threshold 3.0, low 20, critical 5, full 95), or change what is given of it."""
        from jouled.bookkeeping import devices

        draft = _made(
            DeviceDraft,
            name=name,
            site_id=site_id,
            shutdown_threshold=shutdown_threshold,
            low_threshold=low_threshold,
            critical_threshold=critical_threshold,
            full_threshold=full_threshold,
            target_wh=target_wh,
        )
        device_id = _made(MeterDraft, type="main", device_id=device_id).device_id or ""
        return self._write(lambda connection: devices.register(connection, device_id, draft, self._clock()))

    def get_device(self, device_id: str) -> Device:
        from jouled.bookkeeping import devices

        return self._read(lambda connection: devices.get(connection, device_id))

    def list_devices(self) -> list[Device]:
        from jouled.bookkeeping import devices, meters

        return list(self._read(lambda connection: devices.listed(connection, None, meters.METERS_MAX)).items)

    def add_meter(
        self,
        device_id: str,
        meter_type: Kind,
        capacity_wh: float | None = None,
        name: str | None = None,
        *,
        direction: Direction | None = None,
        meter_id: str | None = None,
    ) -> Meter:
        """A meter of kind main, battery, solar, ups or generation.

        A battery's positive power is its discharge; with `direction="consume"` it is its charge.
        """
        from jouled.bookkeeping import meters

        draft = _made(
            MeterDraft,
            type=meter_type,
            name=name,
            id=meter_id,
            device_id=device_id,
            direction=direction,
            capacity_wh=capacity_wh or None,
        )
        return self._write(lambda connection: meters.create(connection, draft, self._clock()))

    def get_meter(self, meter_id: str) -> Meter:
        from jouled.bookkeeping import meters

        return self._read(lambda connection: meters.get(connection, meter_id))

    def list_meters(self, device_id: str | None = None) -> list[Meter]:
        from jouled.bookkeeping import meters

        return list(self._read(lambda connection: meters.listed(connection, device_id=device_id)).items)

    def log_power(
        self,
        meter_id: str,
        voltage: float | None = None,
        current: float | None = None,
        charge_pct: float | None = None,
        timestamp: datetime | None = None,
        *,
        key: str | None = None,
        status: Status | None = None,
        wattage: float | None = None,
    ) -> PowerReading:
        """Log voltage (V) times current (A), or `wattage`; the charge is clamped to 0..100, None keeps the last.

        An older `timestamp` changes the history only; the same `key` again is the same reading.
        """
        from jouled.bookkeeping import power_readings

        draft = PowerDraft(voltage, current, wattage, charge_pct, timestamp, key, status)
        return self._write(lambda connection: power_readings.log_power(connection, meter_id, draft, self._clock()))

    def log_batch(self, meter_id: str, readings: Iterable[PowerDraft]) -> PowerLogged:
        """Many of one meter in one transaction: all, or none."""
        from jouled.bookkeeping import power_readings

        batch = PowerBatch(tuple(readings))
        return self._write(lambda connection: power_readings.log_batch(connection, meter_id, batch, self._clock()))

    def log_event(self, device_id: str, event_type: EventType, value: float | None = None, note: str = "") -> str:
        """Write down what the program itself saw. Returns the event's id."""
        from jouled.bookkeeping import devices, events

        if event_type not in get_args(EventType):
            raise PowerError(f"event type {event_type!r} is not known; write one of {', '.join(get_args(EventType))}")

        def work(connection: Connection) -> str:
            device = devices.get(connection, device_id)
            return events.note_event(
                connection,
                type=event_type,
                severity="info",
                dedup_key=f"{event_type}:{device_id}",
                at=self._clock(),
                note=note,
                site_id=device.site_id,
                device_id=device_id,
                value=value,
            )

        return self._write(work)

    def runtime(self, device_id: str) -> Runtime:
        """How long the batteries last together, or why that is not known."""
        from jouled.bookkeeping import device_reports

        return self._read(lambda connection: device_reports.runtime(connection, device_id, self._clock()))

    def estimate_runtime(self, device_id: str) -> float | None:
        """Hours to two places; None where it is not known: `runtime` says why."""
        return self.runtime(device_id).hours

    def power_budget_check(self, device_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """By device, as in the API; `{"error": ...}` for one that is not there."""
        from jouled.bookkeeping import device_reports

        names = [device_ids] if isinstance(device_ids, str) else list(device_ids)
        found = self._read(lambda connection: device_reports.budget_check(connection, names, self._clock()))
        return cast("dict[str, dict[str, Any]]", msgspec.to_builtins(found))

    def get_history(self, meter_id: str, hours: float = 24) -> list[dict[str, Any]]:
        """Powers of the last hours, oldest first: minutes where the readings themselves are gone."""
        from jouled.bookkeeping import power_history

        now = self._clock()
        if not 0 < hours <= 24 * 3660:
            raise PowerError(f"hours {hours} cannot be; it must be more than 0 and at most ten years")
        start, end = now - timedelta(hours=hours), now + timedelta(minutes=5)
        found = self._read(lambda connection: power_history.history(connection, meter_id, start, end))
        return [cast("dict[str, Any]", msgspec.to_builtins(entry)) for entry in found.readings]

    def get_events(self, device_id: str, limit: int = 50) -> list[dict[str, Any]]:
        """Newest first."""
        from jouled.bookkeeping import device_reports

        if not 1 <= limit <= EVENTS_MAX:
            raise PowerError(f"limit must be from 1 to {EVENTS_MAX}")
        found = self._read(lambda connection: device_reports.device_events(connection, device_id, limit))
        return [cast("dict[str, Any]", msgspec.to_builtins(event)) for event in found.events]

    def report(self, device_id: str, days: int = 7) -> DeviceReport:
        from jouled.bookkeeping import device_reports

        return self._read(lambda connection: device_reports.report(connection, device_id, days, self._clock()))

    def export_report(self, device_id: str, days: int = 7) -> str:
        """The report as JSON."""
        return msgspec.json.format(msgspec.json.encode(self.report(device_id, days))).decode()

    def _read(self, query: Callable[[Connection], T]) -> T:
        with _refusals():
            return self._store.read(query)

    def _write(self, work: Callable[[Connection], T]) -> T:
        with _refusals():
            return self._store.write(work)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except BooksError as error:
        raise PowerError(str(error)) from None


def _made(kind: type[T], **given: Any) -> T:
    """Checked as the API checks it: programs may hold anything."""
    try:
        return msgspec.convert({name: value for name, value in given.items() if value is not UNSET}, kind)
    except msgspec.ValidationError as error:
        raise PowerError(explained(error, kind)) from None


def _address(place: str | Path | None) -> str:
    if place is None:
        return "sqlite"
    text = str(place)
    if "://" in text or text == "sqlite":
        return text
    return f"sqlite:///{Path(text).absolute()}"
