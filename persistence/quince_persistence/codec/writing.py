"""From a value to bytes. What is plain for msgpack goes straight through."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from quince_persistence.codec import arrays, classes, frames, instances, registry, sizing, standard
from quince_persistence.codec.folding import LEAST, Marked, marked, places
from quince_persistence.codec.kinds import WRITERS, Code, Shape
from quince_persistence.codec.places import Key, advice, spelt, type_name
from quince_persistence.codec.unreadable import UnreadableValue, tell
from quince_persistence.errors import TooLarge, Unsaveable

SCALARS = frozenset({str, int, float, bool, type(None), bytes})
_AS_IS = SCALARS - {int}
_SMALLEST, _GREATEST = -(1 << 63), (1 << 64) - 1
_CONTAINERS = frozenset({dict, list})
_PLAIN = SCALARS | _CONTAINERS
_TEXT = frozenset({str})
_SIZED = frozenset({str, bytes})
_NUMBERS = SCALARS - _SIZED
_FIXED = _NUMBERS - {int}
_HOLDING = _SIZED | _CONTAINERS
_DEEPEST_PLAIN = 200
_NAMED_LEVELS = 4

_flat = itertools.chain.from_iterable
_pack = msgspec.msgpack.Encoder().encode


def encode(value: Any, where: str = "", *, views: list[Any] | None = None) -> bytes:
    """The value as bytes, from which `decode` makes the same value of the same types.

    Two names for one list (dict, set, array, ...) in it are two names for one in what `decode` makes.

    Args:
        value: See `quince_persistence.codec` for what can be saved.
        where: What the value is, for the message of an error: `inputs`, `ctx`.
        views: Arrays are put here that share memory with others, as they will not when they come back.

    Raises:
        Unsaveable: something in it cannot be saved; names where it is, its type and the way out.
        TooLarge: more bytes than can be saved as one; names the largest part.
    """
    return _bounded(_encode(value, (where,), views), value, where)


def encode_each(values: dict[str, Any], where: str = "") -> bytes:
    """A dict as bytes, each value by itself, so that each can be read alone.

    Two names for one list become two lists if they are in two of the values.
    """
    if _is_plain(values) and len(data := _encode(values, (where,))) < LEAST:
        return data
    each = {key: _encode(value, (where, Key(key))) for key, value in values.items()}
    whole = {key: msgspec.Raw(one) for key, one in each.items()}
    data = _named(lambda: _pack(whole), values, (where,))
    return _bounded(marked(data, _cuts(each, len(data))), values, where)


def _cuts(each: dict[str, bytes], size: int) -> Iterable[tuple[int, int]]:
    """Where large parts stand in a dict of so many bytes: a value is one itself if there are none in it."""
    at = size - sum(len(_pack(key)) + len(value) for key, value in each.items())
    for key, value in each.items():
        at += len(_pack(key))
        inside = value.cuts if isinstance(value, Marked) else [(0, len(value))]
        yield from ((at + begin, at + end) for begin, end in inside)
        at += len(value)


def _bounded(data: bytes, value: Any, where: str) -> bytes:
    """The data, unless it is too much.

    Raises:
        TooLarge: names the largest value in it, through dicts.
    """
    if len(data) <= sizing.LEAST or len(data) <= (limit := sizing.largest_together()):
        return data
    path: tuple[Any, ...] = (where,)
    size, inner = 0, value
    while isinstance(inner, dict) and inner:
        sizes = {key: sizing.bounds(one, sizing.MOST)[0] for key, one in inner.items()}
        key = max(sizes, key=lambda key: sizes[key])
        path, size, inner = (*path, Key(key)), sizes[key], inner[key]
    raise TooLarge(where, len(data), limit, (spelt(path), size) if len(path) > 1 else None)


def _encode(value: Any, path: tuple[Any, ...], views: list[Any] | None = None) -> bytes:
    try:
        if _is_plain(value):
            data = _pack(value)
            return data if len(data) < LEAST else marked(data, places(data, _long(value)))
    except (OverflowError, RecursionError, UnicodeEncodeError):
        pass  # an integer beyond 64 bits is in it, or what is named below
    large: list[Any] = []
    data = _named(lambda: _pack(_wrapped(value, path, views, large)), value, path)
    return marked(data, places(data, large)) if large else data


def _long(value: Any) -> list[str | bytes]:
    """The long texts and bytes in a plain value, in their order."""
    kind = type(value)
    if kind in _SIZED:
        return [value] if len(value) >= LEAST else []
    if kind is dict:
        value = value.values()
    elif kind is not list:
        return []
    if _NUMBERS.issuperset(map(type, value)):
        return []
    return [one for item in value if type(item) in _HOLDING for one in _long(item)]


def _named(pack: Callable[[], bytes], culprit: Any, path: tuple[Any, ...]) -> bytes:
    """What `pack` gives; its errors name the place in the culprit."""
    try:
        return pack()
    except RecursionError:
        path, culprit = _culprit(culprit, path)
        raise Unsaveable(
            spelt(path),
            type(culprit).__qualname__,
            "it contains itself, or is nested too deeply; flatten it",
        ) from None
    except UnicodeEncodeError as error:
        path, culprit = _culprit(culprit, path)
        raise Unsaveable(
            spelt(path),
            type(culprit).__qualname__,
            f"a text in it is not valid Unicode ({error.reason}); save it as bytes",
        ) from error


def _culprit(value: Any, path: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """The innermost value, a few levels down, that cannot be packed, and the path to it."""
    seen = {id(value)}
    for _ in range(_NAMED_LEVELS):
        parts: list[tuple[Any, Any]]
        if type(value) is dict:
            parts = [(Key(key), item) for key, item in value.items()]
        elif type(value) in (list, tuple):
            parts = list(enumerate(value))
        else:
            break
        found = next(((part, item) for part, item in parts if not _packs(item)), None)
        if found is None or id(found[1]) in seen:
            break
        path, value = (*path, found[0]), found[1]
        seen.add(id(value))
    return path, value


def _packs(value: Any) -> bool:
    try:
        _pack(_wrapped(value, ("",), None))
    except (RecursionError, UnicodeEncodeError):
        return False
    return True


def _is_plain(value: Any) -> bool:
    """Whether msgpack keeps the value, all its types, and which of its parts are one object.

    Level by level, so that the loops over the values run in C: this is most of the cost of encoding.
    """
    items = [value]
    met: set[int] = set()
    count = 0
    for _ in range(_DEEPEST_PLAIN):
        kinds = set(map(type, items))
        if kinds <= SCALARS:
            return True
        if not kinds <= _PLAIN:
            return False
        around = [item for item in items if type(item) in _CONTAINERS]
        met.update(map(id, around))
        count += len(around)
        if len(met) != count:  # two names for one, or one that contains itself
            return False
        dicts = [item for item in around if type(item) is dict]
        if not _TEXT.issuperset(map(type, _flat(dicts))):
            return False
        items = list(_flat(map(dict.values, dicts)))
        if len(dicts) != len(around):
            items.extend(_flat([item for item in around if type(item) is list]))
    return False


def _wrapped(
    value: Any, path: tuple[Any, ...], views: list[Any] | None, large: list[Any] | None = None
) -> Any:
    """The value with everything that msgpack does not have as an extension. `path` leads to it.

    Args:
        large: Long texts and bytes are put here, in their order.
    """
    writing = _Writing(frozenset(), [] if views is None else views)
    whole = writing.wrap(value, path)
    if writing.again:
        writing = _Writing(frozenset(writing.again), [])
        whole = writing.wrap(value, path)
    if large is not None:
        large += writing.large
    return whole


class _Writing:
    """One way through a value.

    Attributes:
        again: The ids of what was met a second time; only its first place is written.
        views: Arrays that share their memory with others.
        large: Long texts and bytes.
    """

    def __init__(self, shared: frozenset[int], views: list[Any]) -> None:
        self.again: set[int] = set()
        self.views = views
        self.large: list[str | bytes] = []
        self._shared = shared
        self._met: dict[int, Any] = {}  # the objects too: they must live, or their ids are given again
        self._numbers: dict[int, int] = {}
        self._unfinished: set[int] = set()

    def wrap(self, value: Any, path: tuple[Any, ...]) -> Any:
        """What msgpack takes in the value's place."""
        kind = type(value)
        if kind is int:
            if _SMALLEST <= value <= _GREATEST:
                return value
            return _extension(Code.BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
        if kind in SCALARS:
            if kind in _SIZED and len(value) >= LEAST:
                self.large.append(value)
            return value
        if kind in _CONTAINERS:
            return self._identified(value, kind, path)
        if kind is tuple:
            return _extension(Code.TUPLE, self._all(value, path))
        if kind is frozenset:
            return _extension(Code.FROZENSET, [self.wrap(item, (*path, "{}")) for item in value])
        writer = WRITERS.get(kind)
        try:
            if writer is not None and registry.of_class(kind) is None:
                code, to_plain = writer
                return _extension(code, to_plain(value))
            return self._identified(value, kind, path)
        except ValueError as error:
            if isinstance(error, UnicodeEncodeError):
                raise
            raise Unsaveable(spelt(path), type_name(kind), str(error)) from error

    def _identified(self, value: Any, kind: type, path: tuple[Any, ...]) -> Any:
        """What may stand in several places: written once, and referred to from the others."""
        one = id(value)
        if one not in self._shared:
            if one in self._met:
                self.again.add(one)
                return None
            self._met[one] = value
            return self._content(value, kind, path)
        number = self._numbers.get(one)
        if number is not None:
            if one in self._unfinished:
                raise ValueError("it contains itself; flatten it")
            return _extension(Code.REF, number)
        number = self._numbers[one] = len(self._numbers)
        shape = Shape.LIST if kind is list else Shape.DICT if kind is dict else Shape.OTHER
        if shape is Shape.OTHER and not _can_begin_empty(kind):
            self._unfinished.add(one)
        content = self._content(value, kind, path)
        self._unfinished.discard(one)
        return _extension(Code.SHARED, [number, shape, msgspec.msgpack.Ext(0, _pack(content))])

    def _content(self, value: Any, kind: type, path: tuple[Any, ...]) -> Any:
        if kind is dict:
            return self._dict(value, path)
        if kind is list:
            return self._all(value, path)
        if kind is set:
            return _extension(Code.SET, [self.wrap(item, (*path, "{}")) for item in value])
        if kind is bytearray:
            return _extension(Code.BYTEARRAY, self.wrap(bytes(value), path))
        registered = registry.of_class(kind)
        if registered is not None:
            plain = registered.to_plain(value)
            if not (type(plain) is list and _AS_IS.issuperset(_kinds(plain))):
                plain = msgspec.Raw(_pack(_wrapped(plain, path, None, self.large)))
            else:
                self.large += [one for one in plain if type(one) in _SIZED and len(one) >= LEAST]
            return _extension(Code.REGISTERED, [registered.tag, plain])
        if kind is UnreadableValue:
            return self._unreadable(value, path)
        known = standard.WRITERS.get(kind)
        if known is not None:
            return _extension(Code.STANDARD, [known.name_of(value), self.wrap(known.to_plain(value), path)])
        return self._foreign(value, kind, path)

    def _foreign(self, value: Any, kind: type, path: tuple[Any, ...]) -> Any:
        """What is of a library, or of a class of the user's."""
        array = arrays.write(value)
        if array is not None:
            if getattr(value, "base", None) is not None:
                self.views.append(value)
            code, plain = array
            return _extension(code, self.wrap(plain, path))
        if isinstance(value, enum.Enum):
            state = self.wrap(instances.enum_state(value), path)
            return _extension(Code.ENUM, [classes.name_of(kind), state])
        plan = instances.plan_of(kind)
        if plan is not None:
            names, values, declared = plan.take(value)
            inner = [self.wrap(item, (*path, Key(name))) for name, item in zip(names, values, strict=True)]
            content = msgspec.msgpack.Ext(0, _pack(inner))
            return _extension(Code.INSTANCE, [plan.family, classes.name_of(kind), names, declared, content])
        if frames.takes(value):
            return _extension(Code.FRAME, self.wrap(frames.write(value), path))
        raise Unsaveable(spelt(path), type_name(kind), advice(value))

    def _unreadable(self, value: UnreadableValue, path: tuple[Any, ...]) -> Any:
        """As it was read."""
        tell(value)
        code, plain = value._quince_code, value._quince_plain
        if code == Code.INSTANCE:
            *head, items = plain
            content = msgspec.msgpack.Ext(0, _pack(self._all(items, path)))
            return _extension(code, [*head, content])
        if code == Code.REGISTERED:
            return _extension(code, _wrapped(plain, path, None, self.large))
        return _extension(code, self.wrap(plain, path))

    def _dict(self, value: dict[Any, Any], path: tuple[Any, ...]) -> Any:
        if _TEXT.issuperset(map(type, value)):
            return {
                key: item
                if (kind := type(item)) in _FIXED
                or (kind in _SIZED and len(item) < LEAST)
                or (kind is int and _SMALLEST <= item <= _GREATEST)
                else self.wrap(item, (*path, Key(key)))
                for key, item in value.items()
            }
        flat: list[Any] = []
        for key, item in value.items():
            flat.append(self.wrap(key, (*path, "key")))
            flat.append(self.wrap(item, (*path, Key(key))))
        return _extension(Code.MAP, flat)

    def _all(self, values: Iterable[Any], path: tuple[Any, ...]) -> list[Any]:
        return [
            item
            if (kind := type(item)) in _FIXED
            or (kind in _SIZED and len(item) < LEAST)
            or (kind is int and _SMALLEST <= item <= _GREATEST)
            else self.wrap(item, (*path, n))
            for n, item in enumerate(values)
        ]


def _can_begin_empty(kind: type) -> bool:
    """Whether `decode` can make it before its content, which may therefore refer to it."""
    if registry.of_class(kind) is not None or kind in standard.WRITERS:
        return False
    if kind is UnreadableValue:
        return True
    plan = None if kind in (set, bytearray) else instances.plan_of(kind)
    return plan is not None and plan.family != "namedtuple"


def _extension(code: int, plain: Any) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(int(code), _pack(plain))


def _kinds(values: list[Any]) -> Iterable[type]:
    """The types of values; none for integers that msgpack takes."""
    return (type(one) for one in values if not (type(one) is int and _SMALLEST <= one <= _GREATEST))
