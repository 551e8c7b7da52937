from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jouled import log as log_module
from jouled.log import Once, log, set_up, to_text


def test_text_is_one_line_with_the_level_and_the_fields(capfd: pytest.CaptureFixture[str]) -> None:
    set_up("info", "text")
    log.info("http://127.0.0.1:9917/metrics", source="rapl", interval="5s")
    log.warning("zone dram: unreadable")
    log.debug("not said")
    assert capfd.readouterr().err.splitlines() == [
        "jouled: http://127.0.0.1:9917/metrics (source=rapl, interval=5s)",
        "jouled: warning: zone dram: unreadable",
    ]


def test_a_name_chosen_by_others_cannot_write_lines_of_its_own() -> None:
    line = to_text(None, "", {"level": "info", "event": "process a\nb", "comm": "\x1b[2Jx"})
    assert line == "jouled: process a\\x0ab (comm=\\x1b[2Jx)"


def test_json_is_one_object_per_line(capfd: pytest.CaptureFixture[str]) -> None:
    set_up("debug", "json")
    log.debug("tick", late=3)
    written = json.loads(capfd.readouterr().err)
    assert (written["level"], written["event"], written["late"]) == ("debug", "tick", 3)
    assert written["timestamp"].endswith("Z")


def test_an_error_brings_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    set_up("info", "text")
    log.critical("the daemon failed", exc_info=ZeroDivisionError("why"))
    assert capfd.readouterr().err.splitlines() == [
        "jouled: critical: the daemon failed",
        "ZeroDivisionError: why",
    ]


def test_libraries_that_use_logging_take_the_same_road(capfd: pytest.CaptureFixture[str]) -> None:
    set_up("info", "text")
    logging.getLogger("trio.serve_listeners").error("accept failed %d", 24)
    logging.getLogger("chatty").info("not said")
    assert capfd.readouterr().err == "jouled: error: accept failed 24 (logger=trio.serve_listeners)\n"


def test_auto_is_text_unless_stderr_is_the_journal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "0:0")
    set_up("info", "auto")
    log.info("here")
    assert capfd.readouterr().err == "jouled: here\n"


def test_the_journal_gets_priority_and_fields(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(log_module, "JOURNAL", tmp_path)
    monkeypatch.setattr("systemd.journal.send", lambda message, **fields: sent.append((message, fields)))
    stat = os.fstat(sys.stderr.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
    set_up("info", "auto")
    log.warning("zone gone", zone="dram")
    assert sent == [("zone gone", {"PRIORITY": 4, "SYSLOG_IDENTIFIER": "jouled", "JOULED_ZONE": "dram"})]


def test_without_a_journal_nothing_is_lost(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(log_module, "JOURNAL", tmp_path / "socket")
    set_up("info", "journal")
    log.info("here")
    assert capfd.readouterr().err == "jouled: here\n"


def test_a_journal_that_is_gone_leaves_standard_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(log_module, "JOURNAL", tmp_path)
    monkeypatch.setattr("systemd.journal.send", refuse)
    set_up("info", "journal")
    log.info("here")
    assert capfd.readouterr().err == "here\n"


@pytest.mark.parametrize("end", ["nobody reads", "the reader is gone", "full disk", "closed"])
def test_a_line_that_cannot_be_written_ends_and_holds_nothing(end: str) -> None:
    program = (
        "from jouled.log import Stderr, log, set_up; import os; set_up('info', 'text'); log.info('x' * 300_000);"
        "os.write(1, b'%d' % os.open('/dev/null', 0))"
    )
    read_end, write_end = os.pipe()
    if end == "the reader is gone":
        os.close(read_end)
    redirect = {"full disk": " 2>/dev/full", "closed": " 2>&-"}.get(end, "")
    command = ["sh", "-c", f'exec "$@"{redirect}', "sh", sys.executable, "-c", program]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=write_end, check=True, timeout=60)
    assert int(done.stdout) > 2  # nothing else ever gets standard error's descriptor


def test_a_problem_is_said_once(lines: list[Any]) -> None:
    once = Once()
    for _ in range(3):
        once.warning("a")
        once.warning("b")
    assert [line["event"] for line in lines] == ["a", "b"]


def test_problems_without_end_are_bounded(lines: list[Any]) -> None:
    once = Once()
    for number in range(Once.LIMIT + 10):
        once.warning(f"problem {number}")
    assert len(lines) == Once.LIMIT + 1
    assert lines[-1]["event"] == "too many different problems; no more of them are logged"


def test_logging_does_not_load_what_draws_tracebacks() -> None:
    program = "import sys, jouled.log; print('rich' in sys.modules, 'rich.text' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]
