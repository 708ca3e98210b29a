"""The daemon stops and replaces its workers in the time that it is given, and says so when it has."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from quince import ProcessExcepted, Workspace, submit
from quince.cli.tail import Tail, as_json
from quince.daemon import operations as daemon
from quince.daemon.files import DaemonFiles, Settings
from quince.daemon.orphans import Orphan
from quince.daemon.process_tree import ProcessTree
from quince.errors import DaemonError
from quince.workspace.location import Location
from quince.workspace.workspace import make_store
from quince_persistence.records import Selection
from tests import flows
from tests.crew import ROOT, eventually


@pytest.fixture
def running(location: Location, monkeypatch: pytest.MonkeyPatch) -> Iterator[Location]:
    """A daemon of one worker whose steps get next to no time, if nobody says otherwise."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("QUINCE_CHECK", "0")
    make_store(location)
    daemon.start(location, Settings(workers=1, slots=4, grace=0.5))
    yield location
    daemon.stop(location, 0)


def family(location: Location) -> list[psutil.Process]:
    supervisor = psutil.Process(daemon.state(location).ospid)
    return [supervisor, *supervisor.children(recursive=True)]


def blocked(home: Workspace, name: str) -> Path:
    """The gate of a process that is in a step."""
    gate = home.location.folder / name
    submit(flows.Blocker, gate=str(gate), workspace=home)
    eventually(gate.with_name(f"{name}.blocked").exists, what="the step")
    return gate


def test_steps_get_the_time_that_was_granted(home: Workspace, running: Location) -> None:
    """More than the workers would have given by themselves; what is waited for is said; and nothing lives."""
    gate, members = blocked(home, "gate"), family(running)
    (worker,) = home.store.workers()
    talker = submit(flows.Talker, gate=str(gate), workspace=home)
    failing = submit(flows.Fails, workspace=home)
    with pytest.raises(ProcessExcepted):
        failing.result(30)
    opener = threading.Timer(4.0, gate.touch)
    opener.start()
    said: list[str] = []
    assert daemon.stop(running, 60, said.append)
    assert gate.exists(), "the step was cut off"
    (sentence,) = said
    assert f"worker-1 (process {members[1].pid}" in sentence
    assert "steps that run have 60 s to end" in sentence
    assert home.store.owners() == {}
    assert not [row for row in home.store.select(Selection()) if not row.terminated]
    assert not [member for member in members if member.is_running() and member.status() != "zombie"]
    logs = [json.loads(line) for file in DaemonFiles(running.folder).logs() for line in shown(file)]
    facts = {line["message"]: line for line in logs}
    about = {"worker": worker.id, "queue": "default", "process": worker.ospid, "log": "worker-1"}
    for message in ("printed by a step", "logged by a step"):
        told = {"pid": talker.pid, "class": "tests.flows:Talker", "step": "run", **about}
        assert {name: facts[message][name] for name in told} == told
    (excepted,) = (line for line in logs if "excepted" in line["message"])
    told = {"pid": failing.pid, "class": "tests.flows:Fails", "error": "ZeroDivisionError", **about}
    assert {name: excepted[name] for name in told} == told
    assert facts["the daemon has stopped"]["log"] == "daemon"


def shown(file: Path) -> list[str]:
    """The log as `quince daemon logs --json` prints it."""
    return [text for line in Tail(file).fresh() for text in as_json(file, line)]


def test_what_is_not_done_in_time_is_left_and_nothing_lives(
    home: Workspace, running: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, members = blocked(home, "gate"), family(running)
    monkeypatch.setattr("quince.daemon.operations.LAST_SECONDS", 1.0)
    monkeypatch.setattr("quince.daemon.operations.HURRY_SECONDS", 1.0)
    members[0].suspend()  # the supervisor hears nothing
    with monkeypatch.context() as patch:
        patch.setattr(ProcessTree, "kill", lambda _self: None)  # as if nothing could end it
        with pytest.raises(DaemonError, match=f"has not stopped.*{members[0].pid}"):
            daemon.stop(running, 0)
    began = time.monotonic()
    assert daemon.stop(running, 0)
    assert time.monotonic() - began < 60
    assert not [member for member in members if member.is_running() and member.status() != "zombie"]
    assert not daemon.state(running).running
    assert not daemon.stop(running)
    gate.touch()


def test_restart_returns_when_all_are_replaced(home: Workspace, running: Location) -> None:
    gate = blocked(home, "gate")
    (before,) = home.store.workers()
    said: list[str] = []
    opener = threading.Timer(4.0, gate.touch)
    opener.start()
    daemon.restart(running, 60, said.append)
    assert gate.exists(), "the step was cut off"
    (after,) = home.store.workers()
    assert before.id != after.id
    assert [sentence for sentence in said if str(before.ospid) in sentence]
    assert submit(flows.add, x=1, workspace=home).result(30) == {"result": 2}


def test_a_tree_of_processes_that_are_gone_is_empty() -> None:
    nobody = ProcessTree(None, [Orphan("worker-1", 2**22 + 1)])
    assert nobody.gone_within(0)
    assert str(nobody) == ""
