"""Books with something in them: what the API's own description shows, sent in order."""

from __future__ import annotations

from typing import Any, NamedTuple

from serving_api import Api

ROUTES = (
    ("sites", "site_id"),
    ("circuits", "circuit_id"),
    ("site-zones", "zone_id"),
    ("site-zones/{zone_id}/events", "event_id"),
    ("devices", "device_id"),
    ("meters", "meter_id"),
    ("meters/{meter_id}/power", ""),
    ("meters/{meter_id}/power/batch", ""),
    ("carbon/factors", ""),
    ("carbon/series", ""),
    ("carbon/budget", "budget_id"),
    ("readings", "reading_id"),
    ("readings/batch", ""),
    ("carbon/process", ""),
    ("load/metrics", ""),
    ("balancing/decisions", "decision_id"),
)


class Furnished(NamedTuple):
    """`names` are by the parameter that takes them."""

    answers: list[tuple[str, int]]
    names: dict[str, str]


def furnished(api: Api, token: str) -> Furnished:
    described = api.ask("GET", "/api/v1/openapi.json").json["paths"]
    names: dict[str, str] = {}
    answers = []
    for route, name in ROUTES:
        content: dict[str, Any] = described[f"/api/v1/{route}"]["post"]["requestBody"]["content"]
        answer = api.ask("POST", f"/api/v1/{route}".format(**names), content["application/json"]["example"], token)
        answers.append((f"{route}: {answer.body.decode()}", answer.status))
        if name and answer.status in {200, 201}:
            names[name] = answer.json["id"]
    return Furnished(answers, names)
