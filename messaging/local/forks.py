"""Letting go of a parent's locks and sockets in a child made by `fork()`.

A forked child inherits every open descriptor, and with them the lock that says "alive" and the
connections whose end says "dead": while the child lives, nobody would notice the parent's death. So
in the child each of them is replaced by /dev/null; the numbers stay taken, and objects that still
hold them harm nobody.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable

_held: weakref.WeakKeyDictionary[object, Callable[[], Iterable[int]]] = weakref.WeakKeyDictionary()


def let_go_in_children(owner: object, descriptors: Callable[[], Iterable[int]]) -> None:
    """From now on, as long as `owner` lives: children let go of what `descriptors` returns."""
    _held[owner] = descriptors


def keep_nothing(owner: object) -> None:
    """`owner` holds nothing any more."""
    _held.pop(owner, None)


def _let_go() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptors in list(_held.values()):
        for descriptor in descriptors():
            os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
