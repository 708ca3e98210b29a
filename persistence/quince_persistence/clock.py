"""The time that the store goes by, and whoever compares a moment with what it holds.

It is that of this machine (of the database's, on a server), and what has been skipped of it in this program:
tests of workflows let a day pass in no time (`quince.testing`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

_skipped = 0.0
_standing: float | None = None


def now() -> float:
    """Seconds since 1970."""
    return (time.time() if _standing is None else _standing) + _skipped


def skipped() -> float:
    """How many seconds this program is ahead of its machine."""
    return _skipped


def skip(seconds: float) -> None:
    """Be so many seconds further from now on; negative ones bring it back."""
    global _skipped
    _skipped += seconds


@contextmanager
def still() -> Iterator[None]:
    """In the block, no time passes by itself."""
    global _standing
    before, _standing = _standing, time.time() if _standing is None else _standing
    try:
        yield
    finally:
        _standing = before
