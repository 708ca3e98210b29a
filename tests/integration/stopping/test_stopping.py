"""A kill stops any step, whatever it does, and costs nobody else anything."""

from __future__ import annotations

import time

import pytest

from quince import ProcessState, Workspace
from quince_persistence.records import Control, Selection
from tests.crew import eventually
from tests.integration.stopping import flows
from tests.integration.stopping.scene import GRACE, Scene, Subject, gone


def kill(subjects: list[Subject], *, force: bool = False) -> float:
    """Kill all of them; the seconds until that is applied to the last one."""
    began = time.monotonic()
    answers = [subject.handle.kill("enough", force=force) for subject in subjects]
    for answer, subject in zip(answers, subjects, strict=True):
        assert answer.accepted
        assert answer.wait(30).applied, subject.notes.name
        assert subject.handle.state is ProcessState.KILLED
        assert subject.handle.row.exit_message == "enough"
    return time.monotonic() - began


def test_a_function_gets_the_time_to_clean_up_and_its_children_end_with_it(stage: Scene) -> None:
    subjects = stage.begun(*flows.POLITE)
    kill(subjects)
    for subject in subjects:
        eventually(lambda one=subject: one.cleaned, what=subject.notes.name)  # type: ignore[misc]
        assert not subject.deaths
    gone(*subjects, hosts=True)


def test_a_function_that_does_not_end_is_ended_after_the_grace(stage: Scene) -> None:
    subjects = stage.begun(*flows.STUBBORN)
    assert kill(subjects) >= GRACE
    gone(*subjects, hosts=True)
    assert "handled" in subjects[2].lines
    assert not any(subject.cleaned or subject.deaths for subject in subjects)


def test_a_function_is_ended_at_once_by_force(stage: Scene) -> None:
    subjects = stage.begun(*flows.POLITE, *flows.STUBBORN)
    began = time.monotonic()
    kill(subjects, force=True)
    gone(*subjects, hosts=True)
    assert time.monotonic() - began < GRACE
    assert not any(subject.cleaned for subject in subjects)


@pytest.mark.parametrize("force", [False, True])
def test_a_thread_is_stopped_with_its_host(stage: Scene, *, force: bool) -> None:
    counting, sleeping = stage.begun(flows.count_blocking, flows.sleep, flow=flows.Threaded)
    assert counting.ospids == sleeping.ospids
    before = list(counting.ospids)
    assert (kill([sleeping], force=force) < GRACE) is force
    gone(sleeping, hosts=True)
    eventually(lambda: counting.ospids != before, what="the next run of the neighbour")
    counting.ends_well()
    assert "not to blame" in counting.deaths[0]


def test_a_kill_by_force_whose_message_is_lost_is_noticed(scene: Scene, home: Workspace) -> None:
    """It is written into the store, and nobody tells the worker. One of them is stopped already."""
    subjects = scene.begun(flows.sleep, flows.swallow)
    subjects[1].handle.pause(now=True).wait(30)
    pids = Selection(pids=[subject.handle.pid for subject in subjects])
    home.store.control(Control.KILL, pids, author="tester", force=True).result()
    gone(*subjects, hosts=True)


def test_what_waits_behind_others_is_taken_back(stage: Scene) -> None:
    subjects = [stage.begin(flows.sleep) for _ in range(24)]
    kill(subjects)
    begun = [subject for subject in subjects if subject.ospids]
    gone(*begun, hosts=True)
    assert all(not subject.lines or subject.cleaned for subject in subjects)


def test_a_coroutine_is_cancelled_beside_others(stage: Scene) -> None:
    counting, subjects = stage.beside(*flows.CANCELLED)
    assert kill(subjects) < GRACE
    assert all(subject.cleaned for subject in subjects)
    assert "slowly" in subjects[1].lines
    gone(*subjects, hosts=False)
    assert counting.goes_on()
    counting.ends_well()
    assert not counting.deaths


def test_a_coroutine_that_has_a_host_to_itself(stage: Scene) -> None:
    polite = stage.begun(*flows.CANCELLED, flows.block_the_loop, flow=flows.Mixed)
    stubborn = stage.begun(*flows.ABANDONED, flows.hold_the_loop, flow=flows.Mixed)
    assert len({subject.ospids[0] for subject in polite + stubborn}) == len(polite + stubborn)
    kill(polite)
    assert all(subject.cleaned for subject in polite)
    assert kill(stubborn) >= GRACE
    gone(*polite, *stubborn, hosts=True)


def test_a_coroutine_that_swallows_its_cancellation_is_abandoned(stage: Scene) -> None:
    counting, subjects = stage.beside(*flows.ABANDONED)
    assert kill(subjects) >= GRACE
    assert counting.goes_on()
    counting.ends_well()
    assert not counting.deaths
    assert len(counting.ospids) == 1


def test_a_coroutine_that_blocks_the_loop_is_interrupted_where_it_is(stage: Scene) -> None:
    counting, subjects = stage.beside(flows.wait, flows.block_the_loop)
    assert kill(subjects[1:]) < GRACE
    assert subjects[1].cleaned
    assert counting.goes_on()
    assert kill(subjects[:1]) < GRACE
    counting.ends_well()
    assert not counting.deaths


def test_one_that_waits_is_killed_by_force_while_another_one_blocks_the_loop(stage: Scene) -> None:
    counting, (waiting, blocking) = stage.beside(flows.run_a_command, flows.block_the_loop)
    kill([waiting], force=True)
    assert not any(subject.deaths for subject in (counting, waiting, blocking))
    kill([blocking], force=True)
    gone(waiting, hosts=False)
    assert counting.goes_on()
    counting.ends_well()
    assert not counting.deaths


@pytest.mark.parametrize("force", [False, True])
def test_one_that_cannot_be_interrupted_costs_its_neighbours_nothing_but_time(
    scene: Scene, *, force: bool
) -> None:
    counting, subjects = scene.beside(flows.hold_the_loop)
    host = counting.ospids[0]
    assert (kill(subjects, force=force) < GRACE) is force
    eventually(lambda: counting.ospids[0] != host, what="the next run of the neighbour")
    (death,) = counting.deaths
    assert f"killed to stop process {subjects[0].handle.pid}" in death
    assert "not to blame" in death
    assert counting.handle.row.deaths_alone == 0
    counting.ends_well()
