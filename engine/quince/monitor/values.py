"""A value as people want to see it: whole if it is small, else by its kind and its size."""

from __future__ import annotations

from typing import Any

from rich.pretty import pretty_repr

SHORT_BYTES = 32
LONGEST_TEXT = 2000
LONGEST_ARRAY = 50
DEEPEST = 6
"""What is longer is shown by its size."""


def written(value: Any, width: int) -> str:
    """A value as Python writes it, in as many lines as it needs, the longer parts of it cut short."""
    return pretty_repr(as_seen(value), max_width=width, max_length=12, max_string=400, max_depth=DEEPEST)


def as_seen(value: Any, depth: int = 0) -> Any:
    """The value with what is large or binary in it named by its size."""
    if depth > DEEPEST:
        return value
    if isinstance(value, dict):
        return {key: as_seen(inner, depth + 1) for key, inner in dict.items(value)}
    if isinstance(value, (bytes, bytearray)) and len(value) > SHORT_BYTES:
        return _Named(f"<bytes, {_size(len(value))}>")
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return _Named(f"{value[:200]!r}... <text, {_size(len(value))}>")
    if hasattr(value, "shape") and getattr(value, "size", 0) > LONGEST_ARRAY:
        return _Named(f"<{type(value).__name__} {value.dtype} {value.shape}>")
    if type(value) in (list, tuple) and len(value) <= LONGEST_ARRAY:
        return type(value)(as_seen(inner, depth + 1) for inner in value)
    return value


class _Named:
    """Shown as its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


def _size(count: int) -> str:
    """`812 B`, `73 kB`, `1.2 MB`."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:.0f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"
