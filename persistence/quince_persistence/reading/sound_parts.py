"""Which large parts of the store are known to be whole."""

from __future__ import annotations

import time

LOOKED_AT = 60.0
"""For so many seconds a part that was found whole is not looked at again."""
_MOST = 10_000


class SoundParts:
    """Parts that this program has lately found whole, by digest. May be used from any thread."""

    def __init__(self) -> None:
        self._found: dict[str, float] = {}

    def add(self, digest: str) -> None:
        """It is whole."""
        if len(self._found) >= _MOST:
            self._found.clear()
        self._found[digest] = time.monotonic()

    def discard(self, digest: str) -> None:
        """It is not."""
        self._found.pop(digest, None)

    def __contains__(self, digest: str) -> bool:
        found = self._found.get(digest)
        return found is not None and time.monotonic() - found < LOOKED_AT
