"""Programs that fork after they have used Quince: web servers that load first, multiprocessing, steps."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from quince import Workspace, run, submit
from quince.settings import BROKER_VARIABLE, STORE_VARIABLE
from quince.workspace.location import Location
from tests import flows
from tests.children import Child, in_child
from tests.crew import Crew, eventually


def test_children_of_a_program_that_has_used_quince(home: Workspace, crew: Crew) -> None:
    """Each sees what is asked for, submits, controls and waits; the parent goes on."""
    crew.start()
    first = submit(flows.add, x=1, workspace=home)
    assert first.result(30) == {"result": 2}

    def child(x: int) -> tuple[int, int]:
        assert first.outputs == {"result": 2}
        held = submit(flows.add, x=1, queue="nobody", workspace=home)
        assert held.kill("by a child").accepted
        handle = submit(flows.add, x=x, workspace=home)
        return handle.pid, handle.result(30)["result"]

    children = [Child(lambda x=x: child(x)) for x in range(10, 13)]  # type: ignore[misc]
    mine = submit(flows.add, x=5, workspace=home)
    assert mine.result(30) == {"result": 6}
    answers = [one.answer() for one in children]
    assert [result for _, result in answers] == [11, 12, 13]
    assert len({mine.pid, *(pid for pid, _ in answers)}) == 4
    assert in_child(lambda: in_child(lambda: child(20)))[1] == 21
    assert submit(flows.add, x=6, workspace=home).result(30) == {"result": 7}


@pytest.fixture
def found(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workspace that is found from here, also by steps, is that of the test."""
    monkeypatch.setenv(STORE_VARIABLE, location.store)
    monkeypatch.setenv(BROKER_VARIABLE, location.broker)
    monkeypatch.chdir(location.folder)


@pytest.mark.usefixtures("found")
def test_a_step_that_forks(home: Workspace, crew: Crew) -> None:
    crew.start()
    assert submit(flows.Forking, x=3, workspace=home).result(60) == {"statuses": [0, 0]}
    assert submit(flows.add, x=1, workspace=home).result(30) == {"result": 2}, "the worker is as it was"


@pytest.mark.usefixtures("found")
def test_run_forks_and_is_called_in_forks(home: Workspace, crew: Crew) -> None:
    crew.start()  # for what the step's child submits
    assert run(flows.Forking, x=3, workspace=home) == {"statuses": [0, 0]}
    assert in_child(lambda: dict(run(flows.add, x=4, workspace=home))) == {"result": 5}
    assert run(flows.add, x=6, workspace=home) == {"result": 7}


def test_a_child_that_a_step_has_forked_ends_with_its_worker(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    (worker,) = crew.start()
    ledger = tmp_path / "ledger"
    handle = submit(flows.LeavesAChild, ledger=str(ledger), workspace=home)
    child = psutil.Process(int(eventually(lambda: ledger.exists() and ledger.read_text())))
    crew.start()
    worker.kill()
    eventually(lambda: ledger.read_text().count("\n") == 2, timeout=5, what="the takeover")
    assert handle.result(30) == {}
    child.wait(5)
