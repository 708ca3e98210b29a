"""A pause with `now` stops a step in its midst, whatever it does; it keeps its worker until it is played."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import quince_messaging
from quince import Workspace
from quince.client.control import control
from quince.client.remote import ProcessCommunicator, RemoteControl
from quince.settings import HEARTBEAT_SECONDS
from quince.worker.paused_workers import holds_lock
from quince.workspace.location import Location
from quince_persistence.records import Control, Selection
from tests.crew import Crew, eventually
from tests.integration.stopping import flows
from tests.integration.stopping.scene import Scene, Subject, condition, gone


def pause(subject: Subject) -> None:
    assert subject.handle.pause("a look", now=True, author="ada").wait(30).applied
    row = subject.handle.row
    assert row.paused
    assert row.owner, "its worker keeps it"
    assert "ada paused it" in subject.handle.why().sentence


def test_a_function_stands_still_with_all_that_it_has_started(stage: Scene) -> None:
    subjects = stage.begun(
        flows.hold_the_interpreter, flows.run_a_program, flows.map_in_a_pool, flows.ignore_signals
    )
    (counting,) = stage.begun(flows.count_blocking)
    for subject in subjects:
        for _ in range(2):
            pause(subject)
            for ospid in subject.ospids:
                eventually(lambda one=ospid: condition(one) == "T", what=subject.notes.name)  # type: ignore[misc]
            assert subject.handle.play().applied
            for ospid in subject.ospids:
                eventually(lambda one=ospid: condition(one) not in ("T", ""), what=subject.notes.name)  # type: ignore[misc]
    pause(counting)
    subjects[0].handle.kill(force=True)
    assert not counting.went_on(0.2)
    counting.handle.play()
    assert counting.goes_on()
    counting.ends_well()


def test_a_run_in_a_step_stands_still_with_it_and_is_not_taken_for_dead(
    scene: Scene, home: Workspace
) -> None:
    (subject,) = scene.begun(flows.run_another)
    pause(subject)
    (inside,) = [worker for worker in home.store.workers() if worker.name == "run"]

    def heard_since(moment: float) -> float:
        beats = [worker.heartbeat for worker in home.store.workers() if worker.id == inside.id]
        assert beats, "it was declared dead"
        return beats[0] if beats[0] > moment else 0.0

    heard = inside.heartbeat
    for _ in range(3):
        heard = eventually(lambda after=heard: heard_since(after), what="its heartbeat")  # type: ignore[misc]
    assert heard - inside.heartbeat > HEARTBEAT_SECONDS
    assert not subject.went_on(0.2)
    assert subject.handle.play().applied
    subject.ends_well()
    assert [row.epoch for row in home.store.select(Selection())] == [1, 1]
    assert not subject.deaths


def test_nobody_is_stopped_who_has_locked_a_file(tmp_path: Path) -> None:
    """As a commit to SQLite does."""
    program = "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX); print()"
    words = [sys.executable, "-c", f"{program}; sys.stdout.flush(); sys.stdin.read()", str(tmp_path / "file")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert holds_lock(holder.pid)
        assert holds_lock(os.getpid())
        holder.communicate()
    assert not holds_lock(holder.pid)


def test_a_coroutine_stands_still_beside_others_with_its_tasks_and_programs(stage: Scene) -> None:
    counting, (other, running) = stage.beside(flows.count_in_tasks, flows.run_a_command)
    for _ in range(2):
        pause(other)
        pause(running)
        eventually(lambda: condition(running.ospids[1]) == "T", what="the stop of the program")
        assert counting.goes_on()
        assert not other.went_on(0.2)
        assert other.handle.play().applied
        assert running.handle.play().applied
        assert other.goes_on()
        eventually(lambda: condition(running.ospids[1]) == "S", what="the continuation of the program")
    other.ends_well()
    assert len(other.ospids) == 1


def test_a_coroutine_that_has_a_host_to_itself_stands_still(stage: Scene) -> None:
    (counting,) = stage.begun(flows.count, flow=flows.Mixed)
    pause(counting)
    eventually(lambda: condition(counting.ospids[0]) == "T", what="the stop")
    counting.handle.play()
    assert counting.goes_on()
    pause(counting)
    counting.handle.kill().wait(30)
    assert counting.cleaned


@pytest.mark.parametrize("force", [False, True])
def test_one_that_stands_still_can_be_killed(stage: Scene, *, force: bool) -> None:
    subjects = stage.begun(flows.sleep, flows.run_a_program, flows.ignore_signals)
    counting, coroutines = stage.beside(flows.wait, flows.run_a_command, flows.swallow_cancellation)
    for subject in (*subjects, *coroutines):
        pause(subject)
    for subject in (*subjects, *coroutines):
        assert subject.handle.kill(force=force).wait(30).applied
    gone(*subjects, hosts=True)
    gone(*coroutines, hosts=False)
    assert counting.goes_on()
    if not force:
        assert all(one.cleaned for one in (*subjects[:2], *coroutines[:2]))


def test_a_play_that_comes_at_once_holds(scene: Scene) -> None:
    subjects = scene.counting()
    for subject in subjects:
        for _ in range(10):
            subject.handle.pause(now=True)
            subject.handle.play()
        assert subject.goes_on()
        assert not subject.handle.paused
        for _ in range(10):
            subject.handle.play()
            subject.handle.pause(now=True)
        subject.gets_paused()
        assert not subject.went_on(0.2)
        subject.handle.play()
        subject.ends_well()
        assert len(subject.ospids) == 1


def test_it_is_applied_to_a_step_that_a_pause_already_waits_for(stage: Scene) -> None:
    subjects = stage.counting()
    for subject in subjects:
        assert not subject.handle.pause().applied
        pause(subject)
        assert not subject.went_on(0.2)


def test_it_is_applied_although_its_message_is_lost(scene: Scene, home: Workspace) -> None:
    """It is written into the store, and nobody tells the worker; so is the play."""
    subjects = scene.counting()
    pids = Selection(pids=[subject.handle.pid for subject in subjects])
    home.store.control(Control.PAUSE, pids, author="tester", now=True).result()
    for subject in subjects:
        subject.gets_paused()
        assert not subject.went_on(0.2)
    home.store.control(Control.PLAY, pids, author="tester").result()
    assert all(subject.goes_on() for subject in subjects)


def test_it_is_asked_for_by_a_tree_for_all_and_from_afar(
    scene: Scene, home: Workspace, location: Location
) -> None:
    subjects = scene.counting()
    pids = [subject.handle.pid for subject in subjects]
    with RemoteControl(location.broker) as remote:
        asked: list[Callable[[], object]] = [
            lambda: [remote.pause(pid, "from afar", now=True) for pid in pids],
            lambda: control(home, Control.PAUSE, Selection(trees=pids), now=True),
            lambda: control(home, Control.PAUSE, Selection(live=True), now=True),
            lambda: remote_all(location),
        ]
        for ask in asked:
            ask()
            for subject in subjects:
                subject.gets_paused()
                assert subject.handle.row.owner
            assert not any(subject.went_on(0.1) for subject in subjects)
            control(home, Control.PLAY, Selection(pids=pids))
            assert all(subject.goes_on() for subject in subjects)
        assert all(remote.pause(pid, now=True)["applied"] for pid in pids)


def remote_all(location: Location) -> None:
    """As plumpy's controllers ask for it, with a word more."""
    with quince_messaging.connect(location.broker) as communicator:
        ProcessCommunicator(communicator).broadcast_send({"message": "all", "now": True}, subject="pause")


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("location", ["embedded"], indirect=True)
def test_a_worker_that_ends_gives_them_up(scene: Scene, crew: Crew, end: str) -> None:
    subjects = scene.counting()
    for subject in subjects:
        pause(subject)
    (crew.workers[0].stop if end == "stop" else crew.workers[0].kill)()
    gone(*subjects, hosts=True)
    crew.start()
    for subject in subjects:
        eventually(lambda one=subject: one.handle.row.owner is None, what="the release")  # type: ignore[misc]
        assert subject.handle.paused
        subject.handle.play()
        subject.ends_well()
        assert len(subject.ospids) == 1
