"""A store that was made by `open` and one that was made by the migrations are the same."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from quince_persistence.databases.opening import database_of
from quince_persistence.errors import SchemaOutdated
from quince_persistence.migrations import upgrade
from quince_persistence.records import State
from quince_persistence.schema.tables import SCHEMA_VERSION, metadata
from quince_persistence.store import Store
from tests.contracts.store_backends import empty_url, step

__all__ = ["empty_url"]


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
def test_opening_makes_what_the_migrations_make(empty_url: str) -> None:
    with Store(empty_url) as store:
        assert list(store.allocate_pids(1)) == [1]
    made, _ = _look(empty_url)
    _wipe(empty_url)
    assert upgrade(empty_url) == SCHEMA_VERSION
    migrated, differences = _look(empty_url)
    assert migrated == made
    assert differences == []
    with Store(empty_url) as store:
        assert list(store.allocate_pids(1)) == [1]


def test_upgrading_what_is_new_changes_nothing(empty_url: str) -> None:
    Store(empty_url).__enter__().close()
    assert upgrade(empty_url) == upgrade(empty_url) == SCHEMA_VERSION


def test_a_worker_row_of_the_second_version_comes_over(empty_url: str) -> None:
    assert upgrade(empty_url, "0002") == "0002"
    database = database_of(empty_url)
    with database.writer() as connection:
        connection.execute(
            text(
                "INSERT INTO workers (id, host, ospid, name, queues, slots, state, started, heartbeat) "
                """VALUES ('h:1:a', 'h', 1, 'w', '["default"]', 8, 'running', 1.0, 2.0)"""
            )
        )
        connection.commit()
    database.dispose()
    assert upgrade(empty_url) == SCHEMA_VERSION
    with Store(empty_url) as store:
        (worker,) = store.workers()
        assert (worker.id, worker.queues, worker.heartbeat, worker.troubles) == (
            "h:1:a",
            ("default",),
            2.0,
            (),
        )
        store.heartbeat("h:1:a", troubles=["no thread", "the broker is away"]).result()
        assert store.workers()[0].troubles == ("no thread", "the broker is away")
        store.heartbeat("h:1:a").result()
        assert store.workers()[0].troubles == ()


def test_a_store_of_the_first_version_is_refused_and_upgraded_with_what_it_holds(empty_url: str) -> None:
    assert upgrade(empty_url, "0001") == "0001"
    database = database_of(empty_url)
    values = {
        "pid": 7, "root": 7, "class_path": "a:B", "class_version": "1", "state": "created", "paused": False,
        "ready": True, "epoch": 0, "queue": "default", "priority": 0, "awaiting": 0, "deaths": 0,
        "created": 1.0, "updated": 1.0, "tree_paused": False, "pause_void": False,
    }  # fmt: skip
    with database.writer() as connection:
        names = ", ".join(values)
        given = ", ".join(f":{name}" for name in values)
        connection.execute(text(f"INSERT INTO processes ({names}) VALUES ({given})"), values)
        connection.execute(text("INSERT INTO inputs (pid, blob) VALUES (7, :blob)"), {"blob": b"inputs"})
        connection.commit()
    database.dispose()
    with pytest.raises(SchemaOutdated, match="quince init --upgrade"):
        Store(empty_url).open()
    assert upgrade(empty_url) == SCHEMA_VERSION
    with Store(empty_url) as store:
        (claim,) = store.claim([7], "w").result()
        assert (claim.row.signals, claim.inputs) == ((), b"inputs")
        assert step(store, claim, State.WAITING, signals=["go"]).awaiting == 1
