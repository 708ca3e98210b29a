"""From a value to bytes. What is plain for msgpack goes straight through."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable
from typing import Any

import msgspec

from persistence.codec import arrays, registry
from persistence.codec.kinds import WRITERS, Code
from persistence.errors import Unsaveable

SCALARS = frozenset({str, int, float, bool, type(None), bytes})
_PLAIN = SCALARS | {dict, list}
_TEXT = frozenset({str})
_SAVEABLE = (
    "save plain values (numbers, texts, lists, dicts, arrays of numpy, dates, paths, ...), "
    "or teach the codec the type with persistence.codec.register_type"
)

_DEEPEST_PLAIN = 200
_NAMED_LEVELS = 4

_flat = itertools.chain.from_iterable
_pack = msgspec.msgpack.Encoder().encode


def encode(value: Any, where: str = "") -> bytes:
    """The value as bytes, from which `decode` makes the same value of the same types.

    Args:
        value: See `persistence.codec` for what can be saved.
        where: What the value is, for the message of an error: `inputs`, `ctx`.

    Raises:
        Unsaveable: something in it cannot be saved; names where it is, its type and the way out.
    """
    try:
        if _is_plain(value):
            try:
                return _pack(value)
            except OverflowError:  # an integer beyond 64 bits is in it
                pass
        return _pack(_wrap(value, (where,)))
    except RecursionError:
        path, culprit = _culprit(value, (where,))
        raise Unsaveable(
            _spell(path),
            type(culprit).__qualname__,
            "it contains itself, or is nested too deeply; flatten it",
        ) from None
    except UnicodeEncodeError as error:
        path, culprit = _culprit(value, (where,))
        raise Unsaveable(
            _spell(path),
            type(culprit).__qualname__,
            f"a text in it is not valid Unicode ({error.reason}); save it as bytes",
        ) from error


def _culprit(value: Any, path: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """The innermost value, a few levels down, that cannot be packed, and the path to it."""
    seen = {id(value)}
    for _ in range(_NAMED_LEVELS):
        parts: list[tuple[Any, Any]]
        if type(value) is dict:
            parts = [(_Key(key), item) for key, item in value.items()]
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
        _pack(_wrap(value, ("",)))
    except (RecursionError, UnicodeEncodeError):
        return False
    return True


def _is_plain(value: Any) -> bool:
    """Whether msgpack keeps the value and all its types.

    Level by level, so that the loops over the values run in C: this is most of the cost of encoding.
    What contains itself has no last level, and is not plain.
    """
    items: Iterable[Any] = [value]
    for _ in range(_DEEPEST_PLAIN):
        kinds = set(map(type, items))
        if kinds <= SCALARS:
            return True
        if not kinds <= _PLAIN:
            return False
        # By identity: what contains itself twice would double with each level.
        dicts = {id(item): item for item in items if type(item) is dict}.values() if dict in kinds else ()
        if dicts and not _TEXT.issuperset(map(type, _flat(dicts))):
            return False
        below = list(_flat(map(dict.values, dicts)))
        if list in kinds:
            below.extend(_flat({id(item): item for item in items if type(item) is list}.values()))
        items = below
    return False


def _wrap(value: Any, path: tuple[Any, ...]) -> Any:
    """The value with everything that msgpack does not have as an extension. `path` leads to it."""
    kind = type(value)
    if kind is int:
        if -(1 << 63) <= value < 1 << 64:
            return value
        return _extension(Code.BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    if kind in SCALARS:
        return value
    if kind is dict:
        return _wrap_dict(value, path)
    if kind is list:
        return [_wrap(item, (*path, n)) for n, item in enumerate(value)]
    if kind is tuple:
        return _extension(Code.TUPLE, [_wrap(item, (*path, n)) for n, item in enumerate(value)])
    if kind is set or kind is frozenset:
        code = Code.SET if kind is set else Code.FROZENSET
        return _extension(code, [_wrap(item, (*path, "{}")) for item in value])
    return _wrap_other(value, path)


def _wrap_dict(value: dict[Any, Any], path: tuple[Any, ...]) -> Any:
    if _TEXT.issuperset(map(type, value)):
        return {key: _wrap(item, (*path, _Key(key))) for key, item in value.items()}
    flat: list[Any] = []
    for key, item in value.items():
        flat.append(_wrap(key, (*path, "key")))
        flat.append(_wrap(item, (*path, _Key(key))))
    return _extension(Code.MAP, flat)


def _wrap_other(value: Any, path: tuple[Any, ...]) -> Any:
    kind = type(value)
    registered = registry.of_class(kind)
    if registered is not None:
        plain = _wrap(registered.to_plain(value), path)
        return _extension(Code.REGISTERED, [registered.tag, plain])
    try:
        writer = WRITERS.get(kind)
        if writer is not None:
            code, to_plain = writer
            return _extension(code, to_plain(value))
        array = arrays.write(value)
    except ValueError as error:
        raise Unsaveable(_spell(path), _type_name(kind), str(error)) from error
    if array is not None:
        code, plain = array
        return _extension(code, _wrap(plain, path))
    raise Unsaveable(_spell(path), _type_name(kind), _advice(value))


def _extension(code: Code, plain: Any) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(int(code), _pack(plain))


class _Key:
    """A key of a dict, in a path."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key


def _spell(path: tuple[Any, ...]) -> str:
    """`ctx.model.weights[3]`."""
    text = str(path[0])
    for part in path[1:]:
        if isinstance(part, _Key):
            key = part.key
            plain = isinstance(key, str) and key.isidentifier()
            text += (f".{key}" if text else key) if plain else f"[{key!r}]"
        elif isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f"<{part}>"
    return text


def _type_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _advice(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return "save its name or value, or teach the codec the class with persistence.codec.register_type"
    if callable(value):
        return "code is never saved; save a name that you can look up again"
    for base in (dict, list, tuple, set, str, int, float, bytes):
        if isinstance(value, base):
            return f"convert it to {base.__name__}, or teach the codec with persistence.codec.register_type"
    return _SAVEABLE
