"""Loggers whose calls give their facts by name, once: for the sentence, and as fields of the record."""

from __future__ import annotations

import logging
from typing import Any


class StructuredLogger:
    """A logger for calls such as `log.info("queue %(queue)s is empty", queue=name)`.

    The facts fill the sentence, and any handler finds them as attributes of the record (`record.queue`). Of
    an exception the attribute is the name of its class. What Python keeps for itself is given as `class_`.
    `exc_info` is as for `logging`.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, sentence: str, **facts: Any) -> None:
        self._log(logging.DEBUG, sentence, **facts)

    def info(self, sentence: str, **facts: Any) -> None:
        self._log(logging.INFO, sentence, **facts)

    def warning(self, sentence: str, **facts: Any) -> None:
        self._log(logging.WARNING, sentence, **facts)

    def error(self, sentence: str, **facts: Any) -> None:
        self._log(logging.ERROR, sentence, **facts)

    def exception(self, sentence: str, **facts: Any) -> None:
        self._log(logging.ERROR, sentence, exc_info=True, **facts)

    def log(self, level: int, sentence: str, **facts: Any) -> None:
        self._log(level, sentence, **facts)

    def _log(self, level: int, sentence: str, *, exc_info: Any = None, **facts: Any) -> None:
        if self._logger.isEnabledFor(level):
            fields = {name.rstrip("_"): _field(fact) for name, fact in facts.items()}
            given = (facts,) if facts else ()
            self._logger.log(level, sentence, *given, exc_info=exc_info, extra=fields, stacklevel=3)


def _field(fact: Any) -> Any:
    return type(fact).__name__ if isinstance(fact, BaseException) else fact
