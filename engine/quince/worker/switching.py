"""How long a thread of this interpreter keeps the others from running, while a worker is at work in it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

QUICK_SECONDS = 0.001
"""Steps that compute in threads must not hold up the event loop, whose work comes in many small pieces."""

_lock = threading.Lock()
_blocks = 0
_before = 0.0


@contextmanager
def quick_switching() -> Iterator[None]:
    """Inside the block threads take turns quickly.

    Blocks may overlap: what was set before the first of them comes back after the last, unless the program
    has set another interval meanwhile.
    """
    global _blocks, _before
    with _lock:
        if not _blocks:
            _before = sys.getswitchinterval()
            sys.setswitchinterval(QUICK_SECONDS)
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if not _blocks and abs(sys.getswitchinterval() - QUICK_SECONDS) < 1e-6:
                sys.setswitchinterval(_before + 5e-7)  # it cuts off what is less than a microsecond
