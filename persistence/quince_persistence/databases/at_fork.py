"""What becomes of open stores in a child made by `os.fork()`.

A child has a copy of everything but the threads. Over its parent's connections to PostgreSQL it would read
answers that are meant for the parent, and end the parent's sessions when it ends. SQLite keeps the locks of
a whole process in one list, by file: a connection that the child opens beside a copy of its parent's would
believe that it has locks that only the parent has. So in the child each store abandons its copies, and opens
connections of its own at its first use.

A fork waits until no thread is inside SQLite (whose mutexes would stay locked in the child for ever, and
whose transactions the child could not end), and none begins meanwhile.

`quince_messaging` has the same `ForkGuard`: the two packages may not import each other, and each guards
SQLite files of its own. A test keeps the two the same.

Source: https://www.sqlite.org/howtocorrupt.html ("Carrying an open database connection across a fork()")
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Protocol

from quince_persistence.databases.structured_log import StructuredLogger

_log = StructuredLogger("quince.store")

PATIENCE = 35.0
"""Seconds that a fork waits for threads that use SQLite: longer than a writer waits for a lock."""


class Renewable(Protocol):
    """What makes itself usable again in a child."""

    def renew(self, *, quiet: bool) -> None:
        """Called in the child before anything else runs there.

        Args:
            quiet: No thread was inside SQLite when the process was forked.
        """


class ForkGuard:
    """Held (`with`) by threads that use SQLite; a fork waits until no thread holds it.

    Attributes:
        quiet: Whether no thread held it when the last fork was made, and not only the patience was over.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._holders = 0
        self._forks = 0
        self.quiet = True

    def __enter__(self) -> None:
        with self._changed:
            while self._forks:
                self._changed.wait(1.0)
            self._holders += 1

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._holders -= 1
            if self._forks and not self._holders:
                self._changed.notify_all()

    def before_fork(self) -> None:
        """Wait until nobody holds it, or the patience is over; from now on it cannot be taken."""
        until = time.monotonic() + PATIENCE
        with self._changed:
            self._forks += 1
            while self._holders and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            self.quiet = not self._holders

    def after_fork(self) -> None:
        """In the parent: it can be taken again."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()


fork_guard = ForkGuard()
_renewed: weakref.WeakSet[Renewable] = weakref.WeakSet()


def renew_in_children(renewable: Renewable) -> None:
    """Have it renewed in every child that is forked while it lives."""
    _renewed.add(renewable)


def _renew() -> None:
    quiet = fork_guard.quiet
    fork_guard.__init__()  # type: ignore[misc]  # its lock may be held by a thread that the child does not have
    for one in list(_renewed):
        try:
            one.renew(quiet=quiet)
        except Exception:
            _log.exception("a store could not be renewed in a forked child", ospid=os.getpid())


os.register_at_fork(
    before=fork_guard.before_fork,
    after_in_parent=fork_guard.after_fork,
    after_in_child=_renew,
)
