"""Arrays and scalars of numpy, without importing numpy for those who have none."""

from __future__ import annotations

import importlib
import math
import sys
from typing import Any

from quince_persistence.codec.kinds import Code

_KINDS = frozenset("?biufcSUmM")


class UnsaveableArray(ValueError):
    """An array whose elements are not plain bytes."""


def write(value: Any) -> tuple[Code, Any] | None:
    """The code and plain value of something of numpy; None if it is not of numpy.

    Raises:
        UnsaveableArray: its elements cannot be written as bytes.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if type(value) is numpy.ndarray:
        order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        return Code.ARRAY, [_plain_dtype(numpy, value.dtype), list(value.shape), order, value.tobytes(order)]
    if isinstance(value, numpy.generic):
        if type(value) is not value.dtype.type or isinstance(value, numpy.void):
            raise UnsaveableArray("it is a scalar of a structured or special type; save its fields")
        return Code.SCALAR, [_plain_dtype(numpy, value.dtype), value.tobytes()]
    return None


def takes(value: Any) -> bool:
    """Whether `write` would take it; its elements are not looked at."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return False
    if type(value) is numpy.ndarray:
        return _is_bytes(value.dtype)
    return isinstance(value, numpy.generic)


def size(value: Any) -> int:
    """How many bytes the elements of something of numpy have; 0 if it is not of numpy."""
    numpy = sys.modules.get("numpy")
    return int(value.nbytes) if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic) else 0


def read_array(plain: Any) -> Any:
    numpy: Any = importlib.import_module("numpy")
    kind, shape, order, data = plain
    dtype = _dtype(numpy, kind)
    if len(data) != math.prod(shape) * dtype.itemsize or min(shape, default=0) < 0:
        raise ValueError("an array of another size than its bytes")
    if order == "F":
        return numpy.ndarray(shape, dtype, data, order="F").copy(order="F")
    return numpy.ndarray(shape, dtype, data).copy()


def read_scalar(plain: Any) -> Any:
    numpy: Any = importlib.import_module("numpy")
    kind, data = plain
    return numpy.ndarray((), _dtype(numpy, kind), data)[()]


def _plain_dtype(numpy: Any, dtype: Any) -> Any:
    if not _is_bytes(dtype):
        raise UnsaveableArray(f"its elements ({dtype}) are not plain bytes; convert it, or make it a list")
    if dtype.names is None:
        return dtype.str
    return numpy.lib.format.dtype_to_descr(dtype)


def _is_bytes(dtype: Any) -> bool:
    if dtype.names is not None:
        return all(_is_bytes(dtype.fields[name][0]) for name in dtype.names)
    if dtype.subdtype is not None:
        return _is_bytes(dtype.subdtype[0])
    return dtype.kind in _KINDS or dtype.char == "?"


def _dtype(numpy: Any, plain: Any) -> Any:
    dtype = numpy.dtype(plain) if isinstance(plain, str) else numpy.lib.format.descr_to_dtype(plain)
    if not _is_bytes(dtype):
        raise ValueError(f"elements of type {dtype} are not read")
    return dtype
