"""`joulectl report`, over the daemon and over its store."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

import jouled
from serving_api import serving_api


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with jouled.PowerManager(tmp_path / "jouled.sqlite") as manager:
        manager.register_device("cabin")
        meter = manager.add_meter("cabin", "battery", 100.0, "Bank <1>").id
        manager.add_meter("cabin", "solar", name="Roof")
        now = datetime.now(UTC)
        for minutes in range(60, 0, -1):
            manager.log_power(meter, 12.0, 1.0, 10.0 + minutes / 2, now - timedelta(minutes=minutes))
    return tmp_path


def joulectl(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from jouled.cli.joulectl import main; sys.argv[0] = 'joulectl'; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_json_over_the_store(folder: Path) -> None:
    done = joulectl("report", "cabin", "--days", "1", "--config", "", "--state-dir", str(folder))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["device_id"], report["period_days"]) == ("cabin", 1)
    counts = {meter["type"]: meter["reading_count"] for meter in report["meters"]}
    assert counts == {"battery": 60, "solar": 0}


def test_json_over_the_daemon(folder: Path) -> None:
    with serving_api(folder) as api:
        done = joulectl("--url", api.url, "report", "cabin")
        missing = joulectl("--url", api.url, "report", "nowhere")
        page = joulectl("--url", api.url, "report", "cabin", "--html", "-")
    assert json.loads(done.stdout)["period_days"] == 7, done.stderr
    assert missing.returncode == 1
    assert "Device not found: nowhere" in missing.stderr
    assert page.stdout.count("<svg") == 2, page.stderr


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(value) for name, value in attrs if name in {"src", "href"}]


def test_a_page_stands_on_its_own(folder: Path) -> None:
    out = folder / "report.html"
    done = joulectl("report", "cabin", "--html", str(out), "--config", "", "--state-dir", str(folder))
    assert done.returncode == 0, done.stderr
    text = out.read_text()
    page = Page()
    page.feed(text)
    assert page.links == []
    assert "script" not in page.tags
    assert page.tags.count("svg") == 2
    assert "prefers-color-scheme: dark" in text
    assert "Bank &lt;1&gt;" in text
    assert "Bank <1>" not in text
    assert 'aria-label="Power of Bank' in text
    assert re.search(r'<path d="M[\d.]+ [\d.]+', text)


def test_mistakes_are_one_line(folder: Path) -> None:
    place = ("--config", "", "--state-dir", str(folder))
    for wrong in (("nowhere",), ("cabin", "--html", str(folder / "no" / "page.html"))):
        done = joulectl("report", *wrong, *place)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
    assert joulectl("report", "cabin", "--days", "0", *place).returncode == 2
