"""How deep a message may be nested, and how to find that out without looking at all of it.

The encoder does not say how deep it has been. Most messages are too short to be too deep, hold too few
lists, or are a few large things that can be looked at one by one. The others are encoded inside so many
lists that the interpreter's own limit stops the encoder where ours is; only what that stops, and what it
cannot be asked about, is read again level by level, which takes ten times as long as encoding.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from quince_messaging.errors import BodyTooDeep

MOST_NESTED = 500
"""Lists and dictionaries within each other in a body. Reading takes a frame of Python's stack for each,
and whoever reads has frames of his own: the limit is about half of what Python grants by default."""
LARGE = 16 * 1024
"""Bytes from which looking at each of them costs more than other ways."""
MANY = 100
"""Things in a body from which it is worth encoding it by `encode_if_shallow` at once."""
BOXES = (list, dict, tuple)

_PLAIN = frozenset([type(None), bool, int, float, str, bytes, *BOXES])
_FEW = 100
_FEW_LEVELS = 10
_HEADS = bytes([*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF])
"""The bytes that begin a list or a dictionary in msgpack; each level needs one."""

_COUNTS_LISTS = sys.version_info < (3, 12)
"""Whether the recursion limit counts the lists that C code is in; later versions count those apart."""
_SPARE = MOST_NESTED - 50
"""Levels left to a message inside the lists. Fewer than are allowed, for Python may let a few more pass."""
_HIGHEST_LIMIT = 3_000
_ENOUGH_STACK = 1024 * 1024
"""Bytes. Each list in a list takes about 100 of the thread's stack."""

_decode = msgspec.msgpack.Decoder().decode


def few_and_plain(body: Any) -> bool:
    """Whether a body is a few plain things, flatly nested (however large each is), and no UUID among them."""
    level = [body]
    for _ in range(_FEW_LEVELS):
        if not _PLAIN.issuperset(map(type, level)):
            return False
        boxes = [thing for thing in level if type(thing) in BOXES]
        if not boxes:
            return True
        if sum(map(len, boxes)) > _FEW:
            return False
        level = gc.get_referents(*boxes)
    return False


def few_heads(encoded: bytes, most: int) -> bool:
    """Whether it is not large, and has no more bytes that could begin a level than so many."""
    size = len(encoded)
    return size <= LARGE and size - len(encoded.translate(None, _HEADS)) <= most


def encode_if_shallow(encode: Callable[[Any], bytes], message: Any) -> bytes | None:
    """The message encoded, if it is certain that it is nested no deeper than `MOST_NESTED`.

    None says nothing: it is deeper or almost so, or the caller has many frames on the stack, or this
    interpreter cannot tell.
    """
    limit = sys.getrecursionlimit()
    if not _COUNTS_LISTS or limit > _HIGHEST_LIMIT or 0 < threading.stack_size() < _ENOUGH_STACK:
        return None
    count = max(limit - _SPARE, 1)
    lists = _take(count)
    lists.innermost[0] = message
    try:
        encoded = encode(lists.outermost)
    except RecursionError:
        return None
    finally:
        lists.innermost[0] = None
        _free.append(lists)
    return encoded[count:]


def check_depth(encoded: bytes, most: int) -> None:
    """Read what was encoded and raise BodyTooDeep if it is nested deeper than so many levels."""
    try:
        level = [_decode(encoded)]
    except RecursionError as error:
        raise too_deep() from error
    for _ in range(most):
        level = gc.get_referents(*level)  # atoms have none
        if not level:
            return
    if any(type(thing) in BOXES for thing in level):
        raise too_deep()


def too_deep() -> BodyTooDeep:
    """The error to raise."""
    return BodyTooDeep(
        f"lists and dictionaries are nested more than {MOST_NESTED} deep; send them flatter, for example "
        "as a list of nodes that name each other"
    )


class _Lists:
    """So many lists within each other, each the only thing in the one around it."""

    __slots__ = ("count", "innermost", "outermost")

    def __init__(self, count: int) -> None:
        self.count = count
        self.innermost: list[Any] = [None]
        self.outermost = self.innermost
        for _ in range(count - 1):
            self.outermost = [self.outermost]


_free: list[_Lists] = []
"""Those in nobody's hands: making them takes longer than encoding what they are made for."""


def _take(count: int) -> _Lists:
    while True:
        try:
            lists = _free.pop()
        except IndexError:
            return _Lists(count)
        if lists.count == count:  # the limit may have been changed
            return lists
