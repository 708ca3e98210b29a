"""What becomes of open stores in a child made by `os.fork()`.

A child has a copy of everything but the threads. Over its parent's connections to PostgreSQL it would read
answers that are meant for the parent, and end the parent's sessions when it ends. SQLite keeps the locks of
a whole process in one list, by file: a connection that the child opens beside a copy of its parent's would
think that it had locks that only the parent has. So in the child each store lets go of what it has copied,
and begins anew at its first use.

A fork waits until no thread is inside SQLite (whose mutexes would stay locked in the child for ever, and
whose transactions the child could not end), and lets none begin meanwhile.

Source: https://www.sqlite.org/howtocorrupt.html ("Carrying an open database connection across a fork()")
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import Protocol

_log = logging.getLogger("quince.store")

PATIENCE = 35.0
"""Seconds that a fork waits for those at work: longer than a writer waits for a lock."""


class Renewed(Protocol):
    """What is begun anew in a child."""

    def renew(self, *, calm: bool) -> None:
        """In the child, before anything else runs there.

        Args:
            calm: No thread was at work when the process was forked.
        """


class Calm:
    """Held (`with`) by threads at work; a fork waits until nobody is."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._at_work = 0
        self._forks = 0
        self.complete = True

    def __enter__(self) -> None:
        with self._changed:
            while self._forks:
                self._changed.wait(1.0)
            self._at_work += 1

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._at_work -= 1
            if self._forks and not self._at_work:
                self._changed.notify_all()

    def begin(self) -> None:
        """Nobody begins any more, and nobody is at work, unless that takes too long."""
        until = time.monotonic() + PATIENCE
        with self._changed:
            self._forks += 1
            while self._at_work and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            self.complete = not self._at_work

    def end(self) -> None:
        """Go on."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()


calm = Calm()
_renewed: weakref.WeakSet[Renewed] = weakref.WeakSet()


def renew_in_children(one: Renewed) -> None:
    """From now on, as long as it lives, it is renewed in each child."""
    _renewed.add(one)


def _renew() -> None:
    complete = calm.complete
    calm.__init__()  # type: ignore[misc]  # its lock may be held by a thread that the child does not have
    for one in list(_renewed):
        try:
            one.renew(calm=complete)
        except Exception:
            _log.exception("a store could not be renewed in a forked child", extra={"ospid": os.getpid()})


os.register_at_fork(before=lambda: calm.begin(), after_in_parent=lambda: calm.end(), after_in_child=_renew)
