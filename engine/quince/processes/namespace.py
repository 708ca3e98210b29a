"""Values by name, as a process sees its inputs and the outputs of its children."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import plumpy

from quince.errors import MissingName
from quince.text import close_to
from quince_persistence.codec import decode, register_mapping


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError(
        "inputs and outputs are not set here: self.out(name, value) puts out; dict(...) makes a copy"
    )


class Namespace(dict[str, Any]):
    """A dict whose items are attributes as well, and cannot be set. Its values can be changed.

    A value under the name of a method (`items`, `get`) stands in its place: `dict(...)` gives a plain dict of
    it, as `copy()` does. Our own code asks the class for its methods (`dict.items(namespace)`).
    """

    __slots__ = ()

    if TYPE_CHECKING:  # whatever they are: a port may be called so
        clear: Any
        fromkeys: Any
        get: Any
        items: Any
        keys: Any
        pop: Any
        popitem: Any
        setdefault: Any
        update: Any
        values: Any

    def __missing__(self, name: str) -> NoReturn:
        there = ", ".join(map(str, self)) or "nothing"
        raise MissingName(f"there is no {name!r} here; there is {there}{close_to(name, map(str, self))}")

    def __getattribute__(self, name: str) -> Any:
        if name in self and not name.startswith("__"):
            return self[name]
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python itself looks for
            raise AttributeError(name)
        return self[name]

    __setitem__ = __delitem__ = __ior__ = update = pop = popitem = clear = setdefault = _refuse
    __setattr__ = __delattr__ = _refuse

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *map(str, self)]

    def copy(self) -> dict[str, Any]:
        return dict(self)

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(dict(self), memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def plain(value: Any) -> Any:
    """The value, with a dict for each namespace that is one, or in one."""
    if type(value) is Namespace:
        return {name: plain(inner) for name, inner in dict.items(value)}
    return value


def by_ports(values: Mapping[str, Any], ports: Any) -> Namespace:
    """The values as a namespace, and those of ports that are namespaces too."""
    return Namespace(
        (
            name,
            by_ports(value, ports[name]) if _is_namespace(ports, name) and isinstance(value, dict) else value,
        )
        for name, value in values.items()
    )


def _is_namespace(ports: Any, name: str) -> bool:
    return name in ports and isinstance(ports[name], plumpy.PortNamespace)


class Given:
    """The inputs of a process as they were submitted, for each of its steps anew.

    What a step does to a list that it was given is seen by that step alone, whoever runs the next one.
    """

    __slots__ = ("_blob", "_now", "_ports", "_stays")

    def __init__(self, blob: bytes, ports: Any) -> None:
        self._blob = blob
        self._ports = ports
        self._now: Namespace | None = None
        self._stays = False

    def values(self) -> Namespace:
        """The inputs of the step that runs now.

        Raises:
            Unreadable: these are no bytes of the codec.
        """
        if self._now is None:
            self._now = by_ports(decode(self._blob) if self._blob else {}, self._ports)
            self._stays = _never_changes(self._now)
            if self._stays:
                self._blob = b""
        return self._now

    def renew(self) -> None:
        """The next step begins."""
        if not self._stays:
            self._now = None


_FIXED = frozenset({str, int, float, bool, type(None), bytes, complex})


def _never_changes(value: Any) -> bool:
    kind = type(value)
    if kind is Namespace:
        return all(map(_never_changes, dict.values(value)))
    return kind in _FIXED or (kind in (tuple, frozenset) and all(map(_never_changes, value)))


register_mapping(Namespace, "quince.namespace")
