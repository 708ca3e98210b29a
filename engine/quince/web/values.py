"""Values of users on a page: small ones as they are, arrays as tables and curves, pictures as such.

Nothing of users is loaded or called here: a value whose class is theirs is shown by its name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.pretty import pretty_repr

from quince.web.pictures import Picture, picture_of
from quince_persistence.codec import UnreadableValue, fields_of

LONGEST_TEXT = 4000
MOST_SHOWN = 40
"""Parts of a value that are shown one by one."""
DEEPEST = 3
EDGE = 8
"""Rows and columns of a table."""
POINTS = 240
"""Of a curve."""


@dataclass
class Shown:
    """One value of a page.

    Attributes:
        name: By which it was given.
        kind: What it is, in a few words.
        text: What it says.
        table: Rows of cells; the first is a heading.
        curve: The path of a curve in a field of 100 x 30.
        picture: The number of the picture that it is.
        parts: Values in it.
    """

    name: str
    kind: str = ""
    text: str | None = None
    table: Sequence[Sequence[str]] = ()
    curve: str | None = None
    picture: int | None = None
    parts: list[Shown] = field(default_factory=list)


class Gallery:
    """The values of one mapping, in order, with the pictures among them."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.pictures: list[Picture] = []
        self.shown = [self._shown(str(name), value, 0) for name, value in _first(values.items())]
        if (more := len(values) - MOST_SHOWN) > 0:
            self.shown.append(Shown(f"... {more} more"))

    def _shown(self, name: str, value: Any, depth: int) -> Shown:
        if isinstance(value, UnreadableValue):
            return Shown(name, f"{value.unreadable_kind}, whose class is not loaded here")
        try:
            return self._readable(name, value, depth)
        except Exception as error:  # whatever a library says of its own value
            return Shown(name, f"a {type(value).__name__} that cannot be shown: {type(error).__name__}")

    def _readable(self, name: str, value: Any, depth: int) -> Shown:
        if (picture := picture_of(value)) is not None:
            self.pictures.append(picture)
            return Shown(name, picture.said, picture=len(self.pictures) - 1, table=_array_table(value))
        if isinstance(value, str):
            return _text(name, value)
        if isinstance(value, (bytes, bytearray)):
            more = " ..." if len(value) > 48 else ""
            return Shown(name, f"{len(value):,} bytes", bytes(value[:48]).hex(" ") + more)
        if hasattr(value, "dtype") and hasattr(value, "shape"):
            return _array(name, value)
        if hasattr(value, "columns") and hasattr(value, "iloc"):
            return _frame(name, value)
        if _is_row_of_numbers(value):
            return Shown(name, f"{type(value).__name__} of {len(value):,}", _repr(value), curve=_curve(value))
        inner = value if isinstance(value, Mapping) else fields_of(value)
        if inner and depth < DEEPEST and _has_large(inner.values()):
            parts = [self._shown(str(key), one, depth + 1) for key, one in _first(inner.items())]
            return Shown(name, f"{type(value).__name__} of {len(inner):,}", parts=parts)
        if isinstance(value, (list, tuple)) and depth < DEEPEST and _has_large(value):
            parts = [self._shown(str(n), one, depth + 1) for n, one in _first(enumerate(value))]
            return Shown(name, f"{type(value).__name__} of {len(value):,}", parts=parts)
        return Shown(name, "", _repr(value))


def _text(name: str, value: str) -> Shown:
    if len(value) <= LONGEST_TEXT:
        return Shown(name, "", value)
    return Shown(name, f"text of {len(value):,} characters", value[:LONGEST_TEXT] + " ...")


def _repr(value: Any) -> str:
    text = pretty_repr(value, max_width=88, max_length=30, max_string=600, max_depth=6)
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " ..."


def _first(items: Any) -> Iterator[Any]:
    for number, one in enumerate(items):
        if number >= MOST_SHOWN:
            return
        yield one


def _has_large(values: Any) -> bool:
    """Something that is worth a place of its own."""
    return any(
        isinstance(one, (bytes, bytearray))
        or hasattr(one, "shape")
        or hasattr(one, "columns")
        or _is_row_of_numbers(one)
        or (isinstance(one, (Mapping, list, tuple)) and len(one) > 0 and _has_large(_inside(one)))
        for one in _first(values)
    )


def _inside(value: Any) -> Any:
    return value.values() if isinstance(value, Mapping) else value


def _is_row_of_numbers(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) >= 12
        and all(type(one) in (int, float) for one in value[:1000])
    )


def _array(name: str, value: Any) -> Shown:
    size, shape = int(value.size), tuple(int(length) for length in value.shape)
    said = f"{type(value).__name__} of {value.dtype}"
    if not shape:
        return Shown(name, said, _repr(value.item() if hasattr(value, "item") else value))
    said += f", {' × '.join(f'{length:,}' for length in shape)}"
    if size and value.dtype.kind in "iuf":
        finite = [one for one in _thinned(value.ravel(), 20_000) if math.isfinite(one)]
        if finite:
            mean = _number(sum(finite) / len(finite))
            said += f" · {_number(min(finite))} to {_number(max(finite))}, mean {mean}"
    curve = _curve(value) if len(shape) == 1 and size >= 3 and value.dtype.kind in "iuf" else None
    return Shown(name, said, table=_array_table(value), curve=curve)


def _array_table(value: Any) -> list[list[str]]:
    """The corner of an array, or the beginning of a row."""
    shape: tuple[int, ...] = getattr(value, "shape", ())
    if len(shape) == 1:
        cells = [_cell(one) for one in value[:EDGE].tolist()]
        return [[str(n) for n in range(len(cells))] + ["..."] * (shape[0] > EDGE), cells] if cells else []
    if len(shape) == 2 and value.size:
        rows = [[_cell(one) for one in row] for row in value[:EDGE, :EDGE].tolist()]
        more = ["..."] * (shape[1] > EDGE)
        heading = ["", *(str(n) for n in range(min(shape[1], EDGE))), *more]
        body = [[str(n), *row, *more] for n, row in enumerate(rows)]
        return [heading, *body, *([["..."]] if shape[0] > EDGE else [])]
    return []


def _frame(name: str, value: Any) -> Shown:
    names = [str(column) for column in list(value.columns)[:EDGE]]
    head = value.iloc[:EDGE, :EDGE]
    rows = [
        [str(label), *(_cell(one) for one in row)]
        for label, row in zip(head.index.tolist(), head.to_numpy().tolist(), strict=True)
    ]
    rows, columns = rows + ([["..."]] if len(value) > EDGE else []), len(value.columns)
    return Shown(name, f"table of {len(value):,} × {columns:,}", table=[["", *names], *rows])


def _cell(value: Any) -> str:
    return _number(value) if type(value) is float else str(value)[:60]


def _number(value: float) -> str:
    return f"{value:.5g}"


def _thinned(values: Any, most: int) -> list[float]:
    step = max(1, math.ceil(len(values) / most))
    part = values[::step]
    return [float(one) for one in (part.tolist() if hasattr(part, "tolist") else part)]


def _curve(values: Any) -> str | None:
    """The path of a curve in a field of 100 x 30 (y grows downwards); what is not finite is left out."""
    points = _thinned(values, POINTS)
    finite = [one for one in points if math.isfinite(one)]
    if len(finite) < 3:
        return None
    low, high = min(finite), max(finite)
    height = (high - low) or 1.0
    path, pen = [], "M"
    for number, one in enumerate(points):
        if not math.isfinite(one):
            pen = "M"
            continue
        x, y = 100 * number / (len(points) - 1), 29 - 28 * ((one - low) / height)
        path.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return "".join(path)
