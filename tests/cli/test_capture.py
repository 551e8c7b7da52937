"""`joulectl capture` and `--root`: what goes into a capture, what does not, and that it is the host again."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from jouled import _core
from jouled.capture import CaptureError, Manifest, Tree, archive, load, redact, save, state
from jouled.cli.doctor import gather
from jouled.cli.joulectl import Options
from jouled.cli.replay import host
from jouled.doctor import examine
from written_hosts import HOSTS, write

JOULECTL = (sys.executable, "-c", "from jouled.cli.joulectl import main; main()")
WRITTEN = sorted(HOSTS.glob("*.host"))


def joulectl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*JOULECTL, *words], capture_output=True, text=True, check=False)


def captured(path: Path, directory: Path, **options: bool) -> Path:
    """A written host, captured again into an archive."""
    written = directory / "written"
    written.mkdir()
    write(path, written)
    file = directory / "host.tar.gz"
    with host(str(written)) as seen:
        save(file, seen.tree, interval_s=5, pause=lambda _: seen.advance(), wall_s=1_700_000_000.0, **options)
    return file


def page(root: Path) -> tuple[str, dict[str, float], list[tuple[str, float]]]:
    """What the scanner says of a host between its two states."""
    with host(str(root)) as seen:
        scanner = _core.Scanner(procfs=seen.procfs, sysfs=seen.sysfs)
        scanner.tick()
        assert seen.advance()
        snapshot = scanner.tick()
        rows = [("/".join(sorted(row.labels.values())), row.cpu_s) for row in snapshot.workloads("process", "name")]
        return scanner.source, {zone.zone + zone.index: zone.joules for zone in snapshot.zones()}, rows


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_a_captured_host_is_the_host_again(path: Path, tmp_path: Path) -> None:
    file = captured(path, tmp_path)
    source, joules, rows = page(tmp_path / "written")
    again = page(file)
    assert again[0] == source
    assert again[2] == rows
    assert again[1] == joules


def test_a_file_that_may_not_be_read_is_noted_with_its_error(tmp_path: Path) -> None:
    file = captured(HOSTS / "doctor" / "rapl-denied.host", tmp_path)
    with host(str(file)) as seen:
        energy = "sys/class/powercap/intel-rapl:0/energy_uj"
        assert seen.manifest is not None
        assert seen.manifest.errors == {energy: "EACCES"}
        assert seen.tree.mode(energy) == "0400 root:root"
        assert seen.tree.exists(energy)
        with pytest.raises(PermissionError):
            seen.tree.read(energy)


@pytest.mark.parametrize("path", sorted((HOSTS / "doctor").glob("*.host")), ids=lambda path: path.stem)
def test_the_doctor_finds_in_a_capture_what_it_finds_on_the_host(path: Path, tmp_path: Path) -> None:
    file = captured(path, tmp_path)
    findings = []
    for root in (tmp_path / "written", file):
        with host(str(root)) as seen:
            findings.append(examine(gather(seen, Options(None, str(root)), 1.0)))
    assert findings[0] == findings[1]


def test_this_host_can_be_captured_and_shown(tmp_path: Path) -> None:
    secret = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 60; : --password=hunter2"], env={**os.environ, "JOULED_TEST_SECRET": "hunter3"}
    )
    try:
        done = joulectl("capture", "--interval", "200ms", str(tmp_path / "here.tar.gz"))
    finally:
        secret.kill()
        secret.wait()
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((tmp_path / "here.tar.gz").stat().st_mode) == 0o600
    with tarfile.open(tmp_path / "here.tar.gz") as tar:
        names = tar.getnames()
        everything = b"".join(file.read() for member in tar if (file := tar.extractfile(member)))
    assert f"0/proc/{secret.pid}/stat" in names
    assert b"hunter" not in everything
    assert not [name for name in names if name.endswith("environ")]
    with host(str(tmp_path / "here.tar.gz")) as seen:
        scanner = _core.Scanner(procfs=seen.procfs, sysfs=seen.sysfs, meters=["estimate"])
        scanner.tick()
        assert seen.advance()
        assert not seen.advance()
        pids = {row.labels["pid"] for row in scanner.tick().workloads("process")}
        assert seen.tree.text(f"proc/{secret.pid}/comm") == "sh"
    assert isinstance(pids, set)


def test_an_anonymous_capture_names_no_user_and_no_host(tmp_path: Path) -> None:
    written = tmp_path / "laptop.host"
    written.write_text(
        (HOSTS / "laptop.host").read_text().replace("after 5 s", "proc/sys/kernel/hostname = ada-laptop\nafter 5 s")
    )
    file = captured(written, tmp_path, is_anonymous=True)
    with tarfile.open(file) as tar:
        everything = b"".join(piece.read() for member in tar if (piece := tar.extractfile(member)))
        names = tar.getnames()
    assert b"ada" not in everything
    assert b"/usr/lib/firefox" not in everything
    assert "0/etc/passwd" not in names


def test_a_user_is_known_by_name_and_by_nothing_else(tmp_path: Path) -> None:
    with host(str(captured(HOSTS / "laptop.host", tmp_path))) as seen:
        assert seen.tree.text("etc/passwd") == "ada:x:1000:::/:"


def test_a_file_that_exists_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = joulectl("capture", "--interval", "0", str(tmp_path / "mine"))
    assert done.returncode == 1
    assert done.stderr == f"joulectl: error: write {tmp_path}/mine: it exists; name another file, or remove it\n"
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_said_before_anything_is_waited_for(tmp_path: Path) -> None:
    def pause(_: float) -> None:
        raise AssertionError("waited")

    (tmp_path / "mine").touch()
    for path, reason in ((tmp_path / "mine", "it exists"), (tmp_path / "no" / "where", "no directory")):
        with pytest.raises(CaptureError, match=f"^write {path}: {reason}"):
            save(path, Tree(tmp_path), pause=pause)


def test_limits_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MOST_PROCESSES", 2)
    write(HOSTS / "xeon-2s.host", tmp_path)
    with host(str(tmp_path)) as seen:
        found = state.collect(seen.tree)
        assert found.left_out["processes"] == len(seen.tree.pids()) - 2 > 0


# ---- what is left out ----

UUID = "df12672f-fedb-4f6f-9d51-0166868835fb"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("postgres -D /var/lib/pg --password=x", "postgres"),
        ("nginx: worker process for customer-x", "nginx:"),
        (
            f"/usr/bin/qemu-system-x86_64 -name guest=vm1,debug-threads=on -uuid {UUID} -drive file=/secret.img",
            f"/usr/bin/qemu-system-x86_64 -name guest=vm1 -uuid {UUID}",
        ),
        ("qemu-system-x86_64 -name simple,process=x -m 1024", "qemu-system-x86_64 -name simple"),
        (
            f"/usr/bin/kvm -smbios type=1,uuid={UUID},serial=abc -vnc :1,password=on",
            f"/usr/bin/kvm -smbios type=1,uuid={UUID}",
        ),
        ("/usr/lib/virtualbox/VBoxHeadless --comment web --startvm 1234 --vrde config", None),
        ("/usr/bin/firecracker --id vm7 --config-file /secret", "/usr/bin/firecracker --id vm7"),
        ("/opt/vmware-vmx -x secret /vms/web.vmx", "/opt/vmware-vmx /vms/web.vmx"),
    ],
)
def test_a_command_line_keeps_the_program_and_what_names_a_guest(line: str, kept: str | None) -> None:
    redacted = redact.cmdline(f"{line}\0".replace(" ", "\0").encode(), b"x", None)
    if line.startswith("nginx"):
        redacted = redact.cmdline(line.encode(), b"nginx", None)
    expected = kept if kept is not None else "/usr/lib/virtualbox/VBoxHeadless --comment web --startvm 1234"
    assert redacted.replace(b"\0", b" ").decode().strip() == expected


def test_the_addresses_of_a_process_are_zero_and_its_times_are_not() -> None:
    fields = " ".join(str(number) for number in range(4, 53))
    redacted = redact.process_stat(f"42 (a) b) S {fields}\n".encode()).decode()
    head, _, rest = redacted.rpartition(") ")
    kept = dict(enumerate(rest.split(), start=3))
    assert head == "42 (a) b"
    assert (kept[14], kept[15], kept[22]) == ("14", "15", "22")
    assert {kept[number] for number in (26, 27, 28, 29, 30, 45, 46, 47, 48, 49, 50, 51)} == {"0"}


def test_of_mounts_only_those_of_the_kernels_file_systems_are_kept() -> None:
    text = b"24 30 0:22 / /proc rw - proc proc rw\n31 1 8:1 / /home/ada rw - nfs server:/export rw\n"
    assert redact.mountinfo(text) == b"24 30 0:22 / /proc rw - proc proc rw\n"


def test_of_a_processor_its_serial_number_is_left_out() -> None:
    text = b"processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu sgx vme\n\nSerial\t\t: 000012345\n"
    kept = redact.cpuinfo(text)
    assert b"000012345" not in kept
    assert b"flags\t\t: sgx\n" in kept
    assert kept.startswith(b"processor\t: 0\n")


# ---- archives of unknown origin ----


def archived(path: Path, *members: tuple[tarfile.TarInfo, bytes], manifest: Manifest | None = None) -> Path:
    import msgspec

    text = msgspec.json.encode(manifest or Manifest())
    with tarfile.open(path, "w:gz") as tar:
        for member, content in [(tarfile.TarInfo("manifest.json"), text), *members]:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize(
    "member",
    [
        *(tarfile.TarInfo(name) for name in ("../evil", "/etc/evil", "0/../../evil", "evil")),
        link("0/proc/stat", "/etc/passwd"),
    ],
    ids=lambda member: member.name,
)
def test_a_member_that_lies_outside_is_refused(member: tarfile.TarInfo, tmp_path: Path) -> None:
    file = archived(tmp_path / "evil.tar.gz", (member, b""))
    with pytest.raises(CaptureError, match="do not use this file"), host(str(file)):
        pass


@pytest.mark.parametrize(
    "links",
    [
        {"proc/stat": "/etc/passwd"},
        {"proc/stat": "../../../../../etc/passwd"},
        {"../out": "x"},
        {"/tmp/out": "x"},
        {"a": "b/c", "b": "..", "d": "b/.."},
    ],
)
def test_a_link_that_leads_out_is_refused(links: dict[str, str], tmp_path: Path) -> None:
    file = archived(tmp_path / "evil.tar.gz", manifest=Manifest(links=links))
    with pytest.raises(CaptureError, match="do not use this file"), host(str(file)):
        pass


def test_nothing_is_written_through_the_link_of_an_executable(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    file = archived(
        tmp_path / "evil.tar.gz",
        (tarfile.TarInfo("0/proc/5/stat"), b"x"),
        (tarfile.TarInfo("1/proc/5/exe"), b"overwritten"),
        manifest=Manifest(links={"proc/5/exe": str(victim)}),
    )
    with host(str(file)) as seen, pytest.raises(CaptureError, match="a link lies in its place"):
        seen.advance()
    assert victim.read_text() == "as it was"


def test_an_archive_that_grows_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 1000)
    file = archived(tmp_path / "bomb.tar.gz", (tarfile.TarInfo("0/proc/stat"), bytes(2000)))
    with pytest.raises(CaptureError, match="larger than any capture"):
        load(file, tmp_path)


@pytest.mark.parametrize("text", [b"", b"no archive", b"\x1f\x8b\x08\x00"])
def test_what_is_no_capture_is_said_in_one_line(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(text)
    for place in (tmp_path / "file", tmp_path / "missing", tmp_path):
        done = joulectl("--root", str(place), "doctor")
        assert done.returncode == 1
        assert done.stderr.startswith(f"joulectl: error: read {place}: ")
        assert done.stderr.count("\n") == 1


def test_a_capture_of_a_later_format_names_its_version(tmp_path: Path) -> None:
    file = archived(tmp_path / "new.tar.gz", manifest=Manifest(format=99, jouled="9.9"))
    with pytest.raises(CaptureError, match=r"format 99; use jouled 9\.9 or newer"):
        load(file, tmp_path / "x")


def test_this_host_is_not_captured() -> None:
    with host(None) as seen:
        assert (seen.procfs, seen.sysfs, seen.is_captured) == ("/proc", "/sys", False)
        assert not seen.advance()
        assert isinstance(seen.tree, Tree)
