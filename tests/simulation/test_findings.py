"""What the simulation has found, each as a test of its own."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from quince_persistence.errors import StoreUnavailable
from quince_persistence.records import Control, Selection, State
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.operations.claim import ClaimProcesses
from quince_persistence.writing.operations.steps import CommitStep, Release
from quince_persistence.writing.operations.sweep import Wake
from tests.simulation.client import Plan
from tests.simulation.fleet import Machine
from tests.simulation.flows import BLASTS
from tests.simulation.simulation import Course, scene

LEAF: Plan = {"kind": "leaf", "inputs": {"seconds": 0.1, "pause": 0.2}}
TREE: Plan = {"kind": "tree", "inputs": {"first": [LEAF], "second": [], "seconds": 0.0}}


def at_work(course: Course) -> Machine:
    """One worker, which has begun to work."""
    machine = course.fleet.start()
    course.world.run(lambda: False, 3.0)
    assert course.client.store.workers()
    return machine


@pytest.mark.parametrize("operation", [ClaimProcesses, CommitStep, Release, Wake])
@pytest.mark.parametrize("seed", range(3))
def test_a_write_whose_fate_is_unknown_is_neither_lost_nor_done_twice(
    operation: type[Operation[Any]], seed: int
) -> None:
    with scene(seed) as course:
        machine = at_work(course)
        machine.worker.linger = 2.0 if operation is Wake else 0.0
        machine.actor.broken = True
        machine.cable.lose_answer_to(operation)
        course.client.submit(TREE)
        assert course.finish() == []
        assert machine.cable.swallows is None
        assert {row.state for row in course.client.store.select(Selection())} == {State.FINISHED}


@pytest.mark.parametrize("seed", range(20))
def test_a_claim_that_lands_while_its_worker_drains_starts_no_step(seed: int) -> None:
    with scene(seed) as course:
        machine = at_work(course)
        course.client.submit(LEAF)
        slots = machine.worker.slots
        assert course.world.run(lambda: slots.free < slots.total, 5.0)  # the claim is handed in
        course.fleet.stop(machine)
        assert course.world.run(lambda: machine.actor.dead, 10.0)
        assert not course.ledger.runs
        assert course.finish() == []


@pytest.mark.parametrize("seed", range(20))
def test_a_claim_that_lands_while_its_worker_leaves_is_given_back(seed: int) -> None:
    with scene(seed) as course:
        machine = at_work(course)
        course.client.submit(LEAF)
        slots = machine.worker.slots
        assert course.world.run(lambda: slots.free < slots.total, 5.0)  # the claim is handed in
        machine.cable.cut(course.world.now + 0.3)  # it lands when all else is over
        course.fleet.leave(machine)
        assert course.world.run(lambda: machine.actor.dead, 10.0)
        assert not course.ledger.runs
        assert course.client.store.owners() == {}
        assert [line for line in course.world.trace if " failed: " in line] == []
        assert course.finish() == []


def test_a_burial_that_fails_in_the_middle_is_done_again() -> None:
    with scene(1) as course:
        machine, other = at_work(course), at_work(course)
        course.fleet.closing = True
        course.fleet.kill(machine)
        release, released = other.store.release_worker, []

        def fails_once(worker_id: str, **rest: Any) -> Any:
            released.append(worker_id)
            if len(released) == 1:
                raise StoreUnavailable("the store is away just now")
            return release(worker_id, **rest)

        with patch.object(other.store, "release_worker", fails_once):
            assert course.finish() == []
        assert released[:2] == [machine.worker.id] * 2


def test_a_kill_that_comes_before_a_coroutine_has_begun_leaves_nothing_held() -> None:
    with scene(0) as course:
        machine = at_work(course)
        course.client.submit(TREE)
        (pid,) = course.client.roots

        def collects() -> bool:
            runner = machine.worker.runners.get(pid)
            return runner is not None and runner._control.stepping and (pid, 0) in course.ledger.runs

        assert course.world.run(collects, 5.0)
        assert course.world.run(lambda: not collects(), 5.0)
        assert course.world.run(collects, 5.0)  # a thread finds the step, and makes its coroutine
        course.client.control(Control.KILL, [pid], tree=False)
        machine.loop.visit(lambda: machine.worker.runners[pid].notify(Control.KILL))
        assert course.finish() == []
        row = course.client.store.get(pid)
        assert row is not None
        assert row.state is State.KILLED


@pytest.mark.parametrize("seed", range(10))
def test_a_call_that_comes_while_its_worker_leaves_is_no_error(seed: int) -> None:
    with scene(seed) as course:
        machine = at_work(course)
        delay = course.world.random.random() * 0.002
        course.client.communicator.rpc_cast(machine.worker.id, {"verb": "pause", "pids": [1]})
        course.world.after(delay, None, "leave", lambda: course.fleet.leave(machine))
        assert course.finish() == []


@pytest.mark.parametrize("seconds", [0.5, 5.0, 20.0])
@pytest.mark.parametrize("workers", [1, 2])
def test_whose_workers_are_killed_again_and_again_is_run_again(seconds: float, workers: int) -> None:
    """So many seconds after it was begun; and so are its neighbours, which take longer than that."""
    with scene(5) as course:
        for _ in range(workers):
            at_work(course)
        course.client.submit({"kind": "bomb", "inputs": {"seconds": seconds}})
        for _ in range(6):
            course.client.submit({"kind": "plain", "inputs": {"seconds": 14.0}})
        assert course.finish() == []
        rows = course.client.store.select(Selection())
        assert {row.state for row in rows} == {State.FINISHED}
        bomb = min(course.client.roots)
        assert len(course.ledger.runs[bomb, 0]) == BLASTS + 1


def test_what_is_paused_in_its_midst_keeps_no_slot_from_others() -> None:
    with scene(4, hosted=True) as course:
        machine = at_work(course)
        machine.worker.slots.free = machine.worker.slots.total = 1
        for seconds in (5.0, 0.1):
            course.client.submit({"kind": "plain", "inputs": {"seconds": seconds}})
            course.world.run(lambda: bool(course.ledger.runs), 1.0)
            course.client.control(Control.PAUSE, [min(course.client.roots)], tree=False, now=True)
        paused, other = sorted(course.client.roots)
        store = course.client.store
        assert course.world.run(lambda: store.get(other).terminated, 20.0)  # type: ignore[union-attr]
        row = store.get(paused)
        assert row is not None
        assert (row.paused, row.owner) == (True, machine.worker.id)
        assert course.finish() == []
        assert machine.worker.slots.free == 1


@pytest.mark.parametrize("seed", range(3))
def test_who_is_declared_dead_while_it_registers_registers_anew(seed: int) -> None:
    with scene(seed) as course:
        machine = course.fleet.start()
        assert course.world.run(lambda: bool(course.client.store.workers()), 5.0)  # it has not heard of that
        course.client.store.release_worker(machine.worker.id).result()
        machine.loop.visit(machine.worker._start_anew)
        course.client.submit(LEAF)
        assert course.finish() == []
        assert len(course.fleet.machines) == 1
