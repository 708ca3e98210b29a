"""Letting go of a parent's locks, sockets and files in a child made by `fork()`.

A forked child inherits every open descriptor, and with them the lock that says "alive" and the
connections whose end says "dead": while the child lives, nobody would notice the parent's death. So
in the child each of them is replaced by /dev/null; the numbers stay taken, and objects that still
hold them harm nobody.

A connection to a SQLite file is closed in the child: beside it, one of the child's own would think that it
had locks that only the parent has. For that a fork waits until no thread is inside SQLite.

Source: https://www.sqlite.org/howtocorrupt.html ("Carrying an open database connection across a fork()")
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable

_log = logging.getLogger(__name__)

PATIENCE = 15.0
"""Seconds that a fork waits for those at work."""


class Calm:
    """Held (`with`) by threads inside SQLite; a fork waits until nobody is."""

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
_held: weakref.WeakKeyDictionary[object, Callable[[], Iterable[int]]] = weakref.WeakKeyDictionary()
_closed: weakref.WeakKeyDictionary[object, Callable[[], object]] = weakref.WeakKeyDictionary()
_kept: list[object] = []


def let_go_in_children(
    owner: object, descriptors: Callable[[], Iterable[int]], close: Callable[[], object] | None = None
) -> None:
    """From now on, as long as `owner` lives: children let go of what `descriptors` returns.

    Args:
        close: Closes a connection to a SQLite file, in the child.
    """
    _held[owner] = descriptors
    if close is not None:
        _closed[owner] = close


def keep_nothing(owner: object) -> None:
    """`owner` holds nothing any more."""
    _held.pop(owner, None)
    _closed.pop(owner, None)


def _let_go() -> None:
    complete = calm.complete
    calm.__init__()  # type: ignore[misc]  # its lock may be held by a thread that the child does not have
    _kept.extend(_held)  # what would be collected as garbage would say good-bye in the parent's name
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptors in list(_held.values()):
        for descriptor in descriptors():
            os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    for close in list(_closed.values()) if complete else ():
        try:
            close()
        except Exception:
            _log.exception("a task file could not be closed in a forked child", extra={"ospid": os.getpid()})
    _held.clear()
    _closed.clear()


os.register_at_fork(before=lambda: calm.begin(), after_in_parent=lambda: calm.end(), after_in_child=_let_go)
