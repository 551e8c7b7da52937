"""Carbon budgets: each of their periods is a row, which readings of its time add to whenever they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Connection, Row, insert, select, type_coerce, update
from sqlalchemy.exc import DataError, IntegrityError

from jouled.bookkeeping import events, site_energy
from jouled.bookkeeping.ids import new_id
from jouled.bookkeeping.pages import page, place_of
from jouled.bookkeeping.reading_rows import lock
from jouled.bookkeeping.site_energy import Key
from jouled.bookkeeping.sites import zone_of
from jouled.books import budgets, calendar, forecast
from jouled.books.budgets import Limits
from jouled.books.calendar import Period
from jouled.books.emissions import UG_PER_KG
from jouled.books.readings import AHEAD_MAX
from jouled.errors import ConflictError, InvalidError, NotFoundError
from jouled.store.schema.carbon import carbon_budget_periods, carbon_budgets
from jouled.store.schema.events import alerts
from jouled.store.schema.sites import sites
from jouled.store.types import instant
from jouled.wire.carbon import Budget, BudgetDraft, BudgetForecast, BudgetStatus
from jouled.wire.events import Severity
from jouled.wire.problems import Page

SEVERITIES: dict[str, Severity] = {"warning": "warning", "critical": "critical", "exceeded": "critical"}
TYPES = tuple(f"carbon_budget_{status}" for status in SEVERITIES)
# Each is written at every reading of its site.
ACTIVE_MAX = 100


class _Use(NamedTuple):
    """Of one period: `status` is what somebody was told of."""

    used_ug: int
    status: str
    exceeded_at: datetime | None


_UNUSED = _Use(0, "normal", None)


def create(connection: Connection, draft: BudgetDraft, now: datetime) -> Budget:
    """Those that there are run on. What was emitted in its first period before it was made, is used of it."""
    limits = Limits(round(draft.budget_amount * UG_PER_KG), draft.warning_threshold, draft.critical_threshold)
    problem = budgets.refused(limits)
    if problem is not None:
        raise InvalidError(problem)
    lock(connection)
    zone = _zone_of_draft(connection, draft)
    if len(_active(connection, [draft.facility_id])) >= ACTIVE_MAX:
        raise ConflictError(f"{draft.facility_id!r} has {ACTIVE_MAX} active budgets; close one of them first")
    budget_id = draft.id or new_id()
    try:
        connection.execute(
            insert(carbon_budgets).values(
                id=budget_id,
                site_id=draft.facility_id,
                budget_period=draft.budget_period,
                amount_ug=limits.amount_ug,
                warning_pct=limits.warning_pct,
                critical_pct=limits.critical_pct,
                is_active=True,
                created_at=now,
                updated_at=now,
            )
        )
    except IntegrityError:
        raise ConflictError(f"there is a carbon budget {budget_id!r} already; choose another id") from None
    row = _row(connection, budget_id)
    period = calendar.period(draft.budget_period, now, zone)
    _put(connection, row, period, _UNUSED, _emitted_ug(connection, row.site_id, period, zone), now=now, is_new=True)
    return _budget(connection, row, zone, now)


def _zone_of_draft(connection: Connection, draft: BudgetDraft) -> ZoneInfo:
    try:
        return zone_of(connection, draft.facility_id)
    except NotFoundError as error:
        raise InvalidError(str(error)) from None


def feed(connection: Connection, days: Mapping[Key, int], zones: Mapping[str, ZoneInfo], now: datetime) -> None:
    """Add what was emitted on days, which the sums of days have already, to all periods that they are part of."""
    of_site: dict[str, dict[int, int]] = {}
    for key, emission_ug in days.items():
        added = of_site.setdefault(key.site_id, {})
        added[key.start_us] = added.get(key.start_us, 0) + emission_ug
    for row in _active(connection, sorted(of_site)):
        zone = zones[row.site_id]
        first = calendar.period(row.budget_period, row.created_at, zone)
        added_to: dict[Period, int] = {}
        for start_us, emission_ug in sorted(of_site[row.site_id].items()):
            period = calendar.period(row.budget_period, instant(start_us), zone)
            added_to[period] = added_to.get(period, 0) + emission_ug
        for period, emission_ug in added_to.items():
            # Before it was made there was no such budget.
            if period.start >= first.start:
                _add(connection, row, period, emission_ug, zone=zone, now=now)


def _add(
    connection: Connection, row: Row[Any], period: Period, emission_ug: int, *, zone: ZoneInfo, now: datetime
) -> None:
    use = _use(connection, row.id, period)
    if use is None:
        _put(connection, row, period, _UNUSED, _emitted_ug(connection, row.site_id, period, zone), now=now, is_new=True)
    else:
        _put(connection, row, period, use, use.used_ug + emission_ug, now=now, is_new=False)


def _put(
    connection: Connection, row: Row[Any], period: Period, before: _Use, used_ug: int, *, now: datetime, is_new: bool
) -> None:
    limits = _limits(row)
    status = budgets.status_of(used_ug, limits)
    is_crossing = budgets.is_crossing(before.status, status)
    exceeded_at = now if is_crossing and status == "exceeded" else before.exceeded_at
    values = {
        "used_ug": used_ug,
        "status": status if is_crossing else before.status,
        "exceeded_at": exceeded_at,
        "updated_at": now,
    }
    table = carbon_budget_periods
    try:
        if is_new:
            place = {"budget_id": row.id, "start_at": period.start, "end_at": period.end}
            connection.execute(insert(table).values(**place, **values))
        else:
            which = table.c.budget_id == row.id, table.c.start_at == period.start
            connection.execute(update(table).where(*which).values(**values))
    except (OverflowError, DataError):
        raise InvalidError(f"the use of carbon budget {row.id!r} would be above 9 gigatonnes") from None
    if is_crossing:
        _tell(connection, row, period, status=status, used_ug=used_ug, now=now)


def _tell(connection: Connection, row: Row[Any], period: Period, *, status: str, used_ug: int, now: datetime) -> None:
    """Once per crossing; a period that is over has no alert that could be open."""
    used_pct = budgets.used_pct(used_ug, row.amount_ug)
    word = "exceeded" if status == "exceeded" else f"{status}, {used_pct:.1f} % used"
    named: dict[str, Any] = {
        "type": f"carbon_budget_{status}",
        "severity": SEVERITIES[status],
        "at": now,
        "site_id": row.site_id,
        "value": used_pct,
        "note": f"{row.budget_period} carbon budget of {row.site_id} is {word}: {used_ug / UG_PER_KG:.3f} of "
        f"{row.amount_ug / UG_PER_KG:.3f} kg since {period.start.isoformat()}",
    }
    key = _alert_key(row.id, period)
    if period.end <= now:
        events.note_event(connection, dedup_key=f"{key}:{status}", **named)
        return
    events.clear(connection, key, now)
    events.raise_event(connection, dedup_key=key, **named)


def roll_over(connection: Connection, now: datetime) -> int:
    """Begin the periods that are due, and close alerts of those that are over. Returns how many began."""
    lock(connection)
    begun = 0
    running: set[str] = set()
    for row, timezone in _all_active(connection):
        zone = ZoneInfo(timezone)
        period = calendar.period(row.budget_period, now, zone)
        # Readings may be a little ahead, and so may their period.
        ahead = calendar.period(row.budget_period, now + AHEAD_MAX, zone)
        running.update((_alert_key(row.id, period), _alert_key(row.id, ahead)))
        if _use(connection, row.id, period) is None:
            used_ug = _emitted_ug(connection, row.site_id, period, zone)
            _put(connection, row, period, _UNUSED, used_ug, now=now, is_new=True)
            begun += 1
    for key in connection.execute(select(alerts.c.dedup_key).where(alerts.c.type.in_(TYPES))).scalars().all():
        if key not in running:
            events.clear(connection, key, now, type="carbon_budget_period_over", note="its period is over")
    return begun


def close(connection: Connection, budget_id: str, now: datetime) -> Budget:
    """Nothing is added to it any more. Raises ConflictError where it is closed already."""
    lock(connection)
    row = _row(connection, budget_id)
    if not row.is_active:
        raise ConflictError(f"carbon budget {budget_id!r} is closed already")
    connection.execute(
        update(carbon_budgets)
        .where(carbon_budgets.c.id == budget_id)
        .values(is_active=False, closed_at=now, updated_at=now)
    )
    zone = zone_of(connection, row.site_id)
    period = calendar.period(row.budget_period, now, zone)
    for place in {period, calendar.period(row.budget_period, now + AHEAD_MAX, zone)}:
        events.clear(connection, _alert_key(budget_id, place), now, type="carbon_budget_closed", note="it was closed")
    return _budget(connection, _row(connection, budget_id), zone, now)


def of_site(connection: Connection, name: str, kind: str | None, now: datetime) -> Budget:
    """A site's newest active budget, of one period where `kind` names it; or the budget of that id."""
    is_site = connection.execute(select(sites.c.id).where(sites.c.id == name)).one_or_none() is not None
    if not is_site:
        row = _row(connection, name, missing=f"there is no site and no carbon budget {name!r}")
        return _budget(connection, row, zone_of(connection, row.site_id), now)
    rows = [row for row in _active(connection, [name]) if kind in {None, row.budget_period}]
    if not rows:
        raise NotFoundError("no budget configured for this facility; POST /api/v1/carbon/budget makes one")
    newest = max(rows, key=lambda row: (row.created_at, row.id))
    return _budget(connection, newest, zone_of(connection, name), now)


def status_of_site(connection: Connection, site_id: str, now: datetime) -> BudgetStatus:
    """Of the active budget of which most is used: no other is worse."""
    zone = zone_of(connection, site_id)
    found = [_budget(connection, row, zone, now) for row in _active(connection, [site_id])]
    if not found:
        raise NotFoundError("no budget configured for this facility; POST /api/v1/carbon/budget makes one")
    worst = max(found, key=lambda budget: (budgets.RANKS[budget.status], budget.usage_percentage))
    return BudgetStatus(site_id, worst.status, worst)


def listed(
    connection: Connection,
    site_id: str | None,
    is_active: bool | None,
    now: datetime,
    *,
    cursor: str | None,
    limit: int,
) -> Page[Budget]:
    """By id."""
    query = select(carbon_budgets).order_by(carbon_budgets.c.id).limit(limit + 1)
    if site_id is not None:
        query = query.where(carbon_budgets.c.site_id == site_id)
    if is_active is not None:
        query = query.where(carbon_budgets.c.is_active == is_active)
    if cursor is not None:
        query = query.where(carbon_budgets.c.id > place_of(cursor, str))
    rows = connection.execute(query).all()
    return page(rows, limit, lambda row: _budget(connection, row, zone_of(connection, row.site_id), now), "id")


def periods(connection: Connection, budget_id: str, now: datetime, cursor: str | None, limit: int) -> Page[Budget]:
    """What was used in each of its periods, newest first."""
    row = _row(connection, budget_id)
    table = carbon_budget_periods
    query = (
        select(table, type_coerce(table.c.start_at, BigInteger).label("start_us"))
        .where(table.c.budget_id == budget_id)
        .order_by(table.c.start_at.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        query = query.where(type_coerce(table.c.start_at, BigInteger) < place_of(cursor, int))

    def of_period(found: Row[Any]) -> Budget:
        use = _Use(found.used_ug, found.status, found.exceeded_at)
        return _of_period(row, Period(found.start_at, found.end_at), use, now)

    return page(connection.execute(query).all(), limit, of_period, "start_us")


def _row(connection: Connection, budget_id: str, missing: str | None = None) -> Row[Any]:
    row = connection.execute(select(carbon_budgets).where(carbon_budgets.c.id == budget_id)).one_or_none()
    if row is None:
        raise NotFoundError(missing or f"there is no carbon budget {budget_id!r}")
    return row


def _active(connection: Connection, site_ids: Iterable[str]) -> list[Row[Any]]:
    which = carbon_budgets.c.site_id.in_(list(site_ids)), carbon_budgets.c.is_active
    return list(connection.execute(select(carbon_budgets).where(*which).order_by(carbon_budgets.c.id)))


def _all_active(connection: Connection) -> list[tuple[Row[Any], str]]:
    query = select(carbon_budgets, sites.c.timezone.label("timezone")).join(sites).where(carbon_budgets.c.is_active)
    return [(row, row.timezone) for row in connection.execute(query.order_by(carbon_budgets.c.id))]


def _use(connection: Connection, budget_id: str, period: Period) -> _Use | None:
    table = carbon_budget_periods.c
    query = select(table.used_ug, table.status, table.exceeded_at)
    row = connection.execute(query.where(table.budget_id == budget_id, table.start_at == period.start)).one_or_none()
    return None if row is None else _Use(*row)


def _emitted_ug(connection: Connection, site_id: str, period: Period, zone: ZoneInfo) -> int:
    return sum(row.emission_ug for row in site_energy.sums(connection, site_id, *period, zone))


def _limits(row: Row[Any]) -> Limits:
    return Limits(row.amount_ug, row.warning_pct, row.critical_pct)


def _alert_key(budget_id: str, period: Period) -> str:
    return f"carbon-budget:{budget_id}:{period.start.isoformat()}"


def _budget(connection: Connection, row: Row[Any], zone: ZoneInfo, now: datetime) -> Budget:
    """In the period that runs; of a closed one, in its last."""
    at = row.closed_at or now
    period = calendar.period(row.budget_period, at, zone)
    use = _use(connection, row.id, period)
    if use is None:
        use = _UNUSED._replace(used_ug=_emitted_ug(connection, row.site_id, period, zone))
    return _of_period(row, period, use, now)


def _of_period(row: Row[Any], period: Period, use: _Use, now: datetime) -> Budget:
    limits = _limits(row)
    expected = forecast.forecast(use.used_ug, limits.amount_ug, period, now, use.exceeded_at)
    return Budget(
        id=row.id,
        facility_id=row.site_id,
        budget_period=row.budget_period,
        budget_amount=limits.amount_ug / UG_PER_KG,
        used_amount=use.used_ug / UG_PER_KG,
        remaining_amount=max(0, limits.amount_ug - use.used_ug) / UG_PER_KG,
        usage_percentage=budgets.used_pct(use.used_ug, limits.amount_ug),
        status=budgets.status_of(use.used_ug, limits),
        warning_threshold=limits.warning_pct,
        critical_threshold=limits.critical_pct,
        period_start=period.start,
        period_end=period.end,
        forecast=BudgetForecast(
            expected.exhausted_at,
            None if expected.expected_ug is None else expected.expected_ug / UG_PER_KG,
            expected.reason,
        ),
        is_active=row.is_active,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
