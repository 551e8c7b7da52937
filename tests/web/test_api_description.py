"""The description is right: it is valid, whole, and its examples are what the schemas say."""

from __future__ import annotations

import functools
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from litestar.routes import HTTPRoute

from furnishing import furnished
from jouled.books.scopes import SCOPES
from jouled.web.api import openapi
from jouled.web.api.application import application
from running import running
from serving_api import Api, serving_api


@functools.cache
def app() -> Any:
    return application()


@functools.cache
def described() -> dict[str, Any]:
    return openapi.document(app())


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in described()["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def is_valid(schema: dict[str, Any], value: Any) -> bool:
    return jsonschema_rs.is_valid({**schema, "components": described()["components"]}, value)


def test_every_route_but_reading_declares_a_scope() -> None:
    for route in app().routes:
        assert isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items():
            if method not in {"GET", "OPTIONS"}:
                assert handler.opt.get("scope") in SCOPES, f"{method} {route.path}"


def test_every_operation_has_a_name_of_its_own_a_summary_and_a_tag() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert sorted(set(names)) == sorted(names)
    assert all(operation["summary"] and operation["tags"] for _, operation in operations())


def test_every_operation_shows_an_answer_and_its_examples_are_valid() -> None:
    wrong = []
    for name, operation in operations():
        success = [answer for status, answer in operation["responses"].items() if status < "300"]
        contents = [content for answer in success for content in answer.get("content", {}).items()]
        assert contents or "204" in operation["responses"], name
        bodies = operation.get("requestBody", {}).get("content", {}).items()
        for media, content in (*contents, *bodies):
            if "schema" in content:
                assert "example" in content, name
                if media == "application/json" and not is_valid(content["schema"], content["example"]):
                    wrong.append((name, content["example"]))
    assert not wrong


def test_every_instant_of_a_body_has_a_zone() -> None:
    def instants(kind: Any, seen: set[Any]) -> Iterator[str]:
        if isinstance(kind, msgspec.inspect.DateTimeType) and kind.tz is not True:
            yield "without"
        if isinstance(kind, msgspec.inspect.StructType) and kind.cls not in seen:
            seen.add(kind.cls)
            for field in kind.fields:
                yield from (f"{kind.cls.__name__}.{field.name}" for _ in instants(field.type, seen))
        for name in ("types", "item_types", "item_type", "value_type"):
            inner = getattr(kind, name, ())
            for part in inner if isinstance(inner, tuple) else (inner,):
                yield from instants(part, seen)

    bodies = [
        handler.parsed_data_field.raw
        for route in app().routes
        for handler, _ in route.route_handler_map.values()
        if handler.parsed_data_field is not None
    ]
    assert bodies
    assert [found for body in bodies for found in instants(msgspec.inspect.type_info(body), set())] == []


def test_a_key_in_the_head_is_described_where_it_counts() -> None:
    named = {
        name
        for name, operation in operations()
        for parameter in operation.get("parameters", ())
        if (parameter["in"], parameter["name"]) == ("header", "Idempotency-Key")
    }
    assert {"POST /api/v1/readings", "POST /api/v1/meters/{meter_id}/power"} <= named


@pytest.mark.parametrize("path", ["/api/v1/snapshot", "/api/v1/zones", "/api/v1/workloads", "/api/v1/stream"])
def test_what_is_measured_is_described_as_well(path: str) -> None:
    assert described()["paths"][path]["get"]["tags"] == ["measured"]


def test_the_page_and_the_description_come_from_here(tmp_path: Path) -> None:
    with serving_api(tmp_path) as api:
        page = api.ask("GET", "/api/v1/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        for path in ("/api/v1/docs/docs.js", "/api/v1/docs/docs.css"):
            assert path.encode() in page.body
            asset = api.ask("GET", path)
            assert asset.status == 200
            assert b"http://" not in asset.body + page.body
            assert b"https://" not in asset.body + page.body
        assert api.ask("GET", "/api/v1/openapi.json").json["openapi"] == "3.1.0"
        # A token of the store, over HTTP/1.1 as it comes.
        made = api.token("write:sites").secret
        assert api.ask("POST", "/api/v1/sites", {"name": "x", "id": "x"}, token=made).status == 201
        assert api.ask("POST", "/api/v1/sites", {"name": "x", "id": "y"}).status == 401
        assert api.ask("POST", "/api/v1/sites", b"x" * (4 * 1024 * 1024 + 1), token=made).status == 413
        metrics = api.ask("GET", "/metrics").body
        assert b'jouled_http_requests_total{code="201",route="/api/v1"} 1.0' in metrics


def test_the_documented_bodies_are_taken_one_after_the_other(tmp_path: Path) -> None:
    with serving_api(tmp_path) as api:
        assert {status for _, status in furnished(api, api.token("admin").secret).answers} <= {200, 201}


BOOKISH = {"sqlalchemy", "alembic", "litestar", "psycopg", "redis", "httpx", "httpx2", "sqlite3", "_sqlite3"}
# Resident, of the whole process, as its manual says.
MEASURING_KIB_MAX = 45 * 1024


def test_a_node_without_books_imports_nothing_of_them_and_stays_small(tmp_path: Path) -> None:
    listing = tmp_path / "modules"
    command = (sys.executable, str(Path(__file__).with_name("run_listing.py")), str(listing))
    flags = ("--listen=127.0.0.1:0", "--log-format=text", "--meter=fake", f"--state-dir={tmp_path}", "--store=none")
    with running(*command, *flags) as daemon:
        api = Api(daemon, tmp_path)
        for path in ("/metrics", "/api/v1/workloads?level=process", "/api/v1/zones?now=1"):
            while (answer := api.ask("GET", path)).status == 503:
                time.sleep(0.1)
            assert answer.status == 200
        assert api.ask("GET", "/api/v1/sites").status == 404
        assert api.ask("POST", "/api/v1/sites", {"name": "x"}).status == 404
        assert api.ask("GET", "/api/v1/caps").status == 409
        assert api.ask("GET", "/api/v1/stream?topics=events").status == 400
        status = Path(f"/proc/{daemon.process.pid}/status").read_text()
        daemon.process.send_signal(signal.SIGUSR2)
        while not listing.exists():
            assert daemon.process.poll() is None
            time.sleep(0.05)
        daemon.stop()
    names = set(listing.read_text().split())
    assert {"trio", "jouled.web.server"} <= names
    assert not BOOKISH & {name.partition(".")[0] for name in names}
    ours: tuple[str, ...] = ("jouled.store", "jouled.bookkeeping", "jouled.keeper", "jouled.web.api", "jouled.sharing")
    ours += ("jouled.control", "jouled.journal", "jouled.loads", "jouled.wire.caps", "jouled.web.caps_metrics")
    assert not [name for name in names if name.startswith(ours)]
    resident = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert resident is not None
    assert int(resident[1]) <= MEASURING_KIB_MAX
