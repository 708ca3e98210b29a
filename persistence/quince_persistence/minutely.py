"""What lasts is told once a minute, not each time that it is met."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

MINUTE = 60.0
_MOST = 100


class Minutely:
    """Warnings of one logger, each of them at most once a minute. May be used from any thread.

    Args:
        clock: Seconds, for the tests.
    """

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._told: dict[str, float] = {}

    def warn(self, text: str, *arguments: object, same: str | None = None, trace: bool = False) -> None:
        """Log it, unless the same has been told in the last minute.

        Args:
            text: As for `logging`.
            same: What tells it from others; the text with its arguments, if that is not given.
            trace: With the traceback of the exception that is being handled.
        """
        same, now = same or text % arguments, self._clock()
        if now - self._told.get(same, -MINUTE) < MINUTE:
            return
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[same] = now
        self._log.warning(text, *arguments, exc_info=trace)
