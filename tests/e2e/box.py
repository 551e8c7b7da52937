"""A booted box with systemd and jouled in it, spoken to through the namespaces of its first process."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pages import Page

SOCKET = "/run/jouled/jouled.sock"
TCP = "http://127.0.0.1:9917"
SETTINGS = "/etc/jouled/jouled.toml"
DROP_INS = "/run/systemd/system"
# Far more than anything here takes; what ends a wait is what it waits for.
LONGEST_S = 60.0

T = TypeVar("T")
Done = subprocess.CompletedProcess[str]


def until(ask: Callable[[], T], longest_s: float = LONGEST_S) -> T:
    """The first answer that is true."""
    end_s = time.monotonic() + longest_s
    while not (answer := ask()):
        assert time.monotonic() < end_s, f"not in {longest_s:g} s; the last answer was {answer!r}"
        time.sleep(0.1)
    return answer


class Box:
    """`leader` is the box's first process, as this host numbers it."""

    def __init__(self, leader: int, layout: str) -> None:
        self.leader = leader
        self.layout = layout

    def run(self, *command: str, is_checked: bool = True, stdin: str | None = None) -> Done:
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", *command],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
        )
        assert done.returncode == 0 or not is_checked, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def ctl(self, *words: str) -> str:
        return self.run("systemctl", *words).stdout.strip()

    def path(self, inside: str) -> Path:
        return Path(f"/proc/{self.leader}/root{inside}")

    def write(self, inside: str, text: str) -> None:
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)

    def start_unit(self, name: str, *command: str, slice_name: str = "system.slice") -> None:
        """Of the box's own, gone when it is stopped. Killed, because a shell that forks without end can miss a signal."""
        words = ("--quiet", "--collect", f"--unit={name}", f"--slice={slice_name}", "--property=KillSignal=SIGKILL")
        self.run("systemd-run", *words, *command)

    # ---- the daemon ----

    def show(self, name: str, unit: str = "jouled.service") -> str:
        return self.ctl("show", "--property", name, "--value", unit)

    @property
    def pid(self) -> int:
        """The daemon's, inside the box; 0 while it does not run."""
        return int(self.show("MainPID"))

    def process_status(self) -> dict[str, str]:
        """Of /proc/PID/status."""
        lines = self.path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}

    def settings(self, text: str) -> None:
        self.write(SETTINGS, text)

    def drop_in(self, text: str, unit: str = "jouled.service") -> None:
        self.write(f"{DROP_INS}/{unit}.d/check.conf", text)
        self.ctl("daemon-reload")

    def as_installed(self) -> None:
        """Stopped, and without anything that was set."""
        self.run("sh", "-c", f"rm -rf {DROP_INS}/jouled.*.d {SETTINGS}")
        self.ctl("daemon-reload")
        self.ctl("stop", "jouled.socket")
        self.run("systemctl", "reset-failed", "jouled.service", "jouled.socket", is_checked=False)

    def restart(self) -> None:
        self.ctl("restart", "jouled.service")

    # ---- what it serves ----

    def curl(self, *words: str, user: str = "root") -> Done:
        return self.run(
            *("runuser", "-u", user, "--", "curl", "--silent", "--show-error", "--max-time", "20", *words),
            is_checked=False,
        )

    def get(self, path: str) -> str:
        """By TCP, as somebody without any rights."""
        done = self.curl("--fail", f"{TCP}{path}", user="bob")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def page(self) -> Page:
        return Page(self.get("/metrics").encode())

    def page_when(self, is_so: Callable[[Page], bool]) -> Page:
        """The first page of which that is so."""
        return until(lambda: [page for page in [self.page()] if is_so(page)])[0]

    # ---- what it says ----

    def now(self) -> str:
        """A place in the journal: what comes after it."""
        self.run("journalctl", "--sync")
        shown = self.run("journalctl", "--show-cursor", "--lines=1", "--no-pager").stdout
        return shown.rpartition("-- cursor: ")[2].strip()

    def journal(self, since: str | None = None) -> list[dict[str, Any]]:
        """All of it, oldest first. Filtered here: journalctl with a cursor and a filter skips a line."""
        self.run("journalctl", "--sync")
        after = [] if since is None else [f"--after-cursor={since}"]
        shown = self.run("journalctl", "--output=json", "--no-pager", *after).stdout
        return [json.loads(line) for line in shown.splitlines()]

    def lines(self, since: str | None = None) -> list[dict[str, Any]]:
        """The daemon's own."""
        return [line for line in self.journal(since) if line.get("SYSLOG_IDENTIFIER") == "jouled"]

    def messages(self, since: str | None = None) -> list[str]:
        return [str(line["MESSAGE"]) for line in self.lines(since)]

    def said(self, since: str) -> str:
        """What everybody said, line by line."""
        return "\n".join(str(line["MESSAGE"]) for line in self.journal(since))
