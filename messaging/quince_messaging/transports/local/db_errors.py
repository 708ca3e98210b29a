"""What an error of the task file means, and what its callers are told."""

from __future__ import annotations

import sqlite3

from quince_messaging.errors import DeliveryFailed
from quince_messaging.transports.local.file_lock import LockTimeout


def is_busy(error: BaseException) -> bool:
    """Whether another process was writing just then: the same can be tried again."""
    if not isinstance(error, sqlite3.OperationalError):
        return False
    return (error.sqlite_errorcode & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def explained(error: Exception) -> Exception:
    """The error to raise for one of the task file: one sentence, with the way out."""
    text: str
    match error:
        case LockTimeout():
            text = "another process has locked the task file and does not go on; continue it or kill it"
        case FileNotFoundError():
            text = "the folder of this communicator was removed; connect again to make a new one"
        case sqlite3.OperationalError() if "full" in str(error):
            text = "the disk that holds the task file is full; make room and send again"
        case sqlite3.Error() | OSError():
            text = f"the task file cannot be written ({error}); see to its disk and permissions"
        case _:
            return error
    failed = DeliveryFailed(text)
    failed.__cause__ = error
    return failed
