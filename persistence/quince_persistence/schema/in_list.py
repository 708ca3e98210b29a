"""`column IN (one bound list)`: one statement and one parameter, however long the list is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Dialect,
    Integer,
    Select,
    TableValuedAlias,
    Text,
    bindparam,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine


class _Listed(TypeDecorator[Sequence[Any]]):
    """A list as one parameter: JSON text on SQLite, an array on PostgreSQL."""

    impl = Text
    cache_ok = True

    def __init__(self, element: type[TypeEngine[Any]]) -> None:
        super().__init__()
        self.element = element

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(self.element) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return msgspec.json.encode(list(value)).decode()
        return list(value)

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        return self


class _PerDatabase(FunctionElement[Any]):
    """Written by its format for the kind of database."""

    # Not Boolean: that would be written `... = 1` on SQLite, which then reads the whole table.
    type: TypeEngine[Any] = NullType()
    inherit_cache = True
    sqlite: str
    postgresql: str


@compiles(_PerDatabase)
def _compiled(element: _PerDatabase, compiler: Any, **kw: Any) -> str:
    parts = (compiler.process(clause, **kw) for clause in element.clauses)
    written: str = getattr(element, compiler.dialect.name)
    return written.format(*parts)


class _IsMember(_PerDatabase):
    inherit_cache = True
    sqlite, postgresql = "{} IN (SELECT value FROM json_each({}))", "{} = ANY({})"


def one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """True where `column` is in the list bound to the parameter `name`."""
    element = BigInteger if isinstance(column.type, Integer) else Text
    return _IsMember(column, bindparam(name, type_=_Listed(element)))


class _Has(_PerDatabase):
    inherit_cache = True
    sqlite, postgresql = "{} LIKE {} ESCAPE '\\'", "{} ILIKE {} ESCAPE '\\'"


def has_text(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """True where the text that is bound to the parameter `name` (by `pattern_of`) stands in a column; upper
    and lower case are alike (on SQLite, of ASCII)."""
    return _Has(column, bindparam(name, type_=Text))


def pattern_of(text: str) -> str:
    """A text as `has_text` wants it."""
    for special in "\\%_":
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"


class _IsAmong(_PerDatabase):
    inherit_cache = True
    sqlite, postgresql = "{} IN {}", "{} = ANY(ARRAY{})"


def among(column: ColumnElement[Any], query: Select[Any] | CompoundSelect[Any]) -> ColumnElement[bool]:
    """True where `column` is in what a query finds; the rows are then looked up one by one, by index."""
    return _IsAmong(column, query.scalar_subquery())


class _Whole(_PerDatabase):
    inherit_cache = True
    sqlite, postgresql = "CAST({} AS INTEGER)", "CAST(FLOOR({}) AS INTEGER)"


def whole(number: ColumnElement[Any]) -> ColumnElement[int]:
    """A number from 0 on without its fraction."""
    return _Whole(number)


class _Elements(_PerDatabase):
    name = "elements"
    inherit_cache = True
    sqlite, postgresql = "json_each({})", "(SELECT unnest({}) AS value)"


def each_of(name: str) -> TableValuedAlias:
    """The integers of the list bound to the parameter `name`, as a table with one column `value`."""
    return _Elements(bindparam(name, type_=_Listed(BigInteger))).table_valued("value")
