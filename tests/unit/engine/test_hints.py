"""Hints: checked as far as they say, or left alone; never an error of Python's own."""

# ruff: noqa: UP007, UP045  # how people write hints, new and old

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Sequence
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Generic,
    Literal,
    NewType,
    NotRequired,
    Optional,
    ParamSpec,
    Protocol,
    Self,
    TypedDict,
    TypeVar,
    Union,
)

import numpy as np
import pytest
from numpy.typing import NDArray
from typing_extensions import TypeAliasType

from quince import EngineError, InvalidDefinition, InvalidInput, InvalidOutput, Process, process
from quince.processes.creation import new_process
from quince.processes.hints import mismatch
from tests.unit.engine.solo import solo

if TYPE_CHECKING:
    from nowhere import Absent  # type: ignore[import-not-found]

T = TypeVar("T")
Bound = TypeVar("Bound", bound=int)
P = ParamSpec("P")
Table = TypeAliasType("Table", dict[Bound, list[T]], type_params=(T, Bound))
Energy = NewType("Energy", float)


class Cell(TypedDict):
    a: float
    b: NotRequired[int]


class Sized(Protocol):
    def __len__(self) -> int: ...


class Colour(enum.Enum):
    RED = 1


class Box(Generic[T]):
    """A class with a parameter that no instance shows."""


GOOD: list[tuple[Any, Any]] = [
    (5, Any), (None, Any), (5, object), (5, float), (5, complex), (5.0, float), (None, None),
    ({"a": 1}, Cell), ({"a": 1.0, "b": 2}, Cell), ([1], Sized), ("", Sized),
    (5, int | None), (None, Optional[int]), ("x", Union[int, str]), ([1, 2], list[int]),
    ([], list[int]), ({"x": 1}, dict[str, float]), ((1, 2, 3), tuple[int, ...]), ((), tuple[int, ...]),
    ((1, "x"), tuple[int, str]), ((), tuple[()]), ("fcc", Literal["fcc", "bcc"]), (1.5, Energy),
    (3, Annotated[int, "of atoms"]), (3, Final[int]), (np.zeros(3), NDArray[np.float64]),
    (np.zeros(3), NDArray[Any]), (np.zeros(3), np.ndarray), (len, Callable[[Any], int]), (int, type[int]),
    (3, T), (3, Bound), (3, P), (3, Self), (Box(), Box[int]), ((1, 2), Sequence[int]), (Colour.RED, Colour),
    (np.int64(3), int), (np.float32(3), float), (np.bool_(True), bool), (np.array(3), int),
    (3, (int, str)), (3, "a text"), (3, 5), (3, [int]),
    ({1: ["x"]}, Table[str, int]), ({1: [2]}, Table),
]  # fmt: skip

BAD: list[tuple[Any, Any, str]] = [
    ("x", int, "it is str, and must be int"),
    ("x", float, "it is str, and must be float"),
    (5, Sized, "it is int, and must be Sized"),
    (5, Cell, "it is int, and must be Cell"),
    ({}, Cell, "it has no 'a', and must be Cell"),
    ({"a": "x"}, Cell, "at ['a'] it is str, and must be float"),
    ("x", int | None, "it is str, and must be int | None"),
    ("x", Optional[int], "it is str, and must be int | None"),
    ([1, "x"], list[int], "at [1] it is str, and must be int"),
    ([1, "x"], list[int] | None, "at [1] it is str, and must be int"),
    ({"x": {"y": ["z"]}}, dict[str, dict[str, list[int]]], "at ['x']['y'][0] it is str, and must be int"),
    ((1, 2), tuple[int], "it is a tuple of 2, and must be tuple[int]"),
    ("hcp", Literal["fcc", "bcc"], "it is 'hcp', and must be Literal['fcc', 'bcc']"),
    ("x", Energy, "it is str, and must be float"),
    ("x", Annotated[int, "of atoms"], "it is str, and must be int"),
    (np.zeros(3, int), NDArray[np.float64], "it is ndarray of int64, and must be NDArray[float64]"),
    ("x", Bound, "it is str, and must be int"),
    ("red", Colour, "it is str, and must be Colour"),
    (3.5, Callable[[int], int], "it is float, and must be Callable[[int], int]"),
    ("x", (int, float), "it is str, and must be int or float"),
    (np.float64(3.5), int, "it is float64, and must be int"),
    ({1: ["x", 2]}, Table[str, int], "at [1][1] it is int, and must be str"),
]


@pytest.mark.parametrize(("value", "hint"), GOOD)
def test_what_a_hint_says_of_a_good_value(value: Any, hint: Any) -> None:
    assert mismatch(value, hint) is None


@pytest.mark.parametrize(("value", "hint", "words"), BAD)
def test_what_a_hint_says_of_a_bad_value(value: Any, hint: Any, words: str) -> None:
    assert str(mismatch(value, hint)) == words


@pytest.mark.parametrize(
    ("value", "hint", "words"), [one for one in BAD if one[2].startswith("it is")], ids=str
)
def test_ports_of_classes_take_the_same_hints(value: Any, hint: Any, words: str) -> None:
    class Job(Process):
        @classmethod
        def define(cls, spec: Any) -> None:
            super().define(spec)
            spec.input("x", valid_type=hint, required=False)
            spec.output("y", valid_type=hint, required=False)

        def run(self) -> None: ...

    with pytest.raises(InvalidInput, match=r"^Job: input 'x': ") as refused:
        new_process(Job, {"x": value}, pid=1, class_path="")
    assert words in str(refused.value)
    with solo() as host:
        host.name_of = lambda cls: "m:Job"  # type: ignore[method-assign]
        job = host.process(Job)
        with pytest.raises(InvalidOutput, match=r"^Job: output 'y': "):
            job.out("y", value)


@pytest.mark.parametrize("hint", ["int", 5, [int], {"a": int}, any, lambda x: x])
def test_what_is_no_type_is_told_at_definition(hint: Any) -> None:
    class Job(Process):
        @classmethod
        def define(cls, spec: Any) -> None:
            super().define(spec)
            spec.input("x", valid_type=hint)

        def run(self) -> None: ...

    with pytest.raises(InvalidDefinition, match=r"Job: input 'x': valid_type=.* is no type"):
        Job.spec()


def passed_on(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@process
def unknown(x: Absent, n: int = 1) -> Absent: ...
@process
@passed_on
def wrapped(x: int | None = None, *, y: list[int] = [1]) -> int: ...  # type: ignore[empty-body] # noqa: B006
@process
def placed(x: int, n: float = 2, /, **more: int) -> None: ...
@process
def in_words(x: "the number of points", n: 5 = 3) -> Literal["a"]: ...  # type: ignore[empty-body, valid-type] # noqa: F722
@process
def unsaveable(x: int = 1, write: Any = print) -> None: ...
@process
def nothing(x: int = None, n: tuple[int, ...] = ()) -> None: ...  # type: ignore[assignment] # noqa: RUF013


@pytest.mark.parametrize(
    ("function", "inputs", "wrong"),
    [
        (unknown, {"x": object, "n": "1"}, "unknown: input 'n': it is str, and must be int"),
        (wrapped, {"x": "1"}, "wrapped: input 'x': it is str, and must be int | None"),
        (wrapped, {"y": ["1"]}, "wrapped: input 'y': at [0] it is str, and must be int"),
        (wrapped, {"z": 1}, "wrapped has no input 'z'; it takes x, y"),
        (placed, {"x": 1, "more": "1"}, "placed: input 'more': it is str, and must be int"),
        (placed, {}, "placed: input 'x': required value was not provided"),
        (unsaveable, {"x": "1"}, "unsaveable: input 'x': it is str, and must be int"),
        (nothing, {"x": "1"}, "nothing: input 'x': it is str, and must be int"),
        (nothing, {"n": (1, "x")}, "nothing: input 'n': at [1] it is str, and must be int"),
    ],
)
def test_functions_are_checked_at_submission(function: Any, inputs: dict[str, Any], wrong: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        new_process(function.process_class, inputs, pid=1, class_path="")
    assert str(refused.value) == wrong


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (wrapped, {}),
        (wrapped, {"x": None, "y": []}),
        (placed, {"x": 1, "other": 3}),
        (in_words, {"x": 1, "n": "any"}),
        (unsaveable, {}),
        (nothing, {"x": None, "n": ()}),
    ],
)
def test_what_a_function_takes_is_taken(function: Any, inputs: dict[str, Any]) -> None:
    new_process(function.process_class, inputs, pid=1, class_path="")


def takes_all(*values: int) -> int:
    return sum(values)


def yields() -> Any:
    yield 1


class Holder:
    def method(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (takes_all, "what comes in \\*values has no name"),
        (yields, "it yields, and a process returns"),
        (Holder.method, "a method cannot be a process"),
        (Holder, "a class is a process if it is a subclass"),
        (lambda x: x, "a lambda has no name"),
        (functools.partial(takes_all, 1), "has no name; define a function"),
    ],
)
def test_what_cannot_be_a_process_says_why(function: Any, words: str) -> None:
    with pytest.raises(InvalidDefinition, match=f"@process.*{words}"):
        process(function)


def test_a_promise_is_held_against_the_answer() -> None:
    @process
    def both(x: int) -> dict[str, int] | None:
        return {"a": 1} if x == 1 else None if x == 2 else 5  # type: ignore[return-value]

    run: Any = both.process_class.run
    with solo() as host:
        host.name_of = lambda cls: "m:both"  # type: ignore[method-assign]
        assert run(host.process(both.process_class, x=1)) == {"a": 1}
        assert run(host.process(both.process_class, x=2)) == {"result": None}
        with pytest.raises(
            EngineError, match=r"both: what it returned: it is int, and must be dict\[str, int\]"
        ):
            run(host.process(both.process_class, x=3))
