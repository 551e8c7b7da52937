"""Schemathesis asks the real daemon whatever its own description allows, and much that it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from furnishing import furnished
from limit_trees import LimitTree
from serving_api import serving_api

# Served without an end, or without the books; other tests ask these.
BESIDE = r"^/api/v1/(stream|snapshot|zones|workloads)$"
# positive_data_acceptance: what is well-formed but cannot be is 422, and no schema says that a site has to
# be there, that an interval ends after it began, or which cursors were given out.
NOT_PROMISED = "positive_data_acceptance"
# So that it takes half a minute on two slow processors.
EXAMPLES = "2"

# 431 and 413 among them: what is too long may be too long for the head already.
REFUSED = [400, 401, 403, 404, 405, 409, 411, 413, 415, 422, 429, 431]
# How often a generated request is about something that is there: the others are 404.
KNOWN = 0.8


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    tree = LimitTree(tmp_path)
    tree.package(0, long_term=400_000_000, short_term=480_000_000)
    before = tree.limits()
    rates = {"JOULED_API_WRITE_RATE": "100000", "JOULED_API_READ_RATE": "100000"}
    with serving_api(tmp_path / "state", f"--sysfs={tree.sysfs}", JOULED_CAPS_ENABLED="true", **rates) as api:
        token = api.token("admin").secret
        (tmp_path / "schemathesis.toml").write_text(_known(furnished(api, token).names))
        done = subprocess.run(
            [
                *(str(Path(sys.executable).parent / "schemathesis"), "run", f"{api.url}/api/v1/openapi.json"),
                *("-H", f"Authorization: Bearer {token}", "--exclude-path-regex", BESIDE),
                *(
                    "--phases",
                    "examples,coverage,fuzzing",
                    "--max-examples",
                    EXAMPLES,
                    "--seed",
                    "1",
                    "--max-time",
                    "30",
                ),
                *("--exclude-checks", NOT_PROMISED, "--continue-on-failure", "--no-color"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        assert api.ask("GET", "/readyz").status == 200
        api.daemon.stop()
        said = api.daemon.rest()
    assert tree.limits() == before
    # What a client can cause is no line of ours, and no defect.
    assert "Traceback" not in said


def _known(names: dict[str, str]) -> str:
    """The settings of a run that knows what there is."""
    names = {**names, "facility_id": names["site_id"], "name": names["site_id"]}
    lines = [f"[dictionaries.{name}]\nvalues = [{json.dumps(value)}]" for name, value in names.items()]
    bodies = ("facility_id", "site_id", "zone_id", "meter_id", "device_id", "circuit_id")
    places = [f"path.{name}" for name in names] + [f"body.{name}" for name in bodies]
    bound = [f'"{place}" = {{ dictionary = "{place.partition(".")[2]}", probability = {KNOWN} }}' for place in places]
    refused = f"[checks.negative_data_rejection]\nexpected-statuses = {REFUSED}"
    return "\n".join([*lines, "[parameters]", *bound, refused, ""])
