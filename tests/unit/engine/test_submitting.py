"""Submitting and finding from Python: inputs in a mapping, from a loop, and what tells that nobody works."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quince import (
    InvalidDefinition,
    InvalidInput,
    Process,
    WaitTimeout,
    Workspace,
    WorkspaceError,
    asubmit,
    asubmit_many,
    find,
    process,
    prune,
    run,
    submit,
)
from quince.client import waits
from tests.flows import add


class Keyed(Process):
    """Its inputs are called as arguments of `submit` are."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        for name in ("key", "queue", "inputs"):
            spec.input(name, valid_type=str, required=False)
        spec.output("all", valid_type=dict)

    def run(self) -> None:
        self.out("all", dict(self.inputs))


class KeyedParent(Keyed):
    def run(self) -> None:
        self.submit(Keyed, inputs={"queue": "q", "inputs": "i"}, queue="elsewhere")
        self.out("all", {})


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.at(tmp_path) as home:
        yield home


def test_a_workspace_for_a_test_is_found_without_a_word(quince_workspace: Workspace, tmp_path: Path) -> None:
    assert run(add, x=1) == {"result": 2}
    assert [process.workspace for process in find()] == [quince_workspace]
    assert quince_workspace.location.folder == tmp_path / "workspace"


def test_inputs_in_a_mapping_collide_with_nothing(home: Workspace) -> None:
    given = {"key": "k", "queue": "q", "inputs": "i"}
    assert run(Keyed, inputs=given, workspace=home)["all"] == given
    submitted = submit(Keyed, inputs=given, key="its key", queue="its queue", workspace=home)
    assert (submitted.inputs, submitted.row.key, submitted.row.queue) == (given, "its key", "its queue")
    run(KeyedParent, workspace=home)
    (child,) = find(cls=Keyed, queue="elsewhere", workspace=home)
    assert child.inputs == {"queue": "q", "inputs": "i"}
    assert submit(add, inputs={"x": 1}, y=2, workspace=home).inputs == {"x": 1, "y": 2}


@pytest.mark.parametrize("call", [submit, run])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"key": "k"}, r"Keyed has an input called 'key', .* write inputs=\{'key': \.\.\., \.\.\.\}"),
        ({"inputs": "i"}, r"a mapping of Keyed's inputs, not str; .* given as inputs=\{'inputs': \.\.\.\}"),
        ({"inputs": {"key": "a"}, "other": 1}, "other"),
    ],
)
def test_what_could_mean_two_things_is_refused(home: Workspace, call: Any, arguments: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        call(Keyed, workspace=home, **arguments)
    assert find(workspace=home) == []


def test_an_input_is_given_once(home: Workspace) -> None:
    with pytest.raises(InvalidInput, match="add: the input 'x' is given twice"):
        submit(add, inputs={"x": 1}, x=2, workspace=home)


@pytest.mark.parametrize("odd", ["no", 1, [], math.nan])
def test_a_flag_is_true_or_false_and_nothing_that_counts_as_one(home: Workspace, odd: Any) -> None:
    """`cache="no"` would mean yes."""
    with pytest.raises(InvalidInput, match="add: cache is True or False, not"):
        submit(add, x=1, cache=odd, workspace=home)
    with pytest.raises(InvalidDefinition, match="@process: cache is True or False, not"):
        process(cache=odd)
    for flag in ("dry_run", "vacuum"):
        with pytest.raises(ValueError, match=f"{flag} is .*, and must be True or False"):
            prune(older_than=0, workspace=home, **{flag: odd})
    assert find(workspace=home) == []


async def test_a_loop_goes_on_while_it_submits(home: Workspace) -> None:
    one = await asubmit(add, x=1, key="one", workspace=home)
    assert await asubmit(add, x=1, key="one", workspace=home) == one
    many = await asubmit_many(add, [{"x": n} for n in range(3)], workspace=home)
    assert [process.inputs["x"] for process in many] == [0, 1, 2]


def test_processes_are_found(home: Workspace) -> None:
    first, second = (submit(add, x=n, workspace=home) for n in range(2))
    other = submit(Keyed, inputs={}, workspace=home, queue="slow")
    second.kill()
    assert find(workspace=home) == [other, second, first]
    assert find(workspace=home, limit=1) == [other]
    assert find(cls=add, workspace=home) == find(cls="add", workspace=home) == [second, first]
    assert (
        find(state="killed", workspace=home) == find(state=["killed", "excepted"], workspace=home) == [second]
    )
    assert find(queue="slow", workspace=home) == [other]
    assert find(tree=first, workspace=home) == [first]
    assert find(parent=first.pid, workspace=home) == []
    assert find(since=timedelta(minutes=1), workspace=home) == [other, second, first]
    assert find(since=datetime.now(UTC) + timedelta(hours=1), workspace=home) == []
    with pytest.raises(ValueError, match="'done' is not a valid State: the states are created, running"):
        find(state="done", workspace=home)
    assert find(state=[], workspace=home) == find(limit=0, workspace=home) == []


@pytest.mark.parametrize("names", [("tests.flows:add", "tests/flows.py:add"), ("flows.py:add", "flows:add")])
def test_a_class_is_found_as_script_and_as_module(
    home: Workspace, monkeypatch: pytest.MonkeyPatch, names: tuple[str, str]
) -> None:
    for name in names:
        monkeypatch.setattr(home.registry, "name_of", lambda cls, name=name: name)
        submit(add, x=1, workspace=home)
    for name in names:
        monkeypatch.setattr(home.registry, "name_of", lambda cls, name=name: name)
        assert {process.row.class_path for process in find(cls=add, workspace=home)} == set(names)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"state": 5}, "the states are created"),
        ({"cls": len}, "is no process class"),
        ({"cls": [add]}, "is no process class"),
        ({"since": "yesterday"}, "since is 'yesterday', and must be a datetime or a timedelta"),
        ({"tree": 1.5}, "1.5 is no process: give a handle, a child, a pid or a key"),
        ({"parent": 2**70}, "is no process: give"),
        ({"queue": 5}, "'5' cannot be the name of a queue"),
        ({"limit": -1}, "limit is -1, and must be a whole number from 0 on"),
        ({"paused": "yes"}, "paused is 'yes', and must be True or False"),
    ],
)
def test_what_nobody_can_look_for_is_refused(home: Workspace, wanted: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, InvalidDefinition), match=words):
        find(workspace=home, **wanted)


def test_waiting_says_that_nobody_works(
    home: Workspace, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "REMIND_SECONDS", 0.0)
    process = submit(add, x=1, workspace=home)

    async def patiently() -> None:
        await asyncio.wait_for(process, 1)

    with caplog.at_level(logging.WARNING, "quince"):
        with pytest.raises(WaitTimeout):
            process.result(timeout=0.5)
        with pytest.raises(TimeoutError):
            asyncio.run(patiently())
    assert [record.getMessage() for record in caplog.records] == [
        f"waiting for process {process.pid}: no worker is running: the process is kept until "
        "`quince daemon start`"
    ] * 2


def test_what_is_no_workspace_is_named() -> None:
    with pytest.raises(WorkspaceError, match="not 3"):
        submit(add, x=1, workspace=3)  # type: ignore[call-overload]
