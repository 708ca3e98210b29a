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

    def warn(self, text: str, *arguments: object, trace: bool = False) -> None:
        """Log it, unless the same has been told in the last minute.

        Args:
            text: As for `logging`; with its arguments it says what "the same" is.
            trace: With the traceback of the exception that is being handled.
        """
        said, now = text % arguments, self._clock()
        if now - self._told.get(said, -MINUTE) < MINUTE:
            return
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[said] = now
        self._log.warning("%s", said, exc_info=trace)
