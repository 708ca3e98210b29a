"""Plain lines on a terminal. Nothing else in the command line writes to stdout or stderr, but `terminal`."""

from __future__ import annotations

import sys
import threading
import traceback

from quince.text import in_line, without_passwords


def put(line: str = "") -> None:
    """One line of a result, on stdout; what comes from others in it begins no second one."""
    print(in_line(line), flush=True)


def say(sentence: str) -> None:
    """A word for people, beside the result, on stderr."""
    print(in_line(without_passwords(sentence)), file=sys.stderr, flush=True)


def complain(sentence: str) -> None:
    """One `error: ...` line on stderr."""
    say(f"error: {' '.join(sentence.split())}")


def trace(error: BaseException) -> None:
    """The traceback of an error, on stderr."""
    for part in traceback.format_exception(error):
        for line in part.rstrip("\n").split("\n"):
            say(line)


def trace_threads() -> None:
    """Have the tracebacks of threads that fail shown in the same way."""

    def failed(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
            say(f"error in thread {arguments.thread.name if arguments.thread else '?'}:")
            trace(arguments.exc_value)

    threading.excepthook = failed
