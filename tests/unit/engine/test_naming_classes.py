"""What is given where a process class belongs: one sentence, before anything is written."""

from __future__ import annotations

from typing import Any

import pytest

from engine import InvalidDefinition, Process, process, run, submit
from engine.child import ChildProcess
from tests.unit.engine.solo import solo


@process
def square(x: int) -> int:
    return x**2


def plain(x: int) -> int:
    return x


class Job(Process):
    def run(self) -> None: ...


@pytest.mark.parametrize("begin", [run, submit, lambda thing, x: submit(thing, inputs={"x": x})])
@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (3, r"^3 is no process class: give the class .*: run\(Square, x=3\)"),
        ("jobs.py:Square", "^'jobs.py:Square' is no process class: it is a text; import the class"),
        (None, "^None is no process class"),
        (plain, "^plain is no process class: it is a plain function; write @process above it"),
        (dict, "^<class 'dict'> is no process class: it is no subclass of Process or WorkChain"),
        (ChildProcess(5, "m:Job"), "it is process 5, which is submitted already"),
        (square(2), "^4 is no process class"),
    ],
)
def test_what_is_no_class_is_refused_at_once(begin: Any, thing: Any, words: str) -> None:
    with pytest.raises(InvalidDefinition, match=words):
        begin(thing, x=3)
    with solo() as host:
        job = host.process(Job)
        with pytest.raises(InvalidDefinition, match=words):
            job.submit(thing, x=3)


def test_a_process_class_is_not_called() -> None:
    make: Any = Job
    for arguments, inputs in (((), {}), ((), {"x": 3}), ((3,), {})):
        with pytest.raises(InvalidDefinition, match=r"^Job is not called: write run\(Job, \.\.\.\)"):
            make(*arguments, **inputs)
