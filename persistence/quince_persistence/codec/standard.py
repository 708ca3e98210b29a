"""Containers, ranges and zones of the standard library, and kinds of dicts."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from quince_persistence.codec.kinds import zone_from_plain, zone_to_plain


class Standard(NamedTuple):
    """How a type is named, made plain, and made again from its name and that."""

    name_of: Callable[[Any], str]
    to_plain: Callable[[Any], Any]

    def can_name(self, value: Any) -> bool:
        """It is one that is made again."""
        try:
            self.name_of(value)
        except ValueError:
            return False
        return True


_FACTORIES: dict[Any, str] = {
    None: "None",
    **{kind: kind.__name__ for kind in (list, dict, set, tuple, str, int, float, bool, bytes)},
}
_BY_NAME = {name: factory for factory, name in _FACTORIES.items()}


def _defaultdict_name(value: Any) -> str:
    factory = value.default_factory
    if not (factory is None or (isinstance(factory, type) and factory in _FACTORIES)):
        raise ValueError(
            f"its default_factory ({factory!r}) is code, which is never saved; use list, dict, set, int, ... "
            "or convert it to dict"
        )
    return f"defaultdict:{_FACTORIES[factory]}"


WRITERS: dict[type, Standard] = {
    OrderedDict: Standard(lambda _: "OrderedDict", dict),
    Counter: Standard(lambda _: "Counter", dict),
    defaultdict: Standard(_defaultdict_name, dict),
    deque: Standard(lambda value: "deque" if value.maxlen is None else f"deque:{value.maxlen}", list),
    range: Standard(lambda _: "range", lambda value: [value.start, value.stop, value.step]),
    slice: Standard(lambda _: "slice", lambda value: [value.start, value.stop, value.step]),
    zoneinfo.ZoneInfo: Standard(lambda _: "tzinfo", zone_to_plain),
    dt.timezone: Standard(lambda _: "tzinfo", zone_to_plain),
}


_mappings: dict[str, type[dict[Any, Any]]] = {}


def register_mapping(cls: type[dict[Any, Any]], name: str) -> None:
    """Teach the codec a kind of dict. Other than with `register_type`,
    what is in it may have other names elsewhere."""
    WRITERS[cls] = Standard(lambda _: name, dict)
    _mappings[name] = cls


def register_plain(cls: type, plain: type[dict[Any, Any]] | type[list[Any]]) -> None:
    """Have a kind of dict or list come back as a plain one."""
    WRITERS[cls] = Standard(lambda _: plain.__name__, plain)


def read(name: str, plain: Any) -> Any:
    """The value again.

    Raises:
        ValueError: there is no such type here.
    """
    kind, _, detail = name.partition(":")
    match kind:
        case "OrderedDict":
            return OrderedDict(plain)
        case "Counter":
            return Counter(plain)
        case "defaultdict":
            return defaultdict(_BY_NAME[detail], plain)
        case "deque":
            return deque(plain, int(detail) if detail else None)
        case "range":
            return range(*plain)
        case "slice":
            return slice(*plain)
        case "tzinfo":
            return zone_from_plain(plain)
        case "dict" | "list":
            return plain
    if kind in _mappings:
        return _mappings[kind](plain)
    raise ValueError(f"this Quince does not know {kind!r}; a newer one wrote it")
