"""Values as their ports say: Python's numbers and texts for those of numpy, and floats for whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from quince.processes.hints import bare, choices_of, mismatch
from quince.processes.namespace import plain

_PLAIN = frozenset({bool, int, float, complex, str, bytes})


def fitted(value: Any, hint: Any) -> Any:
    """The value as the hint says it, if it is such a value in other clothes; else the value itself.

    A number or text of numpy (also as an array without dimensions) becomes Python's where the hint says
    `int`, `float`, `complex`, `bool`, `str` or `bytes`, and a whole number becomes a float where it says
    `float`; so do the items of lists, tuples, sets and dicts. Where the hint allows the value as it is
    (`numpy.float64`, `int | float`), it stays what it is.
    """
    if hint is None:
        return value
    hint = bare(hint)
    several = choices_of(hint)
    if several is not None:
        choices = [bare(one) for one in several]
        if type(value) in choices:
            return value
        fitting = next((one for one in choices if mismatch(value, one) is None), None)
        return value if fitting is None else fitted(value, fitting)
    if isinstance(hint, type) and hint in _PLAIN:
        return _as_python(value, hint)
    arguments = get_args(hint)
    return _with_items(value, get_origin(hint), arguments) if arguments else value


def _as_python(value: Any, kind: type) -> Any:
    found = value
    if getattr(value, "shape", None) == () and hasattr(value, "dtype") and hasattr(value, "item"):
        found = value.item()
    if type(found) is kind or (kind is int and type(found) is bool):
        return found
    if kind in (float, complex) and type(found) in (int, float):
        try:
            number = kind(found)
        except OverflowError:
            return value
        return number if number == found or found != found else value
    return value


def _with_items(value: Any, origin: Any, arguments: tuple[Any, ...]) -> Any:
    kind = type(value)
    if kind is not origin:
        return value
    if kind is dict and len(arguments) == 2:
        changed = {fitted(key, arguments[0]): fitted(item, arguments[1]) for key, item in value.items()}
        return changed if len(changed) == len(value) else value
    if kind is tuple and not (len(arguments) == 2 and arguments[1] is ...):
        if len(arguments) != len(value):
            return value
        return tuple(map(fitted, value, arguments))
    if kind in (list, tuple, set, frozenset):
        if set(map(type, value)) <= {bare(arguments[0])}:
            return value
        return kind(fitted(item, arguments[0]) for item in value)
    return value


def fitted_values(ports: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the ports of their names say; those of a namespace in a dict of its own."""
    found = {}
    for name in values:
        value, port = plain(values[name]), ports.get(name)
        if isinstance(port, Mapping):
            found[name] = fitted_values(port, value) if isinstance(value, Mapping) else value
        else:
            found[name] = fitted(value, getattr(ports if port is None else port, "valid_type", None))
    return found
