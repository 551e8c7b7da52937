"""`/api/v1/devices`: what a power manager keeps, and says of it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from litestar import Controller, get, post, put
from litestar.params import JSONBody, QueryParameter

from jouled.bookkeeping import device_reports, devices, meters
from jouled.bookkeeping.device_reports import REPORT_DAYS_MAX
from jouled.bookkeeping.pages import ROWS_MAX
from jouled.errors import InvalidError
from jouled.web.api.parameters import Cursor, IdInPath, Limit, TheClock, TheStore
from jouled.wire.devices import (
    Device,
    DeviceBudget,
    DeviceDraft,
    DeviceEvents,
    DeviceReport,
    EventType,
    Meter,
    NewDevice,
    Runtime,
)
from jouled.wire.problems import Page

# As many as there is room for in a request's head.
DEVICES_MAX = 100
Fleet: TypeAlias = Annotated[
    str, QueryParameter(max_length=DEVICES_MAX * 129, description="Ids of devices, with commas between them.")
]
Days: TypeAlias = Annotated[int, QueryParameter(ge=1, le=REPORT_DAYS_MAX, description="So many days back.")]
OfType: TypeAlias = Annotated[EventType | None, QueryParameter(description="Only of this type.")]
Latest: TypeAlias = Annotated[int, QueryParameter(ge=1, le=ROWS_MAX, description="Events at most.")]


class Devices(Controller):
    """Devices."""

    path = "/devices"
    tags = ("devices",)
    opt = {"scope": "write:sites"}  # noqa: RUF012  (Litestar copies it)

    @post()
    async def create_device(self, data: JSONBody[NewDevice], store: TheStore, clock: TheClock) -> Device:
        """Register a device that is not there yet."""
        return await store.commit(lambda connection: devices.create(connection, data.id, data, clock()))

    @get()
    async def list_devices(self, store: TheStore, cursor: Cursor = None, limit: Limit = 100) -> Page[Device]:
        """All devices, by id."""
        return await store.fetch(lambda connection: devices.listed(connection, cursor, limit))

    @get("/{device_id:str}")
    async def get_device(self, device_id: IdInPath, store: TheStore) -> Device:
        """One device."""
        return await store.fetch(lambda connection: devices.get(connection, device_id))

    @put("/{device_id:str}")
    async def change_device(self, device_id: IdInPath, data: JSONBody[DeviceDraft], store: TheStore) -> Device:
        """Change a device; what is left out stays as it was."""
        return await store.commit(lambda connection: devices.change(connection, device_id, data))

    @get("/{device_id:str}/meters")
    async def list_device_meters(
        self, device_id: IdInPath, store: TheStore, cursor: Cursor = None, limit: Limit = 100
    ) -> Page[Meter]:
        """The meters of a device, by id."""
        return await store.fetch(lambda connection: meters.of_device(connection, device_id, cursor, limit))

    @get("/{device_id:str}/events")
    async def list_device_events(
        self,
        device_id: IdInPath,
        store: TheStore,
        limit: Latest = 50,
        type: OfType = None,  # noqa: A002  (the word of the API)
    ) -> DeviceEvents:
        """What happened to a device, newest first."""
        return await store.fetch(lambda connection: device_reports.device_events(connection, device_id, limit, type))

    @get("/{device_id:str}/runtime")
    async def get_device_runtime(self, device_id: IdInPath, store: TheStore, clock: TheClock) -> Runtime:
        """How long its batteries last, or why that is not known."""
        return await store.fetch(lambda connection: device_reports.runtime(connection, device_id, clock()))

    @get("/{device_id:str}/report")
    async def get_device_report(
        self, device_id: IdInPath, store: TheStore, clock: TheClock, days: Days = 7
    ) -> DeviceReport:
        """Its last days, weighted by time."""
        return await store.fetch(lambda connection: device_reports.report(connection, device_id, days, clock()))


class PowerBudget(Controller):
    """The power of a fleet."""

    path = "/power-budget"
    tags = ("devices",)

    @get()
    async def check_power_budget(self, device: Fleet, store: TheStore, clock: TheClock) -> dict[str, DeviceBudget]:
        """Load, production and charge of each device; one that is not there has an error."""
        names = [name for name in device.split(",") if name]
        if not 1 <= len(names) <= DEVICES_MAX:
            raise InvalidError(f"name from 1 to {DEVICES_MAX} devices, with commas between them")
        return await store.fetch(lambda connection: device_reports.budget_check(connection, names, clock()))
