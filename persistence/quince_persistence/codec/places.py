"""Where in a value something cannot be saved, and what to do about it: for the messages of errors."""

from __future__ import annotations

from typing import Any

_SAVEABLE = (
    "save plain values (numbers, texts, lists, dicts, arrays of numpy, dates, paths, ...), "
    "or teach the codec the type with quince_persistence.register_type"
)


class Key:
    """A key of a dict, in a path."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key


def spelt(path: tuple[Any, ...]) -> str:
    """A path as people write it: `ctx.model.weights[3]`. Its parts are names, a `Key` of a dict, or
    indexes."""
    text = str(path[0])
    for part in path[1:]:
        if isinstance(part, Key):
            key = part.key
            plain = isinstance(key, str) and key.isidentifier()
            text += (f".{key}" if text else key) if plain else f"[{key!r}]"
        elif isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f"<{part}>"
    return text


def type_name(kind: type) -> str:
    """The name of a type, with its module unless it is built in."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def advice(value: Any) -> str:
    """What to save instead of a value that cannot be saved."""
    if callable(value):
        return "code is never saved; save a name that you can look up again"
    for base in (dict, list, tuple, set, str, int, float, bytes):
        if isinstance(value, base):
            return f"convert it to {base.__name__}, or teach the codec: quince_persistence.register_type"
    return _SAVEABLE
