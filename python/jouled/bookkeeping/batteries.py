"""What a meter is in, from reading to reading, and the events of its battery."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, exists, literal, select, update

from jouled.bookkeeping import events
from jouled.bookkeeping.devices import thresholds
from jouled.books import charge
from jouled.books.charge import ALARMS, BATTERIES, News, Stage, Thresholds
from jouled.books.meters import Power
from jouled.store.schema.events import alerts
from jouled.store.schema.meters import meters
from jouled.wire.devices import State, Status


class Progress:
    """A meter's current state while readings come that are newer than its latest."""

    def __init__(self, connection: Connection, meter: Row[Any]) -> None:
        self._connection = connection
        self._meter = meter
        self.limits = Thresholds() if meter.low_threshold is None else thresholds(meter)
        self._now: dict[str, Any] = {
            name: getattr(meter, name) for name in ("state", "flow", "stage", "smooth_w", "latest_at", "charge_pct")
        }
        self._has_changed = False

    def __repr__(self) -> str:
        return f"<Progress of {self._meter.id}: {self._now['state']}>"

    def take(self, power: Power, status: Status | None, *, says_low: bool = False) -> State:
        """In order of time. Where no charge is given the last one holds."""
        meter, now = self._meter, self._now
        if not self._has_changed:
            events.clear(self._connection, stale_key(meter.id), power.at)
        charge_pct = now["charge_pct"] if power.charge_pct is None else power.charge_pct
        before = now["flow"]
        flow = charge.flow_of(meter.direction, power.power_w, status, meter.capacity_wh)
        flow = charge.steady_flow(flow, before, power.power_w, meter.capacity_wh, meter.direction)
        state = charge.state_of(
            meter.kind,
            power_w=power.power_w,
            charge_pct=charge_pct,
            flow=flow,
            limits=self.limits,
            before=now["state"],
            says_low=says_low,
        )
        stage = Stage.CALM
        if meter.kind in BATTERIES:
            stage = charge.stage_of(charge_pct, flow, state, self.limits, Stage(now["stage"]))
            told = charge.news(meter.kind, Stage(now["stage"]), stage, flow_before=before, flow=flow, state=state)
            self._tell(told, power, charge_pct)
        self._now = {
            "state": state,
            "flow": flow,
            "stage": int(stage),
            "smooth_w": self._smooth_w(power),
            "latest_at": power.at,
            "charge_pct": charge_pct,
            "voltage_v": power.voltage_v,
            "current_a": power.current_a,
            "power_w": power.power_w,
        }
        self._has_changed = True
        return state

    def save(self) -> None:
        if self._has_changed:
            self._connection.execute(update(meters).where(meters.c.id == self._meter.id).values(self._now))

    def _smooth_w(self, power: Power) -> float | None:
        since = self._now["latest_at"]
        elapsed_s = 0.0 if since is None else (power.at - since).total_seconds()
        gives_w = power.power_w
        if gives_w is not None and self._meter.direction == "consume":
            gives_w = -gives_w
        return charge.smooth_w(self._now["smooth_w"], gives_w, elapsed_s)

    def _tell(self, told: News, power: Power, charge_pct: float | None) -> None:
        if told.ended is not None:
            events.clear(self._connection, stage_key(self._meter.id, told.ended), power.at)
        common: dict[str, Any] = {
            "at": power.at,
            "site_id": self._meter.site_id,
            "device_id": self._meter.device_id,
            "meter_id": self._meter.id,
            "value": charge_pct,
        }
        level = "charge unknown" if charge_pct is None else f"charge {charge_pct:g} %"
        if told.alarm is not None:
            kind, severity = ALARMS[told.alarm]
            note = f"{self._meter.name}: {told.alarm.name.lower()}, {level}"
            key = stage_key(self._meter.id, told.alarm)
            events.raise_event(self._connection, type=kind, severity=severity, dedup_key=key, note=note, **common)
        if told.is_restored:
            self._note("restore", f"{self._meter.name}: restored, {level}", common)
        if told.has_begun_charging:
            self._note("charge_start", f"{self._meter.name}: charging, {level}", common)

    def _note(self, kind: str, note: str, common: dict[str, Any]) -> None:
        key = f"{kind}:{self._meter.id}"
        events.note_event(self._connection, type=kind, severity="info", dedup_key=key, note=note, **common)


def mark_stale(connection: Connection, meter_id: str, at: datetime, why: str) -> None:
    """Its source says nothing any more. A battery that was giving then is assumed to be at its end."""
    row = connection.execute(select(meters).where(meters.c.id == meter_id).with_for_update()).one_or_none()
    if row is None or events.is_open(connection, stale_key(meter_id)):
        return
    was_giving = row.kind in BATTERIES and row.flow == "discharging"
    connection.execute(
        update(meters).where(meters.c.id == meter_id).values(state="critical" if was_giving else "unknown")
    )
    events.raise_event(
        connection,
        type="stale",
        severity="critical" if was_giving else "warning",
        dedup_key=stale_key(meter_id),
        at=at,
        note=f"{row.name}: {'stale while on battery: ' if was_giving else ''}{why}",
        site_id=row.site_id,
        device_id=row.device_id,
        meter_id=meter_id,
        value=row.charge_pct,
    )


def mark_all_stale(connection: Connection, now: datetime, most: int = 1000) -> int:
    """Batteries of which nothing was heard for too long. Returns how many that are."""
    silent = select(meters.c.id).where(
        meters.c.kind.in_(BATTERIES), meters.c.latest_at < now - timedelta(seconds=charge.STALE_S)
    )
    said = exists().where(alerts.c.dedup_key == literal(stale_key("")) + meters.c.id)
    silent = silent.where(~said)
    found = connection.execute(silent.order_by(meters.c.id).limit(most)).scalars().all()
    for meter_id in found:
        mark_stale(connection, meter_id, now, f"silent for {charge.STALE_S / 60:g} minutes")
    return len(found)


def stale_key(meter_id: str) -> str:
    return f"stale:{meter_id}"


def stage_key(meter_id: str, stage: Stage) -> str:
    return f"battery:{meter_id}:{stage.name.lower()}"
