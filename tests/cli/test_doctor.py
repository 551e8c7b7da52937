"""The doctor: a written host for each thing that it can find, and the verb."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from jouled.capture import Tree
from jouled.cli import doctor
from jouled.cli.joulectl import Options
from jouled.cli.replay import host
from jouled.doctor import Code, DaemonSeen, Finding, Severity, Subject, examine, look
from running import running_jouled
from written_hosts import HOSTS, Expected, write

DOCTORS = sorted((HOSTS / "doctor").glob("*.host"))


def daemon_of(expected: Expected) -> DaemonSeen | None:
    words = expected.daemon
    if not words:
        return None
    return DaemonSeen(
        url=words.get("url"),
        trouble=words.get("trouble", ""),
        is_denied="denied" in words,
        is_ready=words.get("ready") != "0",
        readiness=words.get("readiness", ""),
        source=words.get("source", ""),
        sums={name: float(value) for name, value in words.items() if name.startswith("jouled_")},
        left=words.get("left", ""),
    )


def examined(path: Path, directory: Path) -> tuple[list[Finding], Expected]:
    expected = write(path, directory).expected
    with host(str(directory)) as seen:
        subject = doctor.gather(seen, Options(None, str(directory)), 1.0)
        subject = Subject(**{**subject.__dict__, "daemon": daemon_of(expected)})
        return examine(subject), expected


@pytest.mark.parametrize("path", DOCTORS, ids=lambda path: path.stem)
def test_each_host_has_what_it_is_written_to_have(path: Path, tmp_path: Path) -> None:
    findings, expected = examined(path, tmp_path)
    found = {(str(finding.code), str(finding.severity)) for finding in findings}
    assert expected.findings.items() <= found
    assert path.stem in expected.findings
    for finding in findings:
        if finding.severity is not Severity.OK:
            assert finding.why or finding.code is Code.METER_SAYS
            assert finding.fix or finding.code is Code.BATTERY, finding
    # Nothing is found that is worse than what the host is written to have.
    troubles = {str(finding.code) for finding in findings if finding.is_trouble}
    named = {code for code, severity in expected.findings.items() if severity in {"warning", "error"}}
    assert troubles - named <= ALONG.get(path.stem, set())


# What comes along: a host that lacks its counters is modelled, a mask hides them.
ALONG = {
    "rapl-missing": {"estimate-in-use"},
    "rapl-only-in-perf": {"estimate-in-use"},
    "rapl-denied": {"estimate-in-use", "capability-without-effect"},
    "capability-without-effect": {"estimate-in-use"},
    "powercap-masked": {"estimate-in-use"},
    "steal-time": {"estimate-in-use"},
}


def test_every_word_has_its_host() -> None:
    assert {path.stem for path in DOCTORS} == {str(code) for code in Code}


@pytest.mark.parametrize("path", sorted(HOSTS.glob("*.host")), ids=lambda path: path.stem)
def test_the_hosts_of_the_core_are_examined_without_an_error(path: Path, tmp_path: Path) -> None:
    findings, _ = examined(path, tmp_path)
    assert findings
    assert not [finding for finding in findings if finding.severity is Severity.ERROR]


@pytest.fixture
def doctor_run(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    def run(name: str, *flags: str) -> tuple[int, str]:
        directory = tmp_path / name
        directory.mkdir()
        write(HOSTS / "doctor" / f"{name}.host", directory)
        result = CliRunner().invoke(
            doctor.command, flags, obj=Options(None, str(directory)), standalone_mode=False, catch_exceptions=False
        )
        assert isinstance(result.return_value, int)
        return result.return_value, result.output

    return run


def test_the_exit_code_is_0_where_nothing_is_worse_than_a_note(doctor_run: Callable[..., tuple[int, str]]) -> None:
    assert doctor_run("limit-lowered")[0] == 0
    assert doctor_run("rapl-denied")[0] == 1


def test_a_denied_counter_is_named_with_its_mode_and_its_fix(doctor_run: Callable[..., tuple[int, str]]) -> None:
    _, text = doctor_run("rapl-denied")
    assert (
        "read /sys/class/powercap/intel-rapl:0/energy_uj: permission denied for uid 1000 (mode 0400 root:root)" in text
    )
    assert "usermod -aG jouled USER" in text
    assert text.endswith("2 errors, 1 warning, 0 notes\n")


def test_json_holds_the_same_findings(doctor_run: Callable[..., tuple[int, str]]) -> None:
    code, text = doctor_run("counter-frozen", "--json")
    findings = json.loads(text)["findings"]
    assert code == 1
    frozen = next(finding for finding in findings if finding["code"] == "counter-frozen")
    assert frozen["severity"] == "warning"
    assert frozen["what"] == "intel-rapl:0 (package-0) did not move in 5.0 s"


def test_quiet_leaves_out_what_is_well(doctor_run: Callable[..., tuple[int, str]]) -> None:
    assert "rapl-readable" not in doctor_run("other-writer", "--quiet")[1]


def test_the_sums_of_a_page_are_over_labels_and_of_the_daemon_alone() -> None:
    page = (
        'jouled_zone_resets_total{zone="package",index="0",source="rapl"} 2.0\n'
        'jouled_zone_resets_total{zone="dram",index="0",source="rapl"} 1.0\n'
        "jouled_ticks_total 7.0\njouled_process_joules_total 5\n# HELP jouled_ticks_total x\n"
    )
    assert doctor.sums(page) == {"jouled_zone_resets_total": 3.0, "jouled_ticks_total": 7.0}


def test_the_sums_count_caps_and_what_went_wrong_with_them() -> None:
    page = (
        "jouled_cap_leases 2.0\n"
        'jouled_cap_write_errors_total{zone="package",index="0"} 1.0\n'
        'jouled_cap_write_errors_total{zone="slice",index="batch.slice"} 1.0\n'
        'jouled_cap_asked_watts{owner="operator"} 150.0\n'
    )
    assert doctor.sums(page) == {"jouled_cap_leases": 2.0, "jouled_cap_write_errors_total": 2.0}


def test_a_journal_is_looked_for_only_where_the_daemon_is_this_hosts(tmp_path: Path) -> None:
    journal = tmp_path / "journal.json"
    assert doctor.left_journal(None, [str(journal)]) == ""
    journal.write_text("{}")
    assert doctor.left_journal(None, [str(journal)]) == str(journal)
    assert doctor.left_journal("http://other:9917", [str(journal)]) == ""


def run_doctor(*flags: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from jouled.cli.joulectl import main; main()", *flags],
        capture_output=True,
        text=True,
        check=False,
        user=user,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"},
    )


def test_this_host_is_examined_by_the_real_command() -> None:
    done = run_doctor("--url", "http://127.0.0.1:1", "doctor", "--json", "--wait", "200ms")
    assert done.stderr == ""
    codes = {finding["code"] for finding in json.loads(done.stdout)["findings"]}
    assert codes & {"source", "estimate-in-use"}
    assert codes & {"daemon-absent", "daemon-unreachable"}
    assert done.returncode in {0, 1}


def test_a_daemon_that_answers_is_found_with_its_source() -> None:
    with running_jouled("--meter=fake", "--interval=200ms") as daemon:
        seen = doctor.ask_daemon(f"http://127.0.0.1:{daemon.port}")
    assert (seen.is_ready, seen.source, seen.trouble) == (True, "fake", "")
    assert seen.sums["jouled_ticks_total"] >= 1
    assert seen.sums["jouled_scan_errors_total"] == 0


def test_a_mistake_is_one_line() -> None:
    done = run_doctor("doctor", "--wait", "soon")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "is not a duration" in done.stderr or "soon" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can look as somebody else")
def test_a_real_file_that_may_not_be_read_is_denied() -> None:
    # Not below tmp_path, which is root's alone.
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        root.chmod(0o755)
        write(HOSTS / "doctor" / "rapl-readable.host", root)
        (root / "0/sys/class/powercap/intel-rapl:0/energy_uj").chmod(0o400)
        tree = Tree(root / "0/proc", root / "0/sys")
        assert look(tree).counters == {"intel-rapl:0": 1_000_000_123}
        assert as_nobody(lambda: str(look(tree).counters)) == "{'intel-rapl:0': 'EACCES'}"
        assert as_nobody(lambda: str(tree.mode("sys/class/powercap/intel-rapl:0/energy_uj"))) == "0400 root:root"


def as_nobody(work: Callable[[], str]) -> str:
    """What `work` says in a process of the user nobody."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setuid(pwd.getpwnam("nobody").pw_uid)
        os.write(write_end, work().encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def test_two_looks_at_a_written_host_differ(tmp_path: Path) -> None:
    write(HOSTS / "doctor" / "rapl-readable.host", tmp_path)
    with host(str(tmp_path)) as seen:
        before = look(seen.tree)
        assert seen.advance()
        after = look(seen.tree)
    assert before.counters["intel-rapl:0"] == 1_000_000_123
    assert after.counters["intel-rapl:0"] == 1_100_000_456
    assert (before.uptime_s, after.uptime_s) == (1000.0, 1005.0)
