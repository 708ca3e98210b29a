"""Numbers of numpy, and whole numbers, where ports say what they want."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pytest

from quince import Process, WorkChain, process
from quince.errors import InvalidInput, InvalidOutput
from quince.processes.execution import execution_of
from quince.processes.fitting import fitted
from quince.processes.spec import ExitCode
from tests.unit.engine.solo import Solo, solo


class Numbers(Process):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        for where in (spec.input, spec.output):
            options: dict[str, Any] = {"required": False}
            where("n", valid_type=int, **options)
            where("x", valid_type=float, **options)
            where("z", valid_type=complex, **options)
            where("yes", valid_type=bool, **options)
            where("name", valid_type=str, **options)
            where("either", valid_type=(int, float), **options)
            where("exact", valid_type=np.float64, **options)
            where("any", **options)
            where("few", valid_type=list[int], **options)
            where("by.name", valid_type=dict[str, float], **options)

    def run(self) -> Any: ...


class Chain(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.exit_code(np.int64(410), "BAD", "bad")
        spec.outline(cls.only)

    def only(self) -> None: ...


@pytest.fixture
def host() -> Iterator[Solo]:
    with solo() as alone:
        yield alone


GIVEN = [
    ("n", np.int64(3), 3),
    ("n", np.array(3), 3),
    ("n", np.arange(3)[1], 1),
    ("n", np.uint8(3), 3),
    ("x", np.float32(0.5), 0.5),
    ("x", np.float64(0.5), 0.5),
    ("x", np.int32(2), 2.0),
    ("x", 2, 2.0),
    ("x", np.array(2.5), 2.5),
    ("z", np.complex64(1j), 1j),
    ("z", 2, 2 + 0j),
    ("yes", np.bool_(True), True),
    ("name", np.str_("x"), "x"),
    ("either", np.float64(1.5), 1.5),
    ("either", 1, 1),
    ("either", np.int16(1), 1),
    ("exact", np.float64(1.5), np.float64(1.5)),
    ("any", np.int64(1), np.int64(1)),
    ("few", [np.int64(1), 2], [1, 2]),
    ("by.name", {"a": np.float32(0.5), "b": 1}, {"a": 0.5, "b": 1.0}),
]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | dict):
        return bool(one == other) and repr(one) == repr(other)
    return type(one) is type(other) and bool(one == other)


@pytest.mark.parametrize(("port", "given", "stored"), GIVEN, ids=lambda one: f"{type(one).__name__}")
def test_inputs_and_outputs_are_stored_as_their_ports_say(
    host: Solo, port: str, given: Any, stored: Any
) -> None:
    inputs = {"by": {"name": given}} if port == "by.name" else {port: given}
    one = host.process(Numbers, **inputs)
    found = one.inputs.by.name if port == "by.name" else one.inputs[port]
    assert _same(found, stored)
    one.out(port, given)
    host.committed(one)
    outputs = host.again(one).outputs
    assert _same(outputs["by"]["name"] if port == "by.name" else outputs[port], stored)


@pytest.mark.parametrize(
    ("port", "given"),
    [("n", 1.0), ("n", np.float64(1)), ("n", np.arange(2)), ("x", True), ("x", "1"), ("yes", 1), ("name", 1)],
)
def test_what_is_no_such_value_is_refused(host: Solo, port: str, given: Any) -> None:
    with pytest.raises(InvalidInput, match=f"input {port!r}"):
        host.process(Numbers, **{port: given})
    with pytest.raises(InvalidOutput, match=f"output {port!r}"):
        host.process(Numbers).out(port, given)


def test_a_whole_number_that_no_float_holds_stays_whole(host: Solo) -> None:
    for number in (2**53 + 1, 10**400):
        assert host.process(Numbers, x=number).inputs.x == number


def test_exit_statuses_of_numpy(host: Solo) -> None:
    one = host.process(Numbers)
    for status in (np.int64(5), np.array(5), ExitCode(np.int32(5))):  # type: ignore[arg-type]
        execution = execution_of(one)
        call = execution.direct()
        assert call is not None
        code = execution.handled(call, status)
        assert code is not None
        assert type(code.status) is int
        assert code.status == 5
    assert type(Chain.spec().exit_codes.BAD.status) is int


def test_what_is_fine_is_left_alone() -> None:
    rows = [1, 2]
    for value, hint in [
        (rows, list[int]),
        (rows, list),
        (rows, Any),
        (rows, None),
        ("a", Literal["a", "b"]),
        (None, int | None),
        (Decimal(1), Decimal | float),
        ({"a": 1}, dict[str, int] | None),
    ]:
        assert fitted(value, hint) is value or fitted(value, hint) == value
    assert fitted(rows, list[int]) is rows
    assert fitted(np.int64(3), int | None) == 3
    assert type(fitted(np.int64(3), int | None)) is int
    assert fitted((np.int64(1), np.float64(2)), tuple[int, float]) == (1, 2.0)


@process
def halve(x: float) -> float:
    return np.float64(x) / 2


def test_functions_give_what_they_promise(host: Solo) -> None:
    one = host.process(halve.process_class, x=np.float32(3))
    assert type(one.inputs.x) is float
    execution = execution_of(one)
    call = execution.direct()
    assert call is not None
    execution.handled(call, one.run())
    assert type(one.outputs["result"]) is float


@process
def scaled(x: float = 2) -> float:
    return x


def test_defaults_are_stored_as_their_ports_say_too(host: Solo) -> None:
    assert type(host.process(scaled.process_class).inputs.x) is float
