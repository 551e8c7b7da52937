"""What all tables share: their metadata, and the mark that stands for the operator's prefix."""

from __future__ import annotations

from typing import Any

from sqlalchemy import MetaData, Table
from sqlalchemy.schema import SchemaItem

# Stands before every name and becomes `store.prefix` in each statement, see `engine`.
MARK = "jouled__"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def table(name: str, *items: SchemaItem, **options: Any) -> Table:
    return Table(f"{MARK}{name}", metadata, *items, **options)


def reference(column: str) -> str:
    """`sites.id` as a foreign key names it."""
    return f"{MARK}{column}"
