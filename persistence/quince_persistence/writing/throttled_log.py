"""Warnings that are logged at most once a minute: what lasts is not logged each time that it is met."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

MINUTE = 60.0
_MOST_KEYS = 100


class ThrottledLog:
    """Warnings of one logger, each of them at most once a minute. May be used from any thread.

    Args:
        clock: Seconds, for the tests.
    """

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._logged: dict[str, float] = {}

    def warn(
        self,
        text: str,
        *arguments: object,
        extra: Mapping[str, object],
        key: str | None = None,
        trace: bool = False,
    ) -> None:
        """Log a warning, unless one with the same key was logged within the last minute.

        Args:
            text, extra: As for `logging`, with its arguments.
            key: Which warnings count as the same; the text with its arguments, if it is not given.
            trace: With the traceback of the exception that is being handled.
        """
        key, now = key or text % arguments, self._clock()
        if now - self._logged.get(key, -MINUTE) < MINUTE:
            return
        if len(self._logged) >= _MOST_KEYS:
            self._logged.clear()
        self._logged[key] = now
        self._log.warning(text, *arguments, exc_info=trace, extra=extra)
