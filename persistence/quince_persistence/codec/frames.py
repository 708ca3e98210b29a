"""Series, frames and indexes of pandas, without importing pandas for those who have none."""

from __future__ import annotations

import importlib
import sys
from typing import Any

_PLAIN_KINDS = frozenset("?biufcmM")
_ROUND_TRIPS = ("Int", "UInt", "Float", "boolean", "string", "str")
"""How the names of types begin whose arrays are made again from Python's values."""


def takes(value: Any) -> bool:
    """Whether it is of pandas, and `write` would try it."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(
        value,
        (
            pandas.DataFrame,
            pandas.Series,
            pandas.Index,
            pandas.Timestamp,
            pandas.Timedelta,
            type(pandas.NA),
            type(pandas.NaT),
        ),
    )


def write(value: Any) -> Any:
    """The plain value of something that `takes` knows.

    Raises:
        ValueError: it is of a kind that cannot be written.
    """
    pandas: Any = sys.modules["pandas"]
    kind = type(value)
    if kind is pandas.DataFrame:
        columns = [_array(value.iloc[:, n]) for n in range(value.shape[1])]
        return ["frame", _index(value.columns), _index(value.index), columns, dict(value.attrs)]
    if kind is pandas.Series:
        return ["series", value.name, _index(value.index), _array(value), dict(value.attrs)]
    if isinstance(value, pandas.Index):
        return ["index", _index(value)]
    if value is pandas.NaT or value is pandas.NA:
        return ["missing", str(value)]
    if kind is pandas.Timestamp:
        zone = None if value.tzinfo is None else _zone(value.tzinfo)
        return ["timestamp", value.asm8, zone]
    if kind is pandas.Timedelta:
        return ["timedelta", value.asm8]
    raise ValueError("convert it to a DataFrame or a Series")


def read(plain: Any) -> Any:
    """The value again.

    Raises:
        ImportError: pandas is not installed here.
    """
    pandas: Any = importlib.import_module("pandas")
    match plain:
        case ["frame", columns, index, arrays, attrs]:
            rows = _read_index(pandas, index)
            frame = pandas.DataFrame(
                {n: pandas.Series(_read_array(pandas, one), index=rows) for n, one in enumerate(arrays)},
                index=rows,
            )
            frame.columns = _read_index(pandas, columns)
            frame.attrs.update(attrs)
            return frame
        case ["series", name, index, array, attrs]:
            series = pandas.Series(_read_array(pandas, array), index=_read_index(pandas, index), name=name)
            series.attrs.update(attrs)
            return series
        case ["index", index]:
            return _read_index(pandas, index)
        case ["missing", name]:
            return pandas.NaT if name == "NaT" else pandas.NA
        case ["timestamp", moment, zone]:
            stamp = pandas.Timestamp(moment)
            return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(zone)
        case ["timedelta", span]:
            return pandas.Timedelta(span)
    raise ValueError("this is nothing of pandas that this Quince knows")


def _index(index: Any) -> Any:
    pandas: Any = sys.modules["pandas"]
    kind = type(index)
    if kind is pandas.RangeIndex:
        return ["range", index.start, index.stop, index.step, index.name]
    if kind is pandas.MultiIndex:
        levels = [_index(level) for level in index.levels]
        return ["multi", levels, [codes.tolist() for codes in index.codes], list(index.names)]
    if kind in (pandas.Index, pandas.DatetimeIndex, pandas.TimedeltaIndex, pandas.CategoricalIndex):
        freq = getattr(index, "freq", None)
        return ["plain", _array(index), index.name, None if freq is None else freq.freqstr]
    raise ValueError(f"its index is a {kind.__name__}; use reset_index(), or convert it")


def _read_index(pandas: Any, plain: Any) -> Any:
    match plain:
        case ["range", start, stop, step, name]:
            return pandas.RangeIndex(start, stop, step, name=name)
        case ["multi", levels, codes, names]:
            made = [_read_index(pandas, level) for level in levels]
            return pandas.MultiIndex(levels=made, codes=codes, names=names)
        case ["plain", array, name, freq]:
            values = _read_array(pandas, array)
            index = pandas.Index(values, dtype=values.dtype, name=name)
            if freq is not None:
                index.freq = freq
            return index
    raise ValueError("this is no index of pandas that this Quince knows")


def _array(column: Any) -> Any:
    """The values of a series or an index, as `_read_array` takes them."""
    dtype, array = column.dtype, column.array
    name = str(dtype)
    if type(dtype).__name__ == "CategoricalDtype":
        return ["category", _index(dtype.categories), array.codes.tolist(), bool(dtype.ordered)]
    if type(dtype).__name__ == "DatetimeTZDtype":
        return ["zoned", array.tz_convert("UTC").tz_localize(None).to_numpy(), _zone(dtype.tz)]
    if getattr(dtype, "kind", "") in _PLAIN_KINDS and not hasattr(dtype, "na_value"):
        return ["numpy", array.to_numpy()]
    if name == "object":
        return ["object", list(array)]
    if name.startswith(_ROUND_TRIPS):
        missing = array.isna()
        return [
            "extension",
            name,
            [None if gone else _item(one) for one, gone in zip(array, missing, strict=True)],
        ]
    raise ValueError(f"it holds values of type {name}; convert them, for example with .astype(object)")


def _read_array(pandas: Any, plain: Any) -> Any:
    match plain:
        case ["category", categories, codes, ordered]:
            dtype = pandas.CategoricalDtype(_read_index(pandas, categories), ordered=ordered)
            return pandas.Categorical.from_codes(codes, dtype=dtype)
        case ["zoned", moments, zone]:
            return pandas.Series(moments).dt.tz_localize("UTC").dt.tz_convert(zone).array
        case ["numpy", values]:
            return values
        case ["object", values]:
            return pandas.Series(values, dtype=object).array
        case ["extension", dtype, values]:
            return pandas.array(values, dtype=dtype)
    raise ValueError("this is no column of pandas that this Quince knows")


def _item(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _zone(zone: Any) -> str:
    return str(sys.modules["pandas"].Timestamp(0, tz=zone).tz)
