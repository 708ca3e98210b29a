"""What is said of a step besides its code: it is refused where it is written if it makes no sense."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from quince import InvalidDefinition, Process, ProcessKilled, Retry, WorkChain, process, step


def test_pauses_grow_up_to_the_longest() -> None:
    retry = Retry(10, first="2 s", factor=3, longest=timedelta(minutes=1), jitter=0)
    assert [retry.pause(failed) for failed in range(1, 6)] == [2, 6, 18, 54, 60]
    assert retry.pause(100_000) == 60
    assert Retry(first="1 h", jitter=0).pause(1) == 3600, "the first one is as long as it is said to be"
    pauses = {Retry(first=10, jitter=0.5).pause(1) for _ in range(50)}
    assert len(pauses) > 1
    assert all(5 <= pause <= 15 for pause in pauses)


def test_some_errors_are_tried_again() -> None:
    assert Retry().takes(ValueError())
    assert not Retry(on=OSError).takes(ValueError())
    assert Retry(on=OSError).takes(ConnectionError())
    assert not Retry(on=(OSError,), not_on=ConnectionError).takes(ConnectionError())
    assert not Retry(on=BaseException).takes(ProcessKilled(1, None))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (lambda: Retry(0), "attempts=0: write a whole number from 1 to a million"),
        (lambda: Retry(10**30), "from 1 to a million"),
        (lambda: step(handler=""), "handler='': write the name of a method"),
        (lambda: Retry(True), "attempts=True"),
        (lambda: Retry(2.5), "attempts=2.5"),  # type: ignore[arg-type]
        (lambda: Retry(first=-1), "first: -1 is no duration"),
        (lambda: Retry(longest="soon"), "longest: 'soon' is no duration"),
        (lambda: Retry(factor=0.5), "factor=0.5: write a number from 1 on"),
        (lambda: Retry(factor=float("nan")), "factor=nan"),
        (lambda: Retry(jitter=2), "jitter=2: write a part of the pause"),
        (lambda: Retry(on=3), "on has 3, which is no class of exceptions"),  # type: ignore[arg-type]
        (lambda: step(retry="often"), "retry='often': write a Retry"),  # type: ignore[arg-type]
        (lambda: step(retry=0), "attempts=0"),
        (lambda: step(timeout=0), "a timeout of 0 leaves no time"),
        (lambda: step(timeout="-1 h"), "timeout: '-1 h' is no duration"),
        (lambda: step(handler=print), "write the name of a method"),  # type: ignore[arg-type]
        (lambda: step(on_failure="stop"), "on_failure='stop': write 'fail'"),
        (lambda: step(print), "@step says nothing by itself"),
        (lambda: step(retry=2)(5), "stands above a step, a method of the class"),  # type: ignore[type-var]
        (lambda: step(retry=2)(process(lower)), "write @process\\(retry="),
        (lambda: process(retry=-1), "attempts=-1"),
        (lambda: process(tries=3), "takes retry, timeout, on_failure"),  # type: ignore[call-overload]
    ],
)
def test_what_makes_no_sense_is_refused(said: Callable[[], Any], words: str) -> None:
    with pytest.raises(InvalidDefinition, match=words):
        said()


def lower(text: str) -> str:
    return text.lower()


class Handled(WorkChain):
    """Its handler is somewhere else."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.compute)

    @step(handler="enlarge")
    def compute(self) -> None: ...

    def enlarged(self, error: BaseException) -> None: ...


class Alone(Handled):
    """It takes no error."""

    def enlarge(self) -> None: ...


def test_a_handler_must_be_there_and_take_an_error() -> None:
    with pytest.raises(
        InvalidDefinition, match=r"Handled\.compute: handler='enlarge': the class has no method of"
    ):
        Handled.spec()
    with pytest.raises(InvalidDefinition, match="a handler is a method that takes self and the error"):
        Alone.spec()


def test_a_class_says_one_of_two_words() -> None:
    class Odd(Process):
        on_failure = "stop"  # type: ignore[assignment]

        def run(self) -> None: ...

    with pytest.raises(InvalidDefinition, match="Odd: on_failure='stop': write 'fail'"):
        Odd.spec()
