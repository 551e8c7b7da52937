"""Copies the packages that requirements files name out of this environment: scripts/vm_packages.py TARGET FILE..."""

from __future__ import annotations

import re
import shutil
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

# A requirement stands at the start of its line; its hashes are indented.
LINE = re.compile(r"^[A-Za-z0-9._-]+==[^\\\n]*", re.MULTILINE)

# 150 MB that no check in the machine reads, and that would lie in its memory twice.
LEFT_OUT = {"pyarrow"}


def copy(package: Distribution, target: Path) -> None:
    """Its modules and their bytecode; programs in bin/ lie outside of the modules' folder and stay."""
    for file in package.files or ():
        source = Path(str(package.locate_file(file)))
        if ".." in file.parts or not source.exists():
            continue
        place = target / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, place)


def main() -> None:
    target, *files = map(Path, sys.argv[1:])
    found = [Requirement(line) for file in files for line in LINE.findall(file.read_text())]
    # What another Python or system would need is not installed here.
    names = {each.name for each in found if each.marker is None or each.marker.evaluate()}
    for name in sorted(names - LEFT_OUT):
        copy(distribution(name), target)


if __name__ == "__main__":
    main()
