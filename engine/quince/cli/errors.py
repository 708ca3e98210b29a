"""How a command ends when something goes wrong: one line on stderr, and a status."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from quince.cli.output import complain, trace
from quince.cli.session import session

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

_USAGE_ERROR: type[BaseException] = typer.BadParameter.__mro__[1]
"""typer's own, or click's under an older typer: the parent of every wrong usage."""

_WRONG_WORDS = frozenset({"quince.errors.InvalidFilter"})
_ROOTS = frozenset(
    {
        "quince.errors.EngineError",
        "quince_persistence.errors.PersistenceError",
        "quince_messaging.errors.MessagingError",
    }
)
"""By name: an error can only have come from a module that is loaded, so none is loaded to ask."""


class WrongUsage(typer.BadParameter):
    """The words on the command line make no sense together; the message says how to write them."""


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn whatever leaves the block into a line on stderr and `SystemExit`."""
    try:
        yield
    except SystemExit as end:
        _exit(end.code if isinstance(end.code, int) else FAILED if end.code else DONE)
    except (KeyboardInterrupt, typer.Abort):
        _exit(INTERRUPTED)
    except BrokenPipeError:
        _abandon_stdout()
        _exit(FAILED)
    except Exception as error:
        if session.debug:
            trace(error)
        status, line = _status_and_line(error)
        complain(line)
        _exit(status)


def _status_and_line(error: Exception) -> tuple[int, str]:
    if isinstance(error, _USAGE_ERROR):
        return USAGE, _usage(error)
    if _is(error, _WRONG_WORDS):
        return USAGE, str(error)
    if _is(error, _ROOTS):
        return FAILED, str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        return FAILED, f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return FAILED, f"unexpected {type(error).__name__}: {error}; --debug shows where it comes from"


def _is(error: Exception, names: Container[str]) -> bool:
    return any(f"{kind.__module__}.{kind.__qualname__}" in names for kind in type(error).__mro__)


def _usage(error: BaseException) -> str:
    context = getattr(error, "ctx", None)
    said = error.message if isinstance(error, WrongUsage) else error
    text = str(said.format_message() if hasattr(said, "format_message") else said)
    return f"{text.rstrip('.')} (see: {context.command_path if context else 'quince'} --help)"


def _exit(status: int) -> NoReturn:
    """End now, even if a blocking step was left behind in its thread (it was killed, for example)."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon_stdout()
    if any(thread.name.startswith("quince-step") for thread in threading.enumerate()):
        sys.stderr.flush()
        os._exit(status)
    raise SystemExit(status) from None


def _abandon_stdout() -> None:
    """The reader has gone: let the interpreter's last flush go nowhere instead of complaining."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
