"""How log records become lines: one formatter, for workers, daemons and commands."""

from __future__ import annotations

import logging
import os
import time
from contextvars import ContextVar

from quince.text import visible, without_passwords

current_speaker: ContextVar[str] = ContextVar("quince_speaker", default="")
"""Whose step runs here, `12 Square`; empty where none does."""

FORMAT = "%(asctime)s %(levelname)-7s [%(process)d%(speaker)s] %(name)s: %(message)s"


class LineFormatter(logging.Formatter):
    """A record begins a line and nothing else does: further lines of a message or a traceback are indented.

    What acts on a terminal is written out, passwords in URLs are hidden. Times are local, with their zone.
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return f"{super().formatTime(record, datefmt)} {time.strftime('%Z', self.converter(record.created))}"

    def format(self, record: logging.LogRecord) -> str:
        record.speaker = f", {who}" if (who := current_speaker.get()) else ""
        return without_passwords(visible(super().format(record))).replace("\n", "\n    ")


def log_to_stderr(format: str = FORMAT) -> logging.Handler:  # noqa: A002 - as logging calls it
    """A handler that writes such lines to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(format))
    return handler


def configure_logging() -> None:
    """To standard error, one line a record, with time, process and name."""
    logging.basicConfig(level=os.environ.get("QUINCE_LOG", "INFO").upper(), handlers=[log_to_stderr()])
    for chatty in ("aio_pika", "aiormq", "alembic"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
