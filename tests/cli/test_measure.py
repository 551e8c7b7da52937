"""`joulectl measure`: real commands on the fake meter, and what is reckoned from their runs."""

from __future__ import annotations

import json
import math
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jouled.cli import measure_stats
from jouled.cli.measure_cgroup import TransientCgroup
from jouled.cli.measure_report import Report, comparison_of, lines, report_of
from jouled.cli.measure_run import ClassEnergy, Edge, Run, covers, energies, measure_idle, spent_j
from running import running_jouled
from undisturbed import undisturbed

JOULECTL = (sys.executable, "-c", "from jouled.cli.joulectl import main; main()")
# Children that live for a moment each, and at the end what wait(2) knows of them all.
TRUTH = "import resource as r; a, b = r.getrusage(-1), r.getrusage(0); print(a[0] + a[1] + b[0] + b[1])"
SPAWN_500 = (
    'i=0; while [ $i -lt 500 ]; do /bin/sh -c "a=0; while [ \\$a -lt 100 ]; do a=\\$((a+1)); done"; i=$((i+1)); done; '
    f"exec {sys.executable} -S -c '{TRUTH}'"
)
WITHOUT_CGROUP = (
    "import sys; from jouled.meter import Meter; from jouled.cli.measure_run import measure_once\n"
    "run = measure_once(sys.argv[1:], Meter(meters=['fake']), may_make_cgroup=False).run\n"
    "print(run.cpu_seconds, run.cpu_by, [one.name for one in run.still_running], file=sys.stderr)"
)


def measure(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*JOULECTL, "measure", "--meter", "fake", *words], capture_output=True, text=True, check=False, **more
    )


def report_from(*words: str, **more: Any) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(measure("--json", *words, **more).stdout)
    return report


def test_five_hundred_short_children_are_all_counted(tmp_path: Path) -> None:
    done = measure("--output", str(tmp_path / "report"), "--json", "--", "sh", "-c", SPAWN_500)
    report = json.loads((tmp_path / "report").read_text())
    assert report["commands"][0]["cpu_seconds"]["mean"] >= 0.98 * float(done.stdout)


def test_without_a_cgroup_the_dead_are_counted_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CGROUP, "sh", "-c", SPAWN_500], capture_output=True, text=True, check=True
    )
    cpu_s, how, *_ = done.stderr.split()
    assert how == "rusage"
    assert float(cpu_s) >= 0.98 * float(done.stdout)


BURN = """
import os, sys, time
while time.process_time() < 0.3: pass
with open(sys.argv[1] + ".new", "w") as file: file.write(str(time.process_time()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(float(sys.argv[2]))
"""


def test_a_daemonised_child_that_still_lives_is_named_and_counted_without_a_cgroup(tmp_path: Path) -> None:
    burnt = tmp_path / "burnt"
    (tmp_path / "burn.py").write_text(BURN)
    # Twice away: its parent ends at once, and it has a session of its own.
    script = f"(setsid {sys.executable} -S {tmp_path}/burn.py {burnt} 3 &); until [ -e {burnt} ]; do sleep 0.05; done"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CGROUP, "sh", "-c", script], capture_output=True, text=True, check=True
    )
    cpu_s, _, names = done.stderr.split(maxsplit=2)
    assert "python" in names
    assert float(cpu_s) >= float(burnt.read_text())


def test_an_orphan_that_has_ended_is_counted_without_a_cgroup(tmp_path: Path) -> None:
    burnt = tmp_path / "burnt"
    (tmp_path / "burn.py").write_text(BURN)
    script = (
        f"(setsid {sys.executable} -S {tmp_path}/burn.py {burnt} 0 & echo $! >{tmp_path}/pid); "
        f"while kill -0 $(cat {tmp_path}/pid) 2>/dev/null; do sleep 0.05; done"
    )
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CGROUP, "sh", "-c", script], capture_output=True, text=True, check=True
    )
    cpu_s, _, names = done.stderr.split(maxsplit=2)
    assert names == "[]\n"
    assert float(cpu_s) >= float(burnt.read_text())


def test_a_child_that_outlives_the_command_is_named_and_no_cgroup_is_left() -> None:
    script = 'sleep 5 & until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done'
    process = subprocess.Popen(
        [*JOULECTL, "measure", "--meter", "fake", "--json", "--", "sh", "-c", script], stdout=subprocess.PIPE
    )
    out, _ = process.communicate()
    survivors = json.loads(out)["commands"][0]["runs"][0]["still_running"]
    assert [survivor[1] for survivor in survivors] == ["sleep"]
    assert list(Path("/sys/fs/cgroup").rglob(f"jouled-measure-{process.pid}")) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("true",), 0),
        (("sh", "-c", "exit 7"), 7),
        (("sh", "-c", "kill -TERM $$"), 128 + signal.SIGTERM),
        (("/nowhere/at-all",), 127),
        (("",), 127),
        (("/etc/passwd",), 126),
    ],
)
def test_the_exit_code_is_the_commands(words: tuple[str, ...], code: int) -> None:
    done = measure("--", *words)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_a_program_that_is_not_there_is_one_line() -> None:
    done = measure("--", "no-such-program")
    assert done.stderr == (
        "joulectl: error: run no-such-program: no such file or directory; name a program, or sh -c 'COMMAND'\n"
    )


def test_input_and_output_are_the_commands_and_the_report_goes_to_standard_error() -> None:
    done = measure("--", "tr", "a-z", "A-Z", input="hello\n")
    assert done.stdout == "HELLO\n"
    assert "energy: fake" in done.stderr
    assert "package" in done.stderr


def test_json_has_standard_output_to_itself() -> None:
    done = measure("--json", "--", "echo", "mine")
    assert json.loads(done.stdout)["source"] == "fake"
    assert done.stderr == "mine\n"


def test_flags_after_the_command_are_the_commands() -> None:
    assert measure("echo", "--json", "-n").stdout == "--json -n\n"


@undisturbed
def test_the_machines_joules_are_those_of_the_fake_zones() -> None:
    found = report_from("--repeat", "2", "--", "sleep", "0.5")["commands"][0]
    package = found["zones"]["package"]["machine_joules"]
    # 40 W, in what was measured and not in what was asked for: a busy host sleeps longer.
    seconds = found["seconds"]["mean"]
    assert package["mean"] == pytest.approx(40 * seconds, rel=0.02)
    assert package["count"] == 2
    assert found["covers"] == ["package", "dram"]
    assert found["machine_joules"]["mean"] == pytest.approx(45 * seconds, rel=0.02)


@undisturbed
def test_through_the_daemon_the_joules_are_those_of_the_commands_own_time() -> None:
    with running_jouled("--meter=fake", "--interval=500ms") as daemon:
        done = subprocess.run(
            [*JOULECTL, "--url", f"http://127.0.0.1:{daemon.port}", "measure", "--json", "--", "sleep", "0.7"],
            capture_output=True,
            text=True,
            check=True,
        )
    report = json.loads(done.stdout)
    found = report["commands"][0]
    assert (report["source"], report["via"]) == ("fake", "daemon")
    assert found["zones"]["package"]["machine_joules"]["mean"] == pytest.approx(40 * found["seconds"]["mean"], rel=0.02)


def test_the_commands_part_is_its_share_of_all_cpu_time() -> None:
    found = report_from("--", "sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")["commands"][0]
    run = found["runs"][0]
    cpus = os.sysconf("SC_NPROCESSORS_ONLN")
    share = run["cpu_seconds"] / (cpus * run["seconds"])
    package = run["zones"]["package"]
    assert package["joules"] == pytest.approx(package["machine_joules"] * share, rel=1e-6)


@undisturbed
def test_above_idle_is_what_a_constant_machine_has_not() -> None:
    report = report_from("--idle-subtract", "--idle-for", "1s", "--", "sleep", "1")
    assert report["idle_watts"]["package"] == pytest.approx(40, rel=0.02)
    assert abs(report["commands"][0]["above_idle_joules"]["mean"]) < 0.1 * 45


def test_two_commands_are_compared_in_turns(tmp_path: Path) -> None:
    log = tmp_path / "log"
    report = report_from(
        "--repeat", "3", "--warmup", "1", "--vs", f"sh -c 'echo b >>{log}; sleep 0.3'", "--",
        "sh", "-c", f"echo a >>{log}; sleep 0.1",
    )  # fmt: skip
    assert log.read_text().split() == ["a", "b"] * 4
    ratio = report["comparison"]["machine_joules"]
    assert ratio["low"] <= ratio["ratio"] <= ratio["high"] < 1
    assert len(report["commands"]) == 2


def test_a_run_that_fails_ends_the_series_unless_told_otherwise(tmp_path: Path) -> None:
    done = measure("-n", "5", "--", "sh", "-c", f"echo x >>{tmp_path}/a; exit 4")
    assert done.returncode == 4
    assert "exit code 4; stopped here" in done.stderr
    assert (tmp_path / "a").read_text() == "x\n"
    assert measure("-n", "3", "-i", "--", "sh", "-c", f"echo x >>{tmp_path}/b; exit 4").returncode == 4
    assert (tmp_path / "b").read_text() == "x\n" * 3


def interrupted(number: signal.Signals, script: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Sends a signal to joulectl alone, once the command says that it runs."""
    process = subprocess.Popen(
        [*JOULECTL, "measure", "--meter", "fake", *flags, "--", "sh", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate()
    return subprocess.CompletedProcess((), process.returncode, out, err)


def test_a_signal_is_passed_on_and_what_was_measured_is_reported() -> None:
    done = interrupted(
        signal.SIGTERM, "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done", "-n", "9"
    )
    assert done.stdout == "told\n"
    assert done.returncode == 128 + signal.SIGTERM
    assert "interrupted: this is what was measured until then" in done.stderr
    assert "(1 run;" in done.stderr


def test_a_signal_that_only_tells_something_does_not_end_it() -> None:
    done = interrupted(signal.SIGUSR1, "trap 'echo told; exit 0' USR1; echo ready; while :; do sleep 0.05; done")
    assert (done.stdout, done.returncode) == ("told\n", 0)


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *words: str) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            # Whoever runs the tests in the background ignores these two.
            for number in (signal.SIGINT, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)
            os.execvp(words[0], words)
        self.said = b""

    def read_until(self, text: bytes) -> None:
        end_s = time.monotonic() + 60
        while text not in self.said:
            assert time.monotonic() < end_s, self.said
            if select.select([self.descriptor], [], [], 1)[0]:
                self.said += os.read(self.descriptor, 4096)

    def end(self) -> int:
        with os.fdopen(self.descriptor, "rb", buffering=0) as file:
            try:
                while piece := file.read(4096):
                    self.said += piece
            except OSError:
                pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_ctrl_c_on_a_terminal_reaches_the_command_once() -> None:
    script = "trap 'echo caught' INT; echo ready; while :; do sleep 0.05; done"
    terminal = Terminal(*JOULECTL, "measure", "--meter", "fake", "--no-progress", "--", "sh", "-c", script)
    terminal.read_until(b"ready\r\n")
    os.write(terminal.descriptor, b"\x03")
    terminal.read_until(b"caught\r\n")
    os.write(terminal.descriptor, b"\x1c")  # Ctrl-\\, which it does not catch
    terminal.read_until(b"interrupted")
    assert terminal.end() == 128 + signal.SIGQUIT
    assert terminal.said.count(b"caught\r\n") == 1


def test_a_terminal_that_hangs_up_ends_the_command(tmp_path: Path) -> None:
    script = f"echo $$ >{tmp_path}/pid; echo ready; exec sleep 600"
    terminal = Terminal(*JOULECTL, "measure", "--meter", "fake", "--", "sh", "-c", script)
    terminal.read_until(b"ready\r\n")
    pid = int((tmp_path / "pid").read_text())
    os.close(terminal.descriptor)
    assert os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]) != 0
    end_s = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_ctrl_c_on_a_terminal_ends_the_command_with_130() -> None:
    terminal = Terminal(
        *JOULECTL, "measure", "--meter", "fake", "-n", "3", "--", "sh", "-c", "echo ready; exec sleep 60"
    )
    terminal.read_until(b"ready\r\n")
    os.write(terminal.descriptor, b"\x03")
    terminal.read_until(b"interrupted")
    assert terminal.end() == 130


def test_progress_is_one_line_on_a_terminal_and_none_elsewhere() -> None:
    terminal = Terminal(*JOULECTL, "measure", "--meter", "fake", "--", "sleep", "2")
    terminal.read_until(b"CPU time")
    assert terminal.end() == 0
    drawn = [line for line in terminal.said.split(b"\r\x1b[K") if b"run 1 of 1" in line]
    assert drawn
    assert all(b"\n" not in line for line in drawn)
    assert re.search(rb"  4[456]\.\d W", drawn[-1])
    assert "\x1b" not in measure("--", "sleep", "1.5").stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--repeat", "0", "--", "true"), "--repeat"),
        (("--vs", "'", "--", "true"), "--vs"),
        ((), "COMMAND"),
        (("--meter", "moon", "--", "true"), "moon"),
    ],
)
def test_a_wrong_flag_is_one_line_with_code_2(words: tuple[str, ...], reason: str) -> None:
    done = measure(*words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr


def test_a_report_that_cannot_be_written_costs_no_run(tmp_path: Path) -> None:
    done = measure("--output", "/nowhere/report", "--", "touch", str(tmp_path / "ran"))
    assert done.returncode == 1
    assert done.stderr.startswith("joulectl: error: write /nowhere/report: ")
    assert not (tmp_path / "ran").exists()


# ---- what is reckoned ----


@dataclass
class Count:
    zone: str
    joules: float
    index: str = "0"
    at_ns: int = 0
    watts: float | None = None
    gaps: int = 0
    kind: str = "counter"
    source: str = "fake"
    path: str = ""
    spread_ns: int = 0
    is_edge: bool = False


@dataclass
class FakeReading:
    at_ns: int
    zones: Sequence[Count]
    problems: Sequence[str] = ()
    busy_s: float | None = None
    capacity_s: float | None = None


def edge(at_ns: int, zones: Sequence[Count]) -> Edge:
    return Edge(FakeReading(at_ns, zones), at_ns)


def test_sockets_are_summed_and_a_gap_in_one_makes_the_class_unknown() -> None:
    before = edge(0, [Count("package", 1), Count("package", 10, "1"), Count("dram", 5)])
    after = edge(10**9, [Count("package", 3), Count("package", 14, "1"), Count("dram", 6, gaps=1)])
    spent, problems = spent_j(before, after)
    assert spent == {"package": 6, "dram": None}
    assert problems == ("zone dram:0 could not be read throughout; see joulectl doctor",)


def test_what_the_daemon_read_earlier_is_reckoned_to_now() -> None:
    before = edge(10**9, [Count("package", 100, at_ns=9 * 10**8, watts=50.0)])
    after = edge(3 * 10**9, [Count("package", 190, at_ns=28 * 10**8, watts=50.0)])
    assert spent_j(before, after)[0] == {"package": pytest.approx(95)}


def test_a_commands_part_is_never_more_than_all() -> None:
    before, after = edge(0, [Count("package", 0)]), edge(10**9, [Count("package", 8)])
    found, _ = energies(before, after, 3.0, cpus=2, idle_w={"package": 3.0})
    assert found == {"package": ClassEnergy(8, 8, 5.0)}
    found, _ = energies(before, after, 0.5, cpus=2, idle_w=None)
    assert found == {"package": ClassEnergy(2.0, 8, None)}


def test_the_headline_never_adds_zones_that_overlap() -> None:
    assert covers({"psys": 1, "core": 1, "package": 1, "dram": 1}) == ("package", "dram")
    assert covers({"psys": 1, "core": 1}) == ("psys",)
    assert covers({"vdd_in": 1, "cpu": 1}) == ("vdd_in",)
    assert covers({}) == ()


def test_idle_power_is_joules_over_the_time_they_took() -> None:
    class Meter:
        at_s = 0

        def read(self) -> FakeReading:
            self.at_s += 2
            return FakeReading(self.at_s * 10**9, [Count("package", self.at_s * 7.0, at_ns=self.at_s * 10**9)])

    meter = Meter()
    watts = measure_idle(meter, 1.0, lambda _: None, lambda: meter.at_s * 10**9)  # type: ignore[arg-type]  # its shape
    assert watts == {"package": pytest.approx(7.0)}


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622), (30, 2.0423), (1000, 1.9623)],
)
def test_students_quantiles_are_those_of_the_tables(freedom: float, expected: float) -> None:
    assert measure_stats.t_quantile(0.975, freedom) == pytest.approx(expected, abs=6e-5)


def test_a_mean_has_its_confidence_and_one_run_has_none() -> None:
    found = measure_stats.summary([9.0, 10.0, 11.0])
    assert found is not None
    assert (found.mean, found.minimum, found.maximum) == (10.0, 9.0, 11.0)
    assert found.confidence == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)
    one = measure_stats.summary([4.0])
    assert one is not None
    assert one.confidence is None
    assert measure_stats.summary([]) is None


def test_a_run_far_off_is_an_outlier() -> None:
    assert measure_stats.outliers([10, 10.1, 9.9, 10.05, 17, 9.95]) == (4,)
    assert measure_stats.outliers([10, 17]) == ()
    assert measure_stats.outliers([10] * 6) == ()


def test_two_means_differ_only_where_chance_cannot_explain_it() -> None:
    same = measure_stats.compare([10.0, 10.4, 9.7], [10.2, 9.9, 10.1])
    less = measure_stats.compare([10.0, 10.4, 9.7], [20.2, 19.9, 20.1])
    assert same is not None
    assert less is not None
    assert (same.verdict, less.verdict) == (0, -1)
    assert measure_stats.compare([1.0], [2.0]) == measure_stats.Ratio(0.5, None, None)
    assert measure_stats.compare([0.0], [2.0]) is None


def made(seconds: float, joules: float | None) -> Run:
    energy = ClassEnergy(joules, None if joules is None else 2 * joules)
    return Run(seconds, 0.5, "cgroup", 0, {"package": energy}, ("package",))


def text_of(*commands: list[Run]) -> str:
    reports = tuple(report_of((name, "-x y"), runs) for name, runs in zip("ab", commands, strict=False))
    comparison = comparison_of(*commands) if len(commands) == 2 else None
    return "\n".join(lines(Report("rapl", "sensors", "ratio", None, None, False, reports, comparison, ())))


def test_the_text_says_means_and_what_is_behind_them() -> None:
    assert text_of([made(2.0, 10.0), made(2.0, 12.0), made(2.0, 11.0)]).splitlines() == [
        "a '-x y'  (3 runs; energy: rapl)",
        "  time       2 s ± 0 s   2 … 2 s",
        "  CPU time   0.5 s ± 0 s   0.5 … 0.5 s   0.25 CPUs",
        "  the command and its children, by their share of all CPU time",
        "    package    11 J ± 2.484 J   10 … 12 J   5.5 W",
        "  the whole machine meanwhile",
        "    package    22 J ± 4.968 J   20 … 24 J   11 W",
    ]


def test_the_text_says_which_uses_less() -> None:
    text = text_of([made(1, 10.0), made(1, 10.1)], [made(1, 30.0), made(1, 30.2)])
    assert "a '-x y' uses less: b '-x y' takes 2.995 times its energy of the command (95 %: " in text
    assert "no difference can be told" in text_of([made(1, 10.0), made(1, 12.0)], [made(1, 11.0), made(1, 10.5)])
    assert "one run each tells no difference" in text_of([made(1, 1.0)], [made(1, 2.0)])


def test_energy_that_is_not_known_is_not_zero() -> None:
    text = text_of([made(1.0, None)])
    assert "    package    not known" in text
    assert "0 J" not in text


def test_a_cgroup_is_made_below_the_own_one_or_not_at_all(tmp_path: Path) -> None:
    assert TransientCgroup.make("x", root=tmp_path, own="0::/\n") is None
    (tmp_path / "cgroup.controllers").touch()
    # A directory that is no cgroup has no counter: nothing is left behind.
    assert TransientCgroup.make("x", root=tmp_path, own="0::/\n") is None
    assert not (tmp_path / "x").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may make cgroups everywhere")
@pytest.mark.parametrize("own", ["0::/\n", "2:cpuacct:/\n"])
def test_a_real_cgroup_counts_the_dead_and_is_removed_with_those_in_it_moved_out(own: str) -> None:
    cgroup = TransientCgroup.make(f"jouled-test-{os.getpid()}", own=own)
    if cgroup is None:
        pytest.skip("this host has no such hierarchy")
    script = f"read go; {sys.executable} -S -c 'import time\nwhile time.process_time() < 0.2: pass'; exec sleep 60"
    child = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE)
    try:
        assert cgroup.take(child.pid)
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.close()
        end_s = time.monotonic() + 60
        while Path(f"/proc/{child.pid}/comm").read_text() != "sleep\n":
            assert time.monotonic() < end_s
            time.sleep(0.02)
        assert cgroup.cpu_s() >= 0.2
        assert cgroup.pids() == [child.pid]
        cgroup.remove()
        assert not cgroup.directory.exists()
        assert child.poll() is None
    finally:
        cgroup.remove()
        child.kill()
        child.wait()
