"""What is given where a process class belongs: one sentence, before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quince import (
    InvalidDefinition,
    InvalidInput,
    Process,
    ProcessNotFound,
    get_process,
    process,
    run,
    submit,
    submit_many,
)
from quince.processes.child import ChildProcess
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


@pytest.mark.parametrize(("verb", "begin"), [("run", run), ("submit", submit)])
def test_inputs_have_names(verb: str, begin: Any) -> None:
    for unnamed in (3, {"x": 3}):
        with pytest.raises(
            InvalidInput, match=rf"^square: inputs are given by name: {verb}\(square, x=\.\.\.\)"
        ):
            begin(square, unnamed)


@pytest.mark.parametrize(
    ("inputs", "keys", "words"),
    [
        ({"x": 1}, None, "takes a list of mappings"),
        (5, None, "takes a list of mappings"),
        ([{"x": 1}], ["a", "b"], "takes one key for each of the 1 processes"),
        ([{"x": 1}], "a", "takes one key for each"),
        ([5], None, "inputs are a mapping of names, not int"),
    ],
)
def test_many_want_many(tmp_path: Path, inputs: Any, keys: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        submit_many(square, inputs, keys=keys, workspace=tmp_path)


@pytest.mark.parametrize("pid", [None, 1.5, -1, 0, True, 10**30])
def test_what_is_no_pid_is_no_process(tmp_path: Path, pid: Any) -> None:
    with pytest.raises(ProcessNotFound, match=r"there is no process .*; a pid is a whole number from 1 on"):
        get_process(pid, workspace=tmp_path)


def test_a_run_that_cannot_be_run_is_told_before_it_is_submitted() -> None:
    def takes_more(self: Any, x: int) -> None: ...
    def yields(self: Any) -> Any:
        yield 1

    for run_, words in ((takes_more, "takes self alone"), (yields, "yields"), (5, "takes self alone")):
        with pytest.raises(InvalidDefinition, match=f"^Odd: `run` .*{words}"):
            type("Odd", (Process,), {"run": run_}).spec()  # type: ignore[attr-defined]


def test_a_process_class_is_not_called() -> None:
    make: Any = Job
    for arguments, inputs in (((), {}), ((), {"x": 3}), ((3,), {})):
        with pytest.raises(InvalidDefinition, match=r"^Job is not called: write run\(Job, \.\.\.\)"):
            make(*arguments, **inputs)
