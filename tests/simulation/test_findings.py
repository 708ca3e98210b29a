"""What the simulation has found, each as a test of its own."""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from quince_persistence.errors import StoreUnavailable
from quince_persistence.records import MAX_DEATHS, Control, Selection, State
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.operations.claim import ClaimProcesses
from quince_persistence.writing.operations.steps import CommitStep, Release
from quince_persistence.writing.operations.sweep import Wake
from tests.simulation.client import Plan
from tests.simulation.fleet import Machine
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


def given_up(course: Course) -> tuple[set[int], set[int]]:
    """Those that were taken for what kills workers, and all others that have ended."""
    rows = course.client.store.select(Selection())
    blamed = {row.pid for row in rows if row.state is State.EXCEPTED}
    return blamed, {row.pid for row in rows if row.state is State.FINISHED}


@pytest.mark.parametrize("seconds", [0.5, 5.0, 20.0])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_slow_poison_ends_alone(seconds: float, workers: int) -> None:
    """A process kills each worker so many seconds after it was begun; neighbours that take longer than that
    are not given up for it, and it is, after five deaths in which nothing else was at work."""
    with scene(5) as course:
        for _ in range(workers):
            at_work(course)
        course.client.submit({"kind": "bomb", "inputs": {"seconds": seconds}})
        for _ in range(6):
            course.client.submit({"kind": "plain", "inputs": {"seconds": 14.0}})
        poison, *neighbours = course.client.roots
        assert course.finish() == []
        assert given_up(course) == ({poison}, set(neighbours))
        row = course.client.store.get(poison)
        assert row is not None
        assert row.deaths_alone == MAX_DEATHS
        assert "5 workers died while they held this process" in (row.exit_message or "")


@pytest.mark.parametrize("seed", range(6))
def test_an_innocent_process_is_not_given_up_for_five_that_are_not(seed: int) -> None:
    """Each of the five dies with it, one after the other."""
    with scene(seed) as course:
        at_work(course)
        course.client.submit({"kind": "plain", "inputs": {"seconds": 20.0}})
        for number in range(5):
            bomb = {"kind": "bomb", "inputs": {"seconds": 0.5}}
            course.world.after(0.5 + 6.0 * number, None, "submit", partial(course.client.submit, bomb))
        course.world.run(lambda: len(course.client.roots) == 6, 40.0)
        innocent, *bombs = course.client.roots
        assert course.finish() == []
        assert given_up(course) == (set(bombs), {innocent})
