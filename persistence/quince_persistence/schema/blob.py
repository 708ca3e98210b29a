"""The type of columns with encoded values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Dialect, LargeBinary

from quince_persistence.codec.folding import broken


class Blob(LargeBinary):
    """Bytes. In SQLite anything may stand in any column: what is no bytes is read as a damaged value, which
    `decode` refuses, so that whatever else the same statement reads can be read."""

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], bytes | None]:
        return _bytes


def _bytes(value: Any) -> bytes | None:
    if value is None or type(value) is bytes:
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return broken(f"in its place stands something else ({type(value).__name__})")
