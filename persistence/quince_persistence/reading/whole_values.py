"""Values as they were before their large parts were taken out: these are read, each once, and put back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from quince_persistence.codec.folding import digests, is_folded, sound, unfold
from quince_persistence.errors import Unreadable
from quince_persistence.reading.sound_parts import SoundParts
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.tables import contents

CONTENTS = select(contents.c.digest, contents.c.blob).where(one_of(contents.c.digest, "digests"))
Fetch = Callable[[list[str]], Iterable[Any]]
"""The rows of `CONTENTS` for these digests."""
EMPTY: Mapping[str, bytes] = {}


class Parts:
    """Large parts of values that have been read.

    Args:
        fetch: Reads parts.
        whole: Is told which of those that are read are whole, and which are not.
        known: Those that need not be read.
    """

    def __init__(self, fetch: Fetch, whole: SoundParts, known: Mapping[str, bytes] = EMPTY) -> None:
        self._fetch = fetch
        self._whole = whole
        self._known = dict(known)

    def read_for(self, blobs: Iterable[bytes | None]) -> bool:
        """Read what these need; whether all of that is there and sound."""
        wanted = {digest for blob in blobs for digest in _digests(blob)}
        missing = sorted(wanted - self._known.keys())
        if missing:
            for digest, part in self._fetch(missing):
                if sound(digest, part):
                    self._known[digest] = part
                    self._whole.add(digest)
                else:
                    self._whole.discard(digest)
        return wanted <= self._known.keys()

    def whole(self, blob: bytes) -> bytes:
        """The value; `decode` refuses it, and says why, if a part of it is missing or damaged."""
        return unfold(blob, self._known)


def any_folded(rows: Iterable[Sequence[Any]], columns: Sequence[int]) -> bool:
    """Whether a value in one of these columns has its parts elsewhere."""
    return any(is_folded(row[column]) for row in rows for column in columns)


def values(rows: Iterable[Sequence[Any]], columns: Sequence[int]) -> Iterator[bytes | None]:
    """What stands in these columns."""
    return (row[column] for row in rows for column in columns)


def _digests(blob: bytes | None) -> list[str]:
    try:
        return digests(blob)
    except Unreadable:  # `unfold` says so
        return []
