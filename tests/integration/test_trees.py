"""Trees and selections: controlled as one, and looked at."""

from __future__ import annotations

import functools
from pathlib import Path

from quince import ProcessHandle, ProcessState, Workspace, submit
from quince.client.control import control
from quince_persistence.records import Control, Selection
from tests import flows
from tests.crew import Crew, eventually
from tests.integration.race_flows import LaunchesLate, Twins


def test_a_pause_of_a_tree_pauses_what_is_born_into_it(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    crew.start()
    gate, ledger = tmp_path / "gate", tmp_path / "ledger"
    parent = submit(LaunchesLate, gate=str(gate), ledger=str(ledger), workspace=home)
    eventually(ledger.exists, what="the first step")
    (answer,) = control(home, Control.PAUSE, Selection(trees=[parent.pid]), reason="all of it", author="ada")
    gate.touch()
    assert answer.wait(30).applied
    children = home.store.select(Selection(parent=parent.pid))
    assert [(child.state, child.paused) for child in children] == [(ProcessState.CREATED, True)] * 3
    assert "its tree was paused by ada" in ProcessHandle(children[0].pid, home).why().sentence
    control(home, Control.PLAY, Selection(trees=[parent.pid]))
    assert parent.result(30) == {"total": 6}


def test_a_kill_of_a_parent_kills_its_children(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    """In one transaction, wherever they are: waiting, running in this worker or that, queued, paused."""
    crew.start()
    crew.start(queues=("other",))
    gate = tmp_path / "gate"
    queues = ["default", "other", "nobody", "nobody"]
    parent = submit(Twins, gate=str(gate), queues=queues, workspace=home)
    children = eventually(lambda: home.store.select(Selection(parent=parent.pid)))
    eventually(
        lambda: len(home.store.select(Selection(parent=parent.pid, states=[ProcessState.RUNNING]))) == 2
    )
    ProcessHandle(children[0].pid, home).pause()
    answer = parent.kill("enough", author="ada")
    assert answer.wait(30).applied
    eventually(lambda: all(child.state is ProcessState.KILLED for child in parent.tree()))
    for child in children:
        told = [event for event in ProcessHandle(child.pid, home).history() if event.kind == "control"][-1]
        assert (told.author, told.body["verb"], told.body["reason"]) == ("ada", "kill", "enough")


def test_a_selection_by_queue_and_age(home: Workspace) -> None:
    old = [submit(flows.add, x=1, queue=queue, workspace=home) for queue in ("a", "b")]
    between = old[1].row.created
    new = eventually(functools.partial(_younger, home, between))
    assert new is not None
    answers = control(home, Control.PAUSE, Selection(queue="b", until=between, live=True))
    assert [answer.pid for answer in answers] == [old[1].pid]
    assert not new.paused
    answers = control(home, Control.KILL, Selection(queue="b", since=new.row.created, live=True))
    assert [answer.pid for answer in answers] == [new.pid]


def _younger(home: Workspace, moment: float) -> ProcessHandle | None:
    handle = submit(flows.add, x=1, queue="b", workspace=home)
    return handle if handle.row.created > moment else None


def test_a_tree_tells_step_and_what_is_awaited(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    crew.start()
    gate = tmp_path / "gate"
    parent = submit(Twins, gate=str(gate), queues=["default", "nobody"], workspace=home)
    timed = submit(flows.Timed, seconds=300, workspace=home)
    eventually(lambda: parent.state is ProcessState.WAITING and timed.state is ProcessState.WAITING)
    tree = parent.tree()
    first, second = tree.children
    assert (tree.step, list(tree.waits_for)) == ("collect", [first.pid, second.pid])
    assert [branch.pid for branch in tree] == [parent.pid, first.pid, second.pid]
    assert first.lasted >= first.unchanged >= 0
    assert 0 < (timed.tree().due or 0) <= 300
    gate.touch()
    eventually(lambda: parent.tree().children[0].terminated)
    assert list(parent.tree().waits_for) == [second.pid]
