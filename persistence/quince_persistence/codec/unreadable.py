"""What stands for a stored value that cannot be made again here."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

from quince_persistence.errors import UnreadableValueUsed


class UnreadableValue:
    """Stands for a value whose class is gone, cannot be imported or does not fit any more.

    Put it into another process, or leave it where it is: it is written as it was read. Whoever uses it
    gets an error that says why it cannot be read.

    Attributes:
        unreadable_kind: What it was, in words: `flow.py:Settings`.
        unreadable_reason: Why it cannot be read.
    """

    __slots__ = ("__weakref__", "_quince_code", "_quince_plain", "unreadable_kind", "unreadable_reason")

    def __init__(self, code: int, plain: Any, kind: str, reason: str) -> None:
        self._quince_code, self._quince_plain = code, plain
        self.unreadable_kind, self.unreadable_reason = kind, reason
        tell(self)

    def __repr__(self) -> str:
        return f"<unreadable {self.unreadable_kind}: {self.unreadable_reason}>"

    def __getattr__(self, name: str) -> NoReturn:
        if name in UnreadableValue.__slots__:  # while it is being copied
            raise AttributeError(name)
        raise UnreadableValueUsed(self.unreadable_kind, self.unreadable_reason)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UnreadableValue):
            _refuse(self)  # it may be equal to that; who is told that it is not takes the wrong branch
        mine, its = ((one._quince_code, repr(one._quince_plain)) for one in (self, other))
        return mine == its

    def __hash__(self) -> int:
        return hash((self._quince_code, self.unreadable_kind))


def _refuse(self: UnreadableValue, *_: Any) -> NoReturn:
    raise UnreadableValueUsed(self.unreadable_kind, self.unreadable_reason)


_local = threading.local()


@contextlib.contextmanager
def met_unreadable() -> Iterator[list[UnreadableValue]]:
    """Those that are read or written inside the block, by this thread."""
    found: list[UnreadableValue] = []
    before, _local.found = getattr(_local, "found", None), found
    try:
        yield found
    finally:
        _local.found = before


def tell(value: UnreadableValue) -> None:
    """It is read or written."""
    found = getattr(_local, "found", None)
    if found is not None:
        found.append(value)


_USES = (
    "call enter getitem setitem delitem iter len contains bool int float index complex bytes fspath "
    "lt le gt ge neg pos abs invert add radd sub rsub mul rmul matmul rmatmul truediv rtruediv floordiv "
    "rfloordiv mod rmod pow rpow and rand or ror xor rxor lshift rlshift rshift rrshift"
)
for _use in _USES.split():
    setattr(UnreadableValue, f"__{_use}__", _refuse)
