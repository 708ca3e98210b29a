"""Progress, status and reports are seen while a step runs, and not twice when it commits."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from quince import ProcessExcepted, ProcessHandle, Workspace, find, run, submit
from quince.monitor.words import doing
from quince_persistence.records import Progress
from tests.crew import Crew, eventually
from tests.integration import telling_flows as flows


def reports(handle: ProcessHandle[Any]) -> list[str]:
    return [str(event.body["text"]) for event in handle.history() if event.kind == "report"]


def told(handle: ProcessHandle[Any]) -> bool:
    return handle.progress == Progress(3, 4, "waits")


@pytest.mark.parametrize("flow", [flows.Says, flows.SaysInCoroutine, flows.SaysInThread])
def test_it_is_seen_while_the_step_runs(home: Workspace, crew: Crew, tmp_path: Path, flow: Any) -> None:
    crew.start(1)
    gate = tmp_path / "gate"
    handle = submit(flow, gate=str(gate), workspace=home)
    eventually(lambda: told(handle))
    assert (handle.status, reports(handle)) == ("counted", ["begins"])
    step = "run" if flow is flows.SaysInCoroutine else "work"
    assert doing(handle.row, status=False) == f"{step} · 3/4 (75 %) waits · counted"
    sentence = handle.why().sentence
    assert f"is in step {step} for " in sentence
    assert sentence.endswith(", and has done 3 of 4 (waits)")
    gate.touch()
    handle.result(60)
    assert reports(handle)[:2] == ["begins", "goes on"]
    assert len(reports(handle)) == (2 if flow is flows.SaysInCoroutine else 3)
    assert handle.progress is None


def test_what_a_step_said_before_it_crashed_stays(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    crew.start(1)
    gate = tmp_path / "gate"
    handle = submit(flows.Says, gate=str(gate), crash=True, workspace=home)
    eventually(lambda: told(handle))
    gate.touch()
    handle.result(60)
    said = [(e.body["text"], e.body.get("attempt")) for e in handle.history() if e.kind == "report"]
    again = [("begins", 2), ("goes on", 2), ("after", None)]
    assert said in ([("begins", None), *again], [("begins", None), ("goes on", None), *again])


def test_a_kill_keeps_what_was_said(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    crew.start(1)
    handle = submit(flows.Says, gate=str(tmp_path / "gate"), workspace=home)
    eventually(lambda: told(handle))
    handle.kill("enough")
    eventually(lambda: handle.terminated)
    assert reports(handle) == ["begins"]


def test_a_step_that_fails_at_once_keeps_how_far_it_was(home: Workspace) -> None:
    with pytest.raises(ProcessExcepted, match="no space left"):
        run(flows.Fails, workspace=home)
    (handle,) = find(cls=flows.Fails, workspace=home)
    assert handle.progress == Progress(2, 4, "boxes")


def test_here_and_now(home: Workspace, tmp_path: Path) -> None:
    gate, seen = tmp_path / "gate", []

    def look() -> None:
        (handle,) = eventually(lambda: find(cls=flows.Says, workspace=home))
        eventually(lambda: told(handle))
        seen.extend([handle.status, *reports(handle)])
        gate.touch()

    watching = threading.Thread(target=look)
    watching.start()
    run(flows.Says, gate=str(gate), workspace=home)
    watching.join()
    (handle,) = find(cls=flows.Says, workspace=home)
    assert (seen, reports(handle)) == (["counted", "begins"], ["begins", "goes on", "after"])


def test_what_is_no_number_is_refused(home: Workspace) -> None:
    with pytest.raises(ProcessExcepted, match=r"progress\(done=\.\.\.\) is a number, and not 'half'"):
        run(flows.Misuses, workspace=home)
