"""A step that asks `self.stopping` hears of a pause, and of a worker that leaves, while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from quince import Process, ProcessState, Workspace, submit
from quince.daemon import operations as daemon
from quince.daemon.files import Settings
from tests.crew import ROOT, Crew, eventually
from tests.integration.stopping import flows
from tests.integration.stopping.scene import Scene, Subject


def begin(flow: type[Process], home: Workspace, folder: Path) -> Subject:
    notes = folder / f"{flow.__name__}-{len(list(folder.iterdir()))}"
    notes.touch()
    given = {"notes": str(notes)} | ({"manner": ""} if issubclass(flow, flows.Asks) else {})
    return Subject(submit(flow, inputs=given, workspace=home), notes)


def hears(subject: Subject, *lines: str) -> None:
    """Wait until it has told of just these."""
    eventually(lambda: subject.lines[1:] == list(lines), what=f"{lines} of {subject.notes.name}")


def begun(subject: Subject) -> Subject:
    eventually(lambda: subject.ospids, what=f"the beginning of {subject.notes.name}")
    return subject


def test_a_pause_is_heard_and_a_play_takes_it_back(home: Workspace, scene: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    subjects = [begun(begin(flow, home, folder)) for flow in flows.ASKING]
    for subject in subjects:
        answer = subject.handle.pause("a look")
        hears(subject, "asked")
        assert not answer.applied
    for subject in subjects:
        subject.handle.play()
        hears(subject, "asked", "taken back")
    for subject in subjects:
        subject.ends_well()
        assert not subject.handle.paused
        assert subject.lines[1:] == ["asked", "taken back"]


def test_the_next_step_in_the_same_host_hears_nothing_of_it(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    crew.start(slots=1)
    folder = tmp_path / "notes"
    folder.mkdir()
    paused = begun(begin(flows.Leaves, home, folder))
    paused.handle.pause("a look")
    paused.gets_paused()
    hears(paused, "asked")
    other = begun(begin(flows.Asks, home, folder))
    assert other.ospids == paused.ospids, "the host is kept"
    other.ends_well()
    assert other.lines[1:] == []
    paused.handle.play()
    assert paused.handle.wait(30).state is ProcessState.FINISHED
    assert paused.lines[1:] == ["asked", f"goes on in {paused.ospids[0]}: False"]


def test_a_daemon_that_stops_is_heard_and_the_next_one_goes_on(
    home: Workspace, crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    folder = tmp_path / "notes"
    folder.mkdir()
    leaving = [begin(flows.Leaves, home, folder) for _ in range(2)]
    daemon.start(home.location, Settings(slots=8))
    try:
        for subject in leaving:
            begun(subject)
    finally:
        daemon.stop(home.location, 600)
    for subject in leaving:
        assert subject.lines[1:] == ["asked"]
        assert not subject.deaths
    crew.start()
    for subject in leaving:
        assert subject.handle.wait(30).state is ProcessState.FINISHED
        assert subject.lines[2].endswith(": False")


def test_a_worker_that_drains_is_heard_in_each_kind_of_step(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    (worker,) = crew.start()
    folder = tmp_path / "notes"
    folder.mkdir()
    subjects = [begun(begin(flow, home, folder)) for flow in flows.ASKING]
    worker.process.terminate()
    for subject in subjects:
        hears(subject, "asked")
    for subject in subjects:
        subject.ends_well()
        assert subject.lines[1:] == ["asked"]
    assert worker.process.wait(30) == 0
