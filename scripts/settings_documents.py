#!/usr/bin/env python3
"""Compares the documents that are made from the settings' structs with them; --fix writes them."""

from __future__ import annotations

import sys
from pathlib import Path

from jouled.config import document

ROOT = Path(__file__).resolve().parents[1]
README_TABLE_BEGINS = "| flag | in the file |"


def readme() -> str:
    """The README with the table as it is to be; the rest as it is."""
    lines = (ROOT / "README.md").read_text().splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if line.startswith(README_TABLE_BEGINS))
    last = next(number for number in range(first, len(lines)) if not lines[number].startswith("|"))
    return "".join([*lines[:first], document.readme_table(), *lines[last:]])


def main() -> int:
    made = {
        "systemd/jouled.toml": document.example(),
        "docs/man/jouled.toml.5.md": document.manual(),
        "README.md": readme(),
    }
    stale = [name for name, text in made.items() if not (ROOT / name).exists() or (ROOT / name).read_text() != text]
    if "--fix" not in sys.argv[1:]:
        for name in stale:
            print(f"{name} is not what the settings say: scripts/settings_documents.py --fix", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).write_text(made[name])
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
