"""Copies the packages that requirements files name out of this environment: scripts/vm_packages.py TARGET FILE..."""

from __future__ import annotations

import re
import shutil
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

# A requirement stands at the start of its line; its hashes are indented.
NAME = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


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
    names = {name for file in files for name in NAME.findall(file.read_text())}
    for name in sorted(names):
        copy(distribution(name), target)


if __name__ == "__main__":
    main()
