"""Files of code that somebody is just writing."""

from __future__ import annotations

import time
import traceback
from pathlib import Path

_WRITTEN_SECONDS = 2.0
"""A source file that is younger may be half-written."""


def is_half_written(error: BaseException, file: Path | None) -> bool:
    """A file that cannot be imported has been written just now: the one named, or one of which the error
    tells."""
    if not isinstance(error, (SyntaxError, EOFError, ValueError, AttributeError, ImportError)):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    named = [getattr(error, "filename", None), getattr(error, "path", None), frames[-1].filename]
    files = [file, *(Path(name) for name in named if isinstance(name, str))]
    return any(one is not None and is_young(one) for one in files)


def is_young(file: Path, seconds: float = _WRITTEN_SECONDS) -> bool:
    """The file has been written just now, or within so many seconds."""
    try:
        return abs(time.time() - file.stat().st_mtime) < seconds
    except (OSError, ValueError):
        return False
