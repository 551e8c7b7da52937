"""Writes a migration: called by scripts/migration, which says how."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext

from jouled.store.engine import open_engine, store_url
from jouled.store.migrations import REVISIONS, VERSION_TABLE, upgrade
from jouled.store.schema import MARK, metadata
from jouled.store.types import Instant, Money

VERSIONS = Path("python/jouled/store/migrations/versions")
REGISTRY = Path("python/jouled/store/migrations/__init__.py")

FILE = '''"""{message}. Written by scripts/migration; once it is released it is not changed any more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
{types}
revision = "{revision}"
down_revision = {before}


def upgrade() -> None:  # noqa: PLR0915  (all of it is one step)
{body}
'''


def render(kind: str, thing: Any, context: AutogenContext) -> str | Literal[False]:  # noqa: ARG001  (the shape is given)
    """Types by what both engines keep: a later change of `store.types` must not change an old step."""
    if kind != "type":
        return False
    if isinstance(thing, (Instant, Money)):
        return "sa.BigInteger()"
    if thing.__class__.__name__ == "JSON":
        return "DOCUMENT"
    if thing.__class__.__name__ == "BigInteger" and thing._variant_mapping:  # noqa: SLF001  (as SQLAlchemy renders it itself)
        return "SERIAL"
    return False


def main() -> None:
    arguments = sys.argv[1:]
    if len(arguments) != 1:
        sys.exit("usage: scripts/migration MESSAGE | --first")
    is_first = arguments == ["--first"]
    message = "The first tables" if is_first else arguments[0].rstrip(".")
    before = None if is_first else REVISIONS[-1]
    revision = f"{int(before or 0) + 1:04}"
    with tempfile.TemporaryDirectory() as folder:
        # The mark is its own prefix here: what is compared has the names of the metadata.
        engine = open_engine(store_url("sqlite", folder), MARK, "writer")
        if not is_first:
            upgrade(engine)
        with engine.connect() as connection:
            ours = f"{MARK}{VERSION_TABLE}"
            options = {
                "compare_type": True,
                "render_item": render,
                "sqlalchemy_module_prefix": "sa.",
                "alembic_module_prefix": "op.",
                "version_table": ours,
                "user_module_prefix": None,
                "render_as_batch": False,
            }
            context = MigrationContext.configure(connection, opts=options)
            steps = produce_migrations(context, metadata).upgrade_ops
            assert steps is not None
            if steps.is_empty():
                sys.exit("nothing has changed: the migrations make what the schema wants")
            body = render_python_code(
                steps, sqlalchemy_module_prefix="sa.", alembic_module_prefix="op.", render_item=render
            )
        engine.dispose()
    body = re.sub(r"^ *# ###.*\n?", "", body, flags=re.MULTILINE).rstrip()
    kept = {
        "DOCUMENT": '\nDOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")',
        "SERIAL": '\nSERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")',
    }
    types = "".join(line for name, line in kept.items() if name in body)
    if "postgresql." in types:
        types = "from sqlalchemy.dialects import postgresql\n" + types
    text = FILE.format(
        message=message,
        types=types + "\n" if types else "",
        revision=revision,
        before=f'"{before}"' if before else None,
        body=body,
    )
    slug = "first" if is_first else re.sub(r"\W+", "_", message.lower()).strip("_")[:40]
    path = VERSIONS / f"v{revision}_{slug}.py"
    path.write_text(text)
    ruff = Path(sys.executable).with_name("ruff")
    subprocess.run([ruff, "check", "--fix", "--quiet", str(path)], check=False)
    subprocess.run([ruff, "format", "--quiet", str(path)], check=True)
    if not is_first:
        known = ", ".join(f'"{known}"' for known in (*REVISIONS, revision))
        REGISTRY.write_text(re.sub(r"REVISIONS = \(.*\)", f"REVISIONS = ({known})", REGISTRY.read_text()))
    print(path)


if __name__ == "__main__":
    main()
