"""Signals to processes that wait, lingering and evicted, will wait, or have ended; and what is killed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from quince import (
    ControlRefused,
    ProcessExcepted,
    ProcessHandle,
    ProcessNotFound,
    ProcessState,
    Unsaveable,
    Workspace,
    submit,
)
from quince.client.remote import RemoteControl
from quince.workspace.location import Location
from tests import flows
from tests.crew import Crew, eventually


def waiting(home: Workspace, **inputs: Any) -> ProcessHandle:
    handle = submit(flows.Approval, workspace=home, **inputs)
    eventually(lambda: handle.state is ProcessState.WAITING)
    return handle


def test_one_that_lingers_goes_on(home: Workspace, crew: Crew) -> None:
    crew.start(2, linger=600)
    handle = waiting(home)
    assert handle.row.owner is not None
    assert "signal approval" in handle.why().sentence
    handle.signal("approval", {"by": "ada", "at": [1, 2]}, author="ada")
    assert handle.result(30) == {"values": [{"by": "ada", "at": [1, 2]}]}
    assert [(e.body["name"], e.author) for e in handle.history() if e.kind == "signal"] == [
        ("approval", "ada")
    ]


def test_one_that_was_evicted_goes_on(home: Workspace, crew: Crew) -> None:
    crew.start(linger=0)
    handle = waiting(home)
    eventually(lambda: handle.row.owner is None)
    handle.signal("approval", "yes")
    assert handle.result(30) == {"values": ["yes"]}


def test_sent_before_anybody_waits_and_with_no_worker(home: Workspace, crew: Crew) -> None:
    handle = submit(flows.Approval, names=["a", "b", "a"], workspace=home)
    for name, value in (("a", 1), ("unasked", 2), ("a", 3), ("b", 4), ("a", 5)):
        handle.signal(name, value)
    crew.start()
    assert handle.result(30) == {"values": [1, 4, 3]}


def test_a_timeout_ends_the_wait(home: Workspace, crew: Crew) -> None:
    crew.start()
    brief = submit(flows.Approval, timeout=0.2, workspace=home)
    some = submit(flows.Approval, names=["a", "b"], timeout=3, workspace=home)
    some.signal("b", "came")
    eventually(lambda: some.state is ProcessState.WAITING)
    assert some.why().sentence.startswith("it waits for signal a and at most ")
    in_time = waiting(home, timeout=600)
    in_time.signal("approval", "yes")
    assert in_time.result(30) == {"values": ["yes"]}
    assert brief.result(30) == {"values": [None]}
    assert some.result(30) == {"values": [None, "came"]}


def test_steps_signal_other_processes(home: Workspace, crew: Crew) -> None:
    crew.start(2)
    assert submit(flows.Rally, workspace=home).result(30) == {"values": [1, 2]}


def test_a_killed_worker_costs_no_signal(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    """Each is used once: by the step that commits, whoever runs it."""
    ledger = tmp_path / "ledger"
    first, _ = crew.start(2, linger=600)
    handles = [submit(flows.Approval, ledger=str(ledger), workspace=home) for _ in range(20)]
    eventually(lambda: all(handle.state is ProcessState.WAITING for handle in handles))
    for number, handle in enumerate(handles):
        handle.signal("approval", number)
        if number == 7:
            first.kill()
    assert [handle.result(60)["values"] for handle in handles] == [[number] for number in range(20)]
    asked = Counter(line for line in ledger.read_text().splitlines() if line.startswith("ask"))
    assert set(asked.values()) == {1}


def test_a_value_that_does_not_go_into_the_context_ends_the_process(home: Workspace, crew: Crew) -> None:
    crew.start()
    handle = submit(flows.Clumsy, workspace=home)
    handle.signal("go")
    with pytest.raises(
        ProcessExcepted,
        match=r"to_context\(value=append_\(\.\.\.\)\) appends to a list, and self\.ctx\.value is 7",
    ):
        handle.result(30)


def test_over_the_broker_alone(home: Workspace, crew: Crew, location: Location) -> None:
    crew.start(2)
    handle = waiting(home)
    with RemoteControl(location.broker) as remote:
        assert remote.status(handle.pid)["signals"] == ["approval"]
        answer = remote.signal(handle.pid, "approval", [1, "two"])
        assert answer["accepted"]
        assert answer["by"].startswith("test-worker")
        assert handle.result(30) == {"values": [[1, "two"]]}
        refused = remote.signal(handle.pid, "approval")
        assert not refused["accepted"]
        assert "finished" in refused["message"]


def test_what_cannot_be_sent_is_refused(home: Workspace, crew: Crew) -> None:
    handle = submit(flows.Approval, queue="nobody", workspace=home)
    with pytest.raises(Unsaveable, match=r"signal go.*object"):
        handle.signal("go", object())
    with pytest.raises(ValueError, match="name of a signal"):
        handle.signal("")
    with pytest.raises(ProcessNotFound, match="99999"):
        ProcessHandle(99999, home).signal("go")
    handle.kill()
    with pytest.raises(ControlRefused, match=r"has terminated \(killed\)"):
        handle.signal("go")
    assert [e for e in handle.history() if e.kind == "signal"] == []
