"""Brings a store's tables to what this version expects."""

from __future__ import annotations

from sqlalchemy import Engine

from jouled.store.schema import metadata


def upgrade(engine: Engine) -> None:
    with engine.execution_options(is_writer=True).begin() as connection:
        metadata.create_all(connection)
