"""How log records become lines: one formatter, for workers, daemons and commands."""

from __future__ import annotations

import logging
import time

from quince.text import visible, without_passwords
from quince.worker.step_output import speaker

FORMAT = "%(asctime)s %(levelname)-7s [%(process)d%(speaker)s] %(name)s: %(message)s"


class LineFormatter(logging.Formatter):
    """A record begins a line and nothing else does: further lines of a message or a traceback are indented.

    What acts on a terminal is written out, passwords in URLs are hidden. Times are local, with their zone.
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return f"{super().formatTime(record, datefmt)} {time.strftime('%Z', self.converter(record.created))}"

    def format(self, record: logging.LogRecord) -> str:
        record.speaker = f", {who}" if (who := speaker()) else ""
        return without_passwords(visible(super().format(record))).replace("\n", "\n    ")


def log_to_stderr(format: str = FORMAT) -> logging.Handler:  # noqa: A002 - as logging calls it
    """A handler that writes such lines to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(format))
    return handler
