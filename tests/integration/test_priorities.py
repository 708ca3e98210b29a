"""Priorities with real workers: across the queues of one worker, inherited, and changed after submission."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from quince import ControlRefused, InvalidInput, ProcessHandle, ProcessState, Workspace, submit, submit_many
from tests import flows
from tests.crew import Crew, eventually
from tests.forked import ForkServer
from tests.integration.commands import Quince


def begun(home: Workspace, handles: Sequence[ProcessHandle]) -> list[ProcessHandle]:
    """In the order in which they were taken up."""
    started = home.store.started([handle.pid for handle in handles])
    return sorted(handles, key=lambda handle: started[handle.pid])


def blocked(home: Workspace, crew: Crew, *queues: str) -> ProcessHandle:
    """A worker of one slot, and what fills it until it is killed."""
    crew.start(slots=1, queues=queues or ("default",))
    first = submit(flows.Sleeper, queue=(queues or ("default",))[0], workspace=home)
    eventually(lambda: first.row.owner is not None)
    return first


def test_the_first_in_priority_whichever_queue_it_is_on(home: Workspace, crew: Crew) -> None:
    first = blocked(home, crew, "a", "b")
    some = [
        one
        for queue, priority in (("a", 0), ("b", 4), ("a", 9), ("b", 0), ("a", 4), ("b", 9))
        for one in submit_many(flows.add, [{"x": 1}] * 12, queue=queue, priority=priority, workspace=home)
    ]  # more than the worker holds at hand
    first.kill()
    for handle in some:
        handle.result(60)
    priorities = [handle.row.priority for handle in begun(home, some)]
    assert priorities == sorted(priorities, reverse=True)


def test_set_while_it_is_queued(home: Workspace, crew: Crew) -> None:
    first = blocked(home, crew)
    some = submit_many(flows.add, [{"x": 1}] * 30, workspace=home)
    late, moved = some[-1], some[3]
    assert late.set(priority=7, author="ada").message == "priority 7 (was 0)"
    assert moved.set(queue="other").applied
    first.kill()
    for handle in some[:3] + some[4:]:
        handle.result(60)
    assert begun(home, some[:3] + some[4:])[0] == late
    assert moved.state is ProcessState.CREATED
    assert "no worker consumes queue other" in moved.why().sentence
    crew.start(queues=("other",))
    assert moved.result(30) == {"result": 2}
    with pytest.raises(ControlRefused, match="has terminated"):
        moved.set(priority=1)
    wrongs: list[dict[str, Any]] = [{"priority": 10}, {"priority": -1}, {"queue": ""}, {"queue": "run:x"}, {}]
    for wrong in [*wrongs, {"priority": "high"}]:
        with pytest.raises(InvalidInput):
            late.set(**wrong)


def test_set_while_it_runs_holds_for_its_children(home: Workspace, crew: Crew) -> None:
    """A chain is moved while it waits for its first children; the next ones are born where it is."""
    crew.start(queues=("default",))
    crew.start(queues=("gpu",), linger=0)
    chain = submit(flows.Approval, names=["a"], workspace=home)
    eventually(lambda: chain.state is ProcessState.WAITING)
    assert "queue gpu" in chain.set(queue="gpu", priority=3).message
    chain.signal("a", 1)
    chain.result(30)
    row = chain.row
    assert (row.queue, row.priority) == ("gpu", 3)


@pytest.fixture
def quince(tmp_path: Path, forks: ForkServer) -> Quince:
    (tmp_path / "folder").mkdir()
    return Quince(tmp_path / "folder", forks)


def test_from_the_shell(quince: Quince) -> None:
    (quince.folder / "flow.py").write_text(
        "from quince import process\n\n@process\ndef one(x: int) -> int:\n    return x\n"
    )
    pids = [quince("submit", "flow.py:one", "x=1").out.strip() for _ in range(2)]
    done = quince("set", *pids, "priority=7", "queue=gpu")
    assert done.out.splitlines()[0] == f"{pids[0]} queue gpu (was default), priority 7 (was 0)"
    assert (
        quince("set", "--queue", "gpu", "priority=2", "--json").document[1]["message"] == "priority 2 (was 7)"
    )
    assert quince("set", pids[0], "--tree", "priority=3").status == 0
    assert "set by" in (told := quince("logs", pids[0]).out)
    assert "queue gpu, priority 7" in told
    assert [one["priority"] for one in quince("ps", "--json").document] == [3, 2]
    for words in (
        (), (pids[0],), (pids[0], "priority=10"), (pids[0], "priority=high"), (pids[0], "name=x"),
        ("priority=3",),
        (pids[0], "queue="),
    ):  # fmt: skip
        assert quince("set", *words).status == 2, words
    assert quince("set", "4711", "priority=3").status == 1
