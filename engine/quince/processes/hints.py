"""Whether a value is what a type hint says, as far as a value can tell.

Hints say much that no value shows (`TypeVar`, `Self`, names that exist for type checkers alone): that is
left alone. Nothing here raises, whatever the hint.
"""

from __future__ import annotations

import collections.abc
import reprlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ForwardRef, Protocol, get_args, get_origin


class TypeLike(Protocol):
    """What can stand in `... | None`: classes, and what `typing` makes."""

    def __or__(self, other: Any, /) -> Any: ...


Hint = TypeLike | type[Any] | Callable[..., Any] | tuple[Any, ...]
"""What `valid_type` takes, as far as type checkers tell: a class, several in a tuple, or an annotation."""

_UNIONS = (typing.Union, types.UnionType)
_WRAPPERS = tuple(
    getattr(typing, name)
    for name in ("Annotated", "Required", "NotRequired", "ReadOnly", "Final", "ClassVar")
    if hasattr(typing, name)
)
_WIDER: Mapping[Any, tuple[type, ...]] = {float: (int, float), complex: (int, float, complex)}
"""Where Python's hints take more than `isinstance` does."""
_LETTERS: Mapping[Any, str] = {bool: "b", int: "iub", float: "fiu", complex: "cfiu"}
"""Of the kinds of numpy's numbers, that are as good as those of Python."""
_ITERABLE = (list, tuple, set, frozenset, collections.deque)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A part of a value that is not what the hint says.

    Attributes:
        where: The way to the part, as `[2]['a']`; empty for the value itself.
        found: What it is, in words.
        wanted: What it must be, in words.
    """

    where: str
    found: str
    wanted: str

    def __str__(self) -> str:
        place = f"at {self.where} it" if self.where else "it"
        return f"{place} {self.found}, and must be {self.wanted}"


def mismatch(value: Any, hint: Any) -> Mismatch | None:
    """The first part of a value that is not what the hint says; None if there is none.

    Args:
        hint: A class, a tuple of them, or whatever can be written as an annotation.
    """
    try:
        return _mismatch(value, hint, "")
    except Exception:  # a class whose isinstance() fails, a hint of a kind that is not known here
        return None


def is_hint(thing: Any) -> bool:
    """It could stand as an annotation and mean a type (a text could, too, where it is evaluated)."""
    if isinstance(thing, tuple):
        return bool(thing) and all(is_hint(one) for one in thing)
    if thing is None or isinstance(thing, (type, ForwardRef)) or get_origin(thing) is not None:
        return True
    return type(thing).__module__ in ("typing", "typing_extensions") or isinstance(thing, types.UnionType)


def admits_mapping(hint: Any) -> bool:
    """Some value that the hint allows is a mapping, as far as it says."""
    hint = bare(hint)
    if isinstance(hint, tuple):
        return any(admits_mapping(one) for one in hint)
    if get_origin(hint) in _UNIONS:
        return any(admits_mapping(one) for one in get_args(hint))
    kind = get_origin(hint) or hint
    if not isinstance(kind, type):
        return hint is not None and kind is not typing.Literal
    if kind is object or getattr(kind, "_is_protocol", False) or _is_typed_dict(kind):
        return True
    return issubclass(kind, collections.abc.Mapping) or issubclass(dict, kind)


def choices_of(hint: Any) -> tuple[Any, ...] | None:
    """What a union, or a tuple of classes, allows; None if the hint is neither."""
    if isinstance(hint, tuple):
        return hint
    return get_args(hint) if get_origin(hint) in _UNIONS else None


def bare(hint: Any) -> Any:
    """The hint without what surrounds it: `Annotated`, `NewType`, aliases, the bound of a variable."""
    while True:
        if get_origin(hint) in _WRAPPERS:
            hint = get_args(hint)[0]
        elif hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        elif type(get_origin(hint)).__name__ == "TypeAliasType":
            hint = _filled_in(get_origin(hint), get_args(hint))
        elif isinstance(hint, typing.TypeVar):
            hint = hint.__constraints__ or (Any if hint.__bound__ is None else hint.__bound__)
        else:
            return object if hint is Any else hint


def _filled_in(alias: Any, arguments: tuple[Any, ...]) -> Any:
    """What `alias[arguments]` stands for; what the alias stands for, if it is not known how to fill it in."""
    value = alias.__value__
    given = dict(zip(alias.__type_params__, arguments, strict=False))
    try:
        return value[tuple(given[one] for one in value.__parameters__)]
    except (AttributeError, KeyError, TypeError):
        return given.get(value, value) if isinstance(value, typing.TypeVar) else value


def _mismatch(value: Any, hint: Any, where: str) -> Mismatch | None:
    hint = bare(hint)
    origin = get_origin(hint)
    if isinstance(hint, tuple):
        return _of_several(value, hint, hint, where)
    if origin in _UNIONS:
        return _of_several(value, hint, get_args(hint), where)
    if origin is typing.Literal:
        if any(type(one) is type(value) and one == value for one in get_args(hint)):
            return None
        return Mismatch(where, f"is {reprlib.repr(value)}", shown(hint))
    if origin is not None:
        return _of_generic(value, hint, origin, where)
    if hint is None:
        hint = type(None)
    if not isinstance(hint, type) or _fits(value, hint):
        return None if not _is_typed_dict(hint) else _of_typed_dict(value, hint, where)
    return _wrong(value, hint, where)


def _fits(value: Any, kind: type) -> bool:
    if _is_typed_dict(kind):
        return True  # its keys are looked at
    if getattr(kind, "_is_protocol", False):
        return all(getattr(value, name, None) is not None for name in _members(kind))
    letter = _letter(value)
    if letter and kind in _LETTERS:
        return letter in _LETTERS[kind]
    return isinstance(value, _WIDER.get(kind, kind)) and not (kind in _WIDER and isinstance(value, bool))


def _letter(value: Any) -> str:
    """Of the kind of a number of numpy's, alone or as an array without dimensions; else empty."""
    kind = getattr(value, "dtype", None)
    return getattr(kind, "kind", "") if kind is not None and getattr(value, "shape", None) == () else ""


def _is_typed_dict(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, dict) and hasattr(kind, "__required_keys__")


def _members(protocol: Any) -> Iterable[str]:
    find = getattr(typing, "get_protocol_members", None) or getattr(typing, "_get_protocol_attrs", None)
    return find(protocol) if find is not None else ()


def _of_several(value: Any, hint: Any, choices: Iterable[Any], where: str) -> Mismatch | None:
    found = []
    for choice in choices:
        one = _mismatch(value, choice, where)
        if one is None:
            return None
        found.append(one)
    inner = [one for one in found if one.where != where]
    return inner[0] if len(inner) == 1 else _wrong(value, hint, where)


def _of_typed_dict(value: Any, hint: Any, where: str) -> Mismatch | None:
    if not isinstance(value, Mapping):
        return _wrong(value, hint, where)
    for name, inner in typing.get_type_hints(hint, include_extras=True).items():
        if name in value:
            found = _mismatch(value[name], inner, f"{where}[{name!r}]")
        elif name in hint.__required_keys__ and get_origin(inner) is not typing.NotRequired:
            found = Mismatch(where, f"has no {name!r}", shown(hint))
        else:
            continue
        if found:
            return found
    return None


def _of_generic(value: Any, hint: Any, origin: Any, where: str) -> Mismatch | None:
    arguments = get_args(hint)
    if origin is type:
        wanted = bare(arguments[0])
        fits = isinstance(value, type) and (not isinstance(wanted, type) or issubclass(value, wanted))
        return None if fits else _wrong(value, hint, where)
    if not isinstance(origin, type):
        return None
    if not _fits(value, origin):
        return _wrong(value, hint, where)
    if _is_typed_dict(origin):
        return _of_typed_dict(value, origin, where)
    if origin.__name__ == "ndarray":
        kind = bare(next(iter(get_args(arguments[-1])), Any))
        fits = not isinstance(kind, type) or issubclass(value.dtype.type, kind) or kind is object
        return None if fits else _wrong(value, hint, where)
    if isinstance(value, Mapping) and len(arguments) == 2:
        return _of_items(((key, key) for key in value), arguments[0], where) or _of_items(
            ((key, value[key]) for key in value), arguments[1], where
        )
    if origin is tuple:
        return _of_tuple(value, hint, arguments, where)
    if isinstance(value, _ITERABLE) and len(arguments) == 1:
        return _of_items(enumerate(value), arguments[0], where)
    return None


def _of_tuple(value: Any, hint: Any, arguments: tuple[Any, ...], where: str) -> Mismatch | None:
    if len(arguments) == 2 and arguments[1] is ...:
        return _of_items(enumerate(value), arguments[0], where)
    if any(get_origin(one) is typing.Unpack or isinstance(one, typing.TypeVarTuple) for one in arguments):
        return None
    if len(value) != len(arguments) and hint is not tuple:
        return Mismatch(where, f"is a tuple of {len(value)}", shown(hint))
    for index, (one, inner) in enumerate(zip(value, arguments, strict=True)):
        if found := _mismatch(one, inner, f"{where}[{index}]"):
            return found
    return None


def _of_items(items: Iterable[tuple[Any, Any]], hint: Any, where: str) -> Mismatch | None:
    """All of a container; where the class of an item says all, each class is looked at once."""
    hint = bare(hint)
    plain = isinstance(hint, type) and not _is_typed_dict(hint) and not getattr(hint, "_is_protocol", 0)
    known: set[type] = set()
    for place, item in items:
        if type(item) in known:
            continue
        if found := _mismatch(item, hint, f"{where}[{place!r}]"):
            return found
        if plain:
            known.add(type(item))
    return None


def _wrong(value: Any, hint: Any, where: str) -> Mismatch:
    return Mismatch(where, f"is {named(value)}", shown(hint))


def named(value: Any) -> str:
    """What a value is, in a word or two."""
    if value is None:
        return "None"
    kind = type(value)
    name = kind.__qualname__.rpartition("<locals>.")[2]
    return f"{name} of {value.dtype}" if kind.__name__ == "ndarray" else name


def shown(hint: Any) -> str:
    """A hint as people write it."""
    if isinstance(hint, tuple):
        return " or ".join(shown(one) for one in hint)
    if isinstance(hint, list):
        return f"[{', '.join(shown(one) for one in hint)}]"
    if hint is None or hint is type(None):
        return "None"
    if hint is ...:
        return "..."
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in _WRAPPERS:
        return shown(arguments[0])
    if origin in _UNIONS:
        return " | ".join(shown(one) for one in arguments)
    if origin is typing.Literal:
        return f"Literal[{', '.join(repr(one) for one in arguments)}]"
    if getattr(origin, "__name__", "") == "ndarray":
        return f"NDArray[{', '.join(shown(one) for one in get_args(arguments[-1]))}]"
    if arguments:
        return f"{shown(origin)}[{', '.join(shown(one) for one in arguments)}]"
    if origin is not None:
        return "tuple[()]" if origin is tuple and repr(hint) != "typing.Tuple" else shown(origin)
    name = getattr(hint, "__qualname__", None) or getattr(hint, "__name__", None)
    return name.rpartition("<locals>.")[2] if name else repr(hint).replace("typing.", "")
