"""Warnings that are logged at most once a minute: what lasts is not logged each time that it is met."""

from __future__ import annotations

import time
from collections.abc import Callable

from quince_persistence.databases.structured_log import StructuredLogger

MINUTE = 60.0
_MOST_KEYS = 100


class ThrottledLog:
    """Warnings of one logger, each of them at most once a minute. May be used from any thread.

    Args:
        clock: Seconds, for the tests.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = StructuredLogger(name)
        self._clock = clock
        self._logged: dict[str, float] = {}

    def warn(self, sentence: str, *, key: str | None = None, trace: bool = False, **facts: object) -> None:
        """Log a warning, unless one with the same key was logged within the last minute.

        Args:
            sentence, facts: As for a `StructuredLogger`.
            key: Which warnings count as the same; the sentence with its facts, if it is not given.
            trace: With the traceback of the exception that is being handled.
        """
        key, now = key or sentence % facts, self._clock()
        if now - self._logged.get(key, -MINUTE) < MINUTE:
            return
        if len(self._logged) >= _MOST_KEYS:
            self._logged.clear()
        self._logged[key] = now
        self._log.warning(sentence, exc_info=trace, **facts)
