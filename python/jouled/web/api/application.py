"""The application: all controllers over one store, behind their door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from litestar import Controller, Litestar, Request, Router
from litestar._kwargs import KwargsModel
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.enums import ParamType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from sqlalchemy.exc import DataError, IntegrityError

from jouled.config.books import ApiSettings
from jouled.control.plan.planning import Planning
from jouled.errors import BooksError, JouledError, StoreError
from jouled.loads.registry import Loads
from jouled.store import Store
from jouled.web.api import problems
from jouled.web.api.audit import RecordedStore
from jouled.web.api.balance import BalanceApi
from jouled.web.api.balance_shown import BalanceShown
from jouled.web.api.balancing import Balancing
from jouled.web.api.caps import Capping, Caps, CapsOff
from jouled.web.api.carbon import Carbon
from jouled.web.api.circuits import Circuits
from jouled.web.api.deliveries import Deliveries
from jouled.web.api.devices import Devices, PowerBudget
from jouled.web.api.docs_page import Docs
from jouled.web.api.door import Door
from jouled.web.api.events import Events
from jouled.web.api.exact import ExactRequest, ExactResponse
from jouled.web.api.facilities import Facilities
from jouled.web.api.fleet import Loads as BalancedLoads
from jouled.web.api.fleet import Miners, Models
from jouled.web.api.fleet_shown import FleetShown
from jouled.web.api.intensity import Intensity
from jouled.web.api.latest import Latest, LatestReadings, NothingKnown
from jouled.web.api.load import LoadMetrics
from jouled.web.api.market import MarketApi, Trading
from jouled.web.api.meters import Meters
from jouled.web.api.no_store import NoStore
from jouled.web.api.optimization import Optimization
from jouled.web.api.parameters import Clock, Question
from jouled.web.api.plan import PlanApi, PlanDecisions, unplanned
from jouled.web.api.plant import PlantApi, PlantShown
from jouled.web.api.readings import Readings
from jouled.web.api.records import Records
from jouled.web.api.scopes import check_scope
from jouled.web.api.settings import SettingsApi
from jouled.web.api.site_zones import ZonesOfSites
from jouled.web.api.sites import Sites
from jouled.web.request import AsgiApp

CONTROLLERS = (
    Sites,
    ZonesOfSites,
    Readings,
    LatestReadings,
    Facilities,
    Events,
    Circuits,
    Devices,
    PowerBudget,
    Meters,
    Carbon,
    Records,
    Balancing,
    LoadMetrics,
    Optimization,
    Intensity,
    Deliveries,
    Caps,
    MarketApi,
    PlanApi,
    PlanDecisions,
    PlantApi,
    BalancedLoads,
    Miners,
    Models,
    BalanceApi,
    SettingsApi,
)
# What there is without a store: nothing of the books.
BOOKLESS = (Caps, MarketApi, PlanApi, PlantApi, BalancedLoads, Miners, Models, BalanceApi, SettingsApi)
# What handlers may ask for by name and each request brings; `given` is what all of them share.
OF_REQUEST = ("store", "writer")


def utc_now() -> datetime:
    return datetime.now(UTC)


def open_door(
    store: Store,
    settings: ApiSettings | None = None,
    clock: Clock = utc_now,
    *,
    loads: Loads | None = None,
    latest: Latest | None = None,
    caps: Capping | None = None,
    trading: Trading | None = None,
    planning: Planning | None = None,
    plant: PlantShown | None = None,
    fleet: FleetShown | None = None,
    balance: BalanceShown | None = None,
) -> Door:
    """The API as the web room serves it: the application, and who may ask it what."""
    settings = settings or ApiSettings()
    controllers = BOOKLESS if isinstance(store, NoStore) else CONTROLLERS
    app = application(
        settings,
        clock,
        loads,
        latest,
        caps,
        trading=trading,
        planning=planning,
        plant=plant,
        fleet=fleet,
        balance=balance,
        controllers=controllers,
    )
    return Door(cast("AsgiApp", app), store, settings, clock)


def application(
    settings: ApiSettings | None = None,
    clock: Clock = utc_now,
    loads: Loads | None = None,
    latest: Latest | None = None,
    caps: Capping | None = None,
    *,
    trading: Trading | None = None,
    planning: Planning | None = None,
    plant: PlantShown | None = None,
    fleet: FleetShown | None = None,
    balance: BalanceShown | None = None,
    controllers: Sequence[type[Controller]] = CONTROLLERS,
) -> Litestar:
    """Takes `who` and `store` from the scope's state, where the door puts them."""
    given = {
        "clock": clock,
        "limits": settings or ApiSettings(),
        "loads": loads or Loads(),
        "latest": latest or NothingKnown(),
        "caps": caps or CapsOff(),
        "trading": trading or Trading(),
        "planning": planning or unplanned(),
        "plant": plant or PlantShown(),
        "fleet": fleet or FleetShown(),
        "balance": balance or BalanceShown(),
    }
    checks = _Checks()
    app = Litestar(
        route_handlers=[Router("/api/v1", route_handlers=[*controllers, Docs])],
        dependencies={name: _named() for name in (*OF_REQUEST, *given)},
        exception_handlers={
            BooksError: problems.of_books,
            StoreError: problems.of_store,
            # A journal that cannot be written, hardware that does not answer: come again.
            JouledError: problems.of_store,
            IntegrityError: problems.of_integrity,
            DataError: problems.of_range,
            OverflowError: problems.of_range,
            HTTPException: problems.of_http,
            Exception: problems.of_defect,
        },
        request_class=ExactRequest,
        response_class=ExactResponse,
        before_request=checks,
        openapi_config=None,
        logging_config=None,
    )
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                checks.questions[id(handler)] = _question(handler, model)
                _give(model, given)
    return app


class _Checks:
    """What is looked at before a handler's arguments are."""

    def __init__(self) -> None:
        self.questions: dict[int, Question] = {}

    def __repr__(self) -> str:
        return f"<_Checks [{len(self.questions)} routes]>"

    async def __call__(self, request: Request[Any, Any, Any]) -> None:
        handler = request.route_handler
        check_scope(request, handler)
        self.questions[id(handler)].check(request)
        store = request.scope["state"]["store"]
        if isinstance(store, RecordedStore):
            store.status = handler.status_code


def _question(handler: HTTPRouteHandler, model: KwargsModel) -> Question:
    fields = handler.parsed_fn_signature.parameters
    asked = [known for known in model.expected_query_params if known.param_type == ParamType.QUERY]
    return Question({known.field_alias: fields[known.field_name].annotation for known in asked})


def _named() -> Provide:
    """Tells Litestar that handlers may ask for this; `_give` gives it."""
    return Provide(lambda: None, sync_to_thread=False)


def _give(model: KwargsModel, given: Mapping[str, Any]) -> None:
    """Hands over what a handler asks for by name. Of itself Litestar starts a task for each of them, at
    every request, which takes longer than the look-up that they are for.
    """
    names = frozenset(container.key for batch in model.dependency_batches for container in batch)
    shared = {name: value for name, value in given.items() if name in names}

    async def extract(values: dict[str, Any], request: ASGIConnection[Any, Any, Any, Any]) -> None:
        values.update(shared)
        if "store" in names:
            values["store"] = request.scope["state"]["store"]
        if "writer" in names:
            values["writer"] = request.scope["state"]["who"]

    model.dependency_batches = []
    if names:
        model.extractors.append(extract)
