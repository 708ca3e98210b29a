"""The codec: series and frames of pandas, where it is installed."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from quince_persistence.codec import UnreadableValue, Unsaveable, decode, encode, same

pandas: Any = pytest.importorskip("pandas")


def _frame(**columns: Any) -> Any:
    return pandas.DataFrame(columns)


def _frames() -> list[Any]:
    days = pandas.date_range("2026-01-01", periods=3, freq="D")
    rows = pandas.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", None])
    odd = _frame(a=[1, 2], b=["x", None])
    odd.attrs["unit"] = "eV"
    twice = pandas.DataFrame([[1, 2.5]], columns=["a", "a"])
    return [
        pandas.DataFrame(),
        pandas.DataFrame(index=[1, 2]),
        pandas.DataFrame(columns=["a", "b"]),
        _frame(a=[1, 2], b=[0.5, None], c=["x", "y"], d=[True, False]),
        odd,
        twice,
        pandas.DataFrame(np.eye(4), index=rows, columns=rows),
        pandas.DataFrame(
            {"t": days, "z": days.tz_localize("Europe/Zurich"), "d": days - days[0]}, index=days
        ),
        _frame(c=pandas.Categorical(["lo", "hi", None], ["lo", "hi"], ordered=True)),
        _frame(i=pandas.array([1, None], "Int64"), f=pandas.array([1.5, None], "Float64")),
        _frame(b=pandas.array([True, None], "boolean"), s=pandas.array(["x", None], "string")),
        _frame(o=pandas.Series([1, (2,), None], dtype=object)),
        _frame(a=[1, 2, 3])[::2],
    ]


@pytest.mark.parametrize(
    "frame", _frames(), ids=lambda one: str(dict(one.dtypes)) if one.columns.is_unique else ""
)
def test_frames_come_back(frame: Any) -> None:
    again = decode(encode({"x": [frame]}))["x"][0]
    pandas.testing.assert_frame_equal(again, frame)
    assert again.attrs == frame.attrs
    assert type(again.index) is type(frame.index)
    assert same(encode(again), encode(frame))
    for name in range(frame.shape[1]):
        series = frame.iloc[:, name]
        pandas.testing.assert_series_equal(decode(encode(series)), series)


@pytest.mark.parametrize(
    "value",
    [
        pandas.Timestamp("2026-01-01T12:00:00.123456789"),
        pandas.Timestamp("2026-07-01", tz="Europe/Zurich"),
        pandas.Timestamp("2026-07-01", tz="UTC"),
        pandas.Timedelta("1 day 3 ns"),
        pandas.NaT,
        pandas.NA,
        pandas.RangeIndex(0, 10, 3, name="n"),
        pandas.Index(["a", "b"]),
    ],
    ids=lambda one: type(one).__name__,
)
def test_scalars_and_indexes_come_back(value: Any) -> None:
    again = decode(encode((value,)))[0]
    assert type(again) is type(value)
    if isinstance(value, pandas.Index):
        pandas.testing.assert_index_equal(again, value)
    elif value is pandas.NA or value is pandas.NaT:
        assert again is value
    else:
        assert (again, again.value, str(again)) == (value, value.value, str(value))


def test_two_names_for_one_frame_stay_two_names() -> None:
    frame = _frame(a=[1])
    one, other = decode(encode([frame, frame]))
    assert one is other


def test_what_cannot_be_saved_is_named() -> None:
    with pytest.raises(Unsaveable, match=r"ctx\.f.*cannot be saved"):
        encode({"f": _frame(o=[object()])}, "ctx")
    with pytest.raises(Unsaveable, match=r"ctx\.f.*interval"):
        encode({"f": _frame(i=pandas.interval_range(0, 2))}, "ctx")


def test_without_pandas_it_is_unreadable_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode({"f": _frame(a=[1, 2]), "n": 1})
    monkeypatch.setitem(sys.modules, "pandas", None)
    value = decode(data)
    assert value["n"] == 1
    assert isinstance(value["f"], UnreadableValue)
    assert "pandas" in repr(value["f"])
    assert same(encode(value), data)
