"""`joulectl capture`: saves what a scan reads, so that a host can be looked at where it is not."""

from __future__ import annotations

import time
from pathlib import Path

import click

from jouled.cli.duration import duration
from jouled.cli.joulectl import Options

EPILOG = """\b
Examples:
  joulectl capture host.tar.gz                 two states, five seconds apart
  joulectl capture --anonymous bug.tar.gz      without host name, users and directories
  joulectl --root host.tar.gz doctor           what is wrong with measuring there
  joulectl --root host.tar.gz top --once       what drew how much there

What is in it: the counters and names of all zones and sensors, the CPU times of the machine, of
cgroups and of processes, their names and programs. Of command lines only the program, and what
names a virtual machine; no environment. Look at it with tar -tzf FILE before you send it.
"""


@click.command(epilog=EPILOG)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--interval",
    "interval_s",
    metavar="TIME",
    type=duration(0, 600),
    default=5.0,
    help="Between the two states; 0 takes one.  [default: 5s]",
)
@click.option("--anonymous", is_flag=True, help="Leave out the host's name, its users and where programs lie.")
@click.pass_obj
def command(options: Options, file: Path, interval_s: float, anonymous: bool) -> None:
    """Save what a scan and the doctor read of this host to FILE."""
    from jouled import capture
    from jouled.cli.replay import host

    with host(options.root) as source:
        if interval_s:
            click.echo(f"capture: two states, {interval_s:g} s apart …", err=True)
        manifest = capture.save(
            file,
            source.tree,
            interval_s=interval_s,
            is_anonymous=anonymous,
            pause=(lambda _: source.advance()) if source.is_captured else time.sleep,
        )
    for kind, count in manifest.left_out.items():
        click.echo(f"capture: {count} {kind} left out: more than a capture holds", err=True)
    refused = len(manifest.errors)
    if refused:
        click.echo(f"capture: {refused} files could not be read, which the capture says too", err=True)
    click.echo(f"{file}: {file.stat().st_size / 1024:.0f} KiB; show it with joulectl --root {file} doctor")
