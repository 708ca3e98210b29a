"""Processes as values: waited for in lists and dicts, and given to others as inputs."""

from __future__ import annotations

from typing import Any

import pytest

from quince import InvalidInput, ProcessExcepted, WorkChain, Workspace, process, run, submit
from tests.crew import Crew


@process
def square(x: int) -> int:
    return x * x


@process
def told(other: Any) -> dict[str, Any]:
    return {"state": other.state.value, "outputs": dict(other.outputs)}


class Waits(WorkChain):
    """Waits for the process that it is given."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("other")
        spec.output("got", valid_type=int)
        spec.outline(cls.wait, cls.read)

    def wait(self) -> None:
        self.to_context(other=self.inputs.other)

    def read(self) -> None:
        self.out("got", self.ctx.other.outputs["result"])


class Gathers(WorkChain):
    """Waits for children in lists and dicts, of which some are empty."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outputs.dynamic = True
        spec.outline(cls.launch, cls.collect)

    def launch(self) -> None:
        three = self.submit(square, x=3)
        waits = self.submit(Waits, other=three)
        self.to_context(each=[three, self.submit(square, x=4)], by={"five": self.submit(square, x=5)})
        self.to_context(none=[], nobody={}, waits=waits)

    def collect(self) -> None:
        ctx = self.ctx
        self.out_many({"each": [one.outputs.result for one in ctx.each], "by": ctx.by["five"].outputs.result})
        self.out_many({"none": ctx.none, "nobody": ctx.nobody, "waits": ctx.waits.outputs.got})


def test_children_are_awaited_in_lists_and_dicts_and_given_to_others(home: Workspace, crew: Crew) -> None:
    crew.start(1)
    gathered = {"each": [9, 16], "by": 25, "none": [], "nobody": {}, "waits": 9}
    assert submit(Gathers, workspace=home).result(30) == gathered
    handle = submit(square, x=6, workspace=home)
    assert submit(Waits, other=handle, workspace=home).result(30) == {"got": 36}
    ended = {"state": "finished", "outputs": {"result": 36}}
    assert submit(told, other=handle, workspace=home).result(30) == ended
    with pytest.raises(
        InvalidInput, match=f"it is ProcessHandle, and must be int; wait for process {handle.pid}"
    ):
        submit(square, x=handle, workspace=home)


def test_one_that_has_not_ended_says_how_to_wait_for_it(home: Workspace) -> None:
    handle = submit(square, x=6, workspace=home)
    with pytest.raises(
        ProcessExcepted, match=f"process {handle.pid} has not ended; wait for it with to_context"
    ):
        run(told, other=handle, workspace=home)
