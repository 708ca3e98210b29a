"""INSERTs that say what happens if the row is there: SQLAlchemy has one for each kind of database."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class Upsert(dict[str, Any]):
    """The statement for each kind of database, made when it is first asked for: SQLAlchemy's module for the
    other kind, which takes a tenth of a second, is never imported.

    Args:
        make: Makes it with the INSERT of that kind.
    """

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, dialect: str) -> Any:
        insert = importlib.import_module(f"sqlalchemy.dialects.{dialect}").insert
        made = self[dialect] = self._make(insert)
        return made


def unless_there(table: Any) -> Upsert:
    """A row that is there stays."""
    return Upsert(lambda insert: insert(table).on_conflict_do_nothing())


def or_replacing(table: Any, *columns: str) -> Upsert:
    """Of a row that is there, these columns are replaced."""

    def make(insert: Any) -> Any:
        statement = insert(table)
        return statement.on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={name: statement.excluded[name] for name in columns},
        )

    return Upsert(make)
