"""Waiting for a lock by trying again: what takes the lock knows no time limit, or waits in coarse steps."""

from __future__ import annotations

import time
from collections.abc import Iterator


def tries(until: float, *, first: float, longest: float) -> Iterator[bool]:
    """One item for each try, at least one, with longer and longer pauses between them.

    Args:
        until: When the last try is made, by `time.monotonic()`.
        first: Seconds of the first pause.
        longest: Seconds of a pause at most.

    Yields:
        Whether this try is the last one.
    """
    pause = first
    while time.monotonic() <= until:
        yield False
        time.sleep(pause)
        pause = min(pause * 1.5, longest)
    yield True
