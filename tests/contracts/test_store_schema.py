"""A store that was made by `open` and one that was made by the migrations are the same."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from persistence.migrations import upgrade
from persistence.opening import database_of
from persistence.store import Store
from persistence.tables import SCHEMA_VERSION, metadata
from tests.contracts.store_backends import store_url

__all__ = ["store_url"]


def _described(connection: Connection) -> dict[str, Any]:
    """Everything that the database says about its tables."""
    inspector = inspect(connection)
    return {
        table: {
            "columns": [str(column) for column in inspector.get_columns(table)],
            "indexes": sorted(_index(dict(index)) for index in inspector.get_indexes(table)),
            "key": inspector.get_pk_constraint(table),
        }
        for table in sorted(inspector.get_table_names())
    }


def _index(index: dict[str, Any]) -> str:
    conditions = {name: str(option) for name, option in index.pop("dialect_options", {}).items()}
    return f"{index} {conditions}"


def _look(url: str) -> tuple[dict[str, Any], list[Any]]:
    database = database_of(url)
    try:
        with database.engine().connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "version_table": "quince_schema"}
            )
            differences = compare_metadata(context, metadata)
            return _described(connection), differences
    finally:
        database.dispose()


def _wipe(url: str) -> None:
    database = database_of(url)
    with database.writer() as connection:
        metadata.drop_all(connection)
        connection.commit()
    database.dispose()


# Reflecting an index with a condition, SQLAlchemy warns that SQLite's `WHERE` is an expression.
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
def test_opening_makes_what_the_migrations_make(store_url: str) -> None:
    with Store(store_url) as store:
        assert list(store.allocate_pids(1)) == [1]
    made, _ = _look(store_url)
    _wipe(store_url)
    assert upgrade(store_url) == SCHEMA_VERSION
    migrated, differences = _look(store_url)
    assert migrated == made
    assert differences == []
    with Store(store_url) as store:
        assert list(store.allocate_pids(1)) == [1]


def test_upgrading_what_is_new_changes_nothing(store_url: str) -> None:
    Store(store_url).__enter__().close()
    assert upgrade(store_url) == upgrade(store_url) == SCHEMA_VERSION
