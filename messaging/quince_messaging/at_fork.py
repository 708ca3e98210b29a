"""Releasing a parent's locks, sockets and files in a child made by `fork()`.

A forked child inherits every open descriptor, and with them the lock that says "alive" and the
connections whose end says "dead": while the child lives, nobody would notice the parent's death. So
in the child each of them is replaced by /dev/null; the numbers stay taken, and objects that still
have them harm nobody.

A connection to a SQLite file is closed in the child: beside it, one of the child's own would believe that
it has locks that only the parent has. For that a fork waits until no thread is inside SQLite.

`quince_persistence` has the same `ForkGuard`: the two packages may not import each other, and each guards
SQLite files of its own. A test keeps the two the same.

Source: https://www.sqlite.org/howtocorrupt.html ("Carrying an open database connection across a fork()")
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable

from quince_messaging.structured_log import StructuredLogger

_log = StructuredLogger(__name__)

PATIENCE = 15.0
"""Seconds that a fork waits for threads that use SQLite."""


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
_descriptors: weakref.WeakKeyDictionary[object, Callable[[], Iterable[int]]] = weakref.WeakKeyDictionary()
_closers: weakref.WeakKeyDictionary[object, Callable[[], object]] = weakref.WeakKeyDictionary()
_never_collected: list[object] = []


def release_in_children(
    owner: object, descriptors: Callable[[], Iterable[int]], close: Callable[[], object] | None = None
) -> None:
    """Have a resource released in every child that is forked while its owner lives.

    Args:
        descriptors: Returns the open descriptors, which are replaced by /dev/null in the child.
        close: Closes a connection to a SQLite file, in the child.
    """
    _descriptors[owner] = descriptors
    if close is not None:
        _closers[owner] = close


def nothing_to_release(owner: object) -> None:
    """The owner has closed everything: there is nothing to release in children."""
    _descriptors.pop(owner, None)
    _closers.pop(owner, None)


def _release() -> None:
    quiet = fork_guard.quiet
    fork_guard.__init__()  # type: ignore[misc]  # its lock may be held by a thread that the child does not have
    _never_collected.extend(_descriptors)  # a finalizer would say goodbye in the parent's name
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptors in list(_descriptors.values()):
        for descriptor in descriptors():
            os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    for close in list(_closers.values()) if quiet else ():
        try:
            close()
        except Exception:
            _log.exception("a task file could not be closed in a forked child", ospid=os.getpid())
    _descriptors.clear()
    _closers.clear()


os.register_at_fork(
    before=fork_guard.before_fork,
    after_in_parent=fork_guard.after_fork,
    after_in_child=_release,
)
