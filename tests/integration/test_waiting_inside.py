"""Steps that wait, inside, for processes of their own making: nothing locks up while there is a slot."""

from __future__ import annotations

from contextlib import suppress

import pytest

from quince import ProcessExcepted, ProcessKilled, ProcessState, Workspace, get_process, submit, submit_many
from tests import waiting_flows as flows
from tests.crew import Crew, eventually


def test_more_of_them_than_slots_get_on(home: Workspace, crew: Crew) -> None:
    """Each kind of waiting, all at once, and each several times: one worker with two slots."""
    crew.start(1, slots=2)
    handles = [submit(kind, x=7, workspace=home) for kind in flows.KINDS for _ in range(2)]
    handles += [submit(kind, depth=5, workspace=home) for kind in (flows.nested, flows.nested_async)]
    found = [handle.result(60)["result"] for handle in handles]
    assert found == [7] * (len(handles) - 2) + [5, 5]


def test_a_process_of_another_worker_is_waited_for(home: Workspace, crew: Crew) -> None:
    """Each of the two has one slot."""
    crew.start(1, slots=1)
    crew.start(1, slots=1, queues=("other",))
    handles = submit_many(flows.elsewhere, [{"x": 1}, {"x": 2}], workspace=home)
    assert [handle.result(30)["result"] for handle in handles] == [1, 2]


def test_what_could_never_end_is_refused(home: Workspace, crew: Crew) -> None:
    crew.start(1, slots=4)
    with pytest.raises(ProcessExcepted, match=r"WouldDeadlock.*waits for"):
        submit(flows.itself, workspace=home).result(30)
    assert "WouldDeadlock" in submit(flows.Circle, workspace=home).result(30)["text"]
    with suppress(ProcessExcepted):  # the classes are loaded, each in a host of its own perhaps
        submit(flows.blocks_its_own, x=1, workspace=home).result(30)
    with pytest.raises(ProcessExcepted, match=r"event loop that this wait blocks; write `await handle`"):
        submit(flows.blocks_its_own, x=1, workspace=home).result(30)
    pair = [submit(flows.other, inputs={"key": b}, key=a, workspace=home) for a, b in ("ab", "ba")]
    stories = []
    for handle in pair:
        with pytest.raises(ProcessExcepted) as caught:
            handle.result(30)
        stories.append(str(caught.value))
    assert all("WouldDeadlock" in story for story in stories)


def test_why_tells_of_the_wait_and_a_kill_ends_it(home: Workspace, crew: Crew) -> None:
    crew.start(1, slots=1)
    handle = submit(flows.waits_long, seconds=60.0, workspace=home)
    child = handle.pid + 1
    eventually(lambda: f"waits inside for process {child}" in handle.why().sentence, 20)
    assert get_process(child, workspace=home).state is ProcessState.RUNNING
    handle.kill()
    with pytest.raises(ProcessKilled):
        handle.result(20)
    get_process(child, workspace=home).kill()  # it is nobody's child: what a client submits stands alone
    assert submit(flows.by_result, x=3, workspace=home).result(20) == {"result": 3}
