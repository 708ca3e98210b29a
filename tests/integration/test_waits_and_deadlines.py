"""Waiting for the first of several or at most for a time, and deadlines, with real workers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from quince import ProcessHandle, ProcessKilled, ProcessState, Workspace, run, submit
from quince_persistence.records import ProcessRow, Selection
from tests.crew import Crew, eventually
from tests.integration import wait_flows as flows

LONG = 600


def children(home: Workspace, handle: ProcessHandle[Any]) -> list[ProcessRow]:
    return sorted(home.store.select(Selection(parent=handle.pid)), key=lambda row: row.pid)


@pytest.mark.parametrize("linger", [0, 60])
def test_the_first_child_ends_the_wait_and_the_others_are_killed(
    home: Workspace, crew: Crew, linger: float
) -> None:
    crew.start(2, linger=linger)
    handle = submit(flows.Race, seconds=[LONG, 0.2, LONG], workspace=home)
    assert handle.result(60)["seen"] == {
        "late": False, "first": [False, True, False], "word": None, "now": False,
        "states": ["killed", "finished", "killed"], "slept": [None, 0.2, None],
    }  # fmt: skip
    assert children(home, handle)[0].status == f"killed by process {handle.pid}"


@pytest.mark.parametrize("linger", [0, 60])
def test_a_signal_or_the_time_ends_the_wait(home: Workspace, crew: Crew, linger: float) -> None:
    crew.start(1, linger=linger)
    called = submit(flows.Race, seconds=[LONG, LONG], timeout="1 h", workspace=home)
    late = submit(flows.Race, seconds=[LONG], timeout=1, workspace=home)
    eventually(lambda: called.state is ProcessState.WAITING)
    sentence = called.why().sentence
    assert sentence.startswith("it waits for the first of 2 processes to end (")
    assert "signal word and at most 60 min" in sentence
    called.signal("word", "now")
    seen = called.result(60)["seen"]
    assert (seen["late"], seen["first"], seen["word"]) == (False, [False, False], "now")
    seen = late.result(60)["seen"]
    assert (seen["late"], seen["first"], seen["states"]) == (True, [False], ["killed"])


def test_all_or_a_time(home: Workspace, crew: Crew) -> None:
    crew.start(1)
    handle = submit(flows.Patient, seconds=[0.1, 3], timeout="1 s", workspace=home)
    assert handle.result(60)["seen"] == [[True, [True, False], None], [False, [True, True], None]]
    in_time = submit(flows.Patient, seconds=[0.1], timeout=LONG, workspace=home)
    in_time.signal("word", 1)
    assert in_time.result(60)["seen"] == [[False, [True], 1], [False, [True], 1]]


def test_here_and_now(home: Workspace) -> None:
    seen = run(flows.Race, seconds=[LONG, 0.1], timeout=LONG, workspace=home)["seen"]
    assert (seen["first"], seen["states"]) == ([False, True], ["killed", "finished"])
    assert run(flows.Patient, seconds=[1.5], timeout=0.2, workspace=home)["seen"][0] == [True, [False], None]


def test_a_killed_worker_changes_nothing(home: Workspace, crew: Crew) -> None:
    first, _ = crew.start(2, linger=60)
    handles = [submit(flows.Race, seconds=[LONG, 1.0], timeout=LONG, workspace=home) for _ in range(4)]
    eventually(lambda: all(len(children(home, one)) == 2 for one in handles))
    first.kill()
    for handle in handles:
        assert handle.result(90)["seen"]["first"] == [False, True]


# Deadlines


def test_a_tree_is_killed_when_its_time_is_over(home: Workspace, crew: Crew) -> None:
    crew.start(1)
    handle = submit(flows.Parent, deadline="2 s", workspace=home)
    eventually(lambda: len(children(home, handle)) == 2)
    assert any("its deadline is " in line for line in handle.why().evidence)
    with pytest.raises(ProcessKilled, match=r"its deadline \(20.*Z\) is over"):
        handle.result(60)
    eventually(lambda: all(row.state is ProcessState.KILLED for row in children(home, handle)))
    for row in children(home, handle):
        assert (row.status or "").startswith(f"the deadline of process {handle.pid} (")
    assert "its deadline" in handle.why().sentence


def test_paused_queued_and_running_ones_too(home: Workspace, crew: Crew) -> None:
    crew.start(1)
    asked = [
        submit(flows.Nap, seconds=LONG, deadline=0.5, queue="nowhere", workspace=home),
        submit(flows.Nap, seconds=LONG, deadline=0.5, workspace=home),
        submit(flows.Brief, seconds=LONG, workspace=home),
        submit(flows.Nap, seconds=LONG, deadline="1 s", workspace=home),
    ]
    asked[3].pause()
    spared = submit(flows.Brief, seconds=0.1, deadline="1 h", workspace=home)
    for handle in asked:
        with pytest.raises(ProcessKilled, match="its deadline"):
            handle.result(60)
    assert spared.result(60) == {"slept": 0.1}


def test_in_run(home: Workspace) -> None:
    began = time.monotonic()
    with pytest.raises(ProcessKilled, match="its deadline"):
        run(flows.Nap, seconds=LONG, deadline=0.5, workspace=home)
    assert time.monotonic() - began < LONG
