"""Control with the broker's URI alone: no database, any process, any state, ours and plumpy's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from plumpy.process_comms import RemoteProcessController, RemoteProcessThreadController

import quince_messaging
from quince import ProcessState, Workspace, submit
from quince.client.remote import ProcessCommunicator, RemoteControl
from quince.workspace.location import Location
from tests import flows
from tests.crew import Crew, eventually


def test_every_state_answers(home: Workspace, crew: Crew, location: Location) -> None:
    crew.start(2)
    running = submit(flows.Stepwise, steps=1000, seconds=0.05, workspace=home)
    queued = submit(flows.add, x=1, queue="nobody", workspace=home)
    waiting = submit(flows.Timed, seconds=600.0, workspace=home)
    ended = submit(flows.add, x=1, workspace=home)
    ended.wait(30)
    eventually(lambda: running.row.owner and waiting.state is ProcessState.WAITING)
    with RemoteControl(location.broker) as remote:
        for handle in (running, queued, waiting):
            answer = remote.pause(handle.pid, "from afar")
            assert answer["accepted"]
            assert answer["applied"]
            assert answer["by"].startswith("test-worker")
            assert remote.status(handle.pid)["paused"]
            assert remote.play(handle.pid)["applied"]
            assert remote.kill(handle.pid)["applied"]
            assert remote.status(handle.pid)["state"] == "killed"
        assert remote.status(ended.pid)["state"] == "finished"
        assert remote.retry(waiting.pid, "from afar")["accepted"]
        assert remote.status(waiting.pid)["state"] == "waiting"
        assert not remote.retry(waiting.pid)["accepted"]
        refused = remote.pause(ended.pid)
        assert not refused["accepted"]
        assert "finished" in refused["message"]
        with pytest.raises(quince_messaging.RemoteError, match="no process 99999"):
            remote.status(99999)
    reasons = [e.body.get("reason") for e in running.history() if e.kind == "control"]
    assert reasons[0] == "from afar"


def test_a_wish_waits_for_a_worker(home: Workspace, crew: Crew, location: Location) -> None:
    handle = submit(flows.add, x=1, queue="nobody", workspace=home)
    with quince_messaging.connect(location.broker) as communicator:
        answer = ProcessCommunicator(communicator).ask(handle.pid, {"intent": "kill", "message": "late"})
        crew.start()
        assert answer.result(30)["applied"]
    assert handle.state is ProcessState.KILLED


def test_garbage_is_refused_and_the_worker_goes_on(home: Workspace, crew: Crew, location: Location) -> None:
    crew.start()
    with quince_messaging.connect(location.broker) as communicator:
        status = {"intent": "status"}
        wrong_pids = ({"pid": pid, "message": status} for pid in (True, -1, 2**64 - 1, 1.5))
        for garbage in (None, 7, {"pid": "x"}, {"pid": 1, "message": {"intent": "dance"}}, *wrong_pids):
            answer = communicator.task_send(garbage, queue="control")
            assert answer is not None
            with pytest.raises(quince_messaging.RemoteError):
                answer.result(30)
    assert submit(flows.add, x=1, workspace=home).result(30) == {"result": 2}


async def test_plumpys_controllers(home: Workspace, crew: Crew, location: Location) -> None:
    crew.start()
    handle = submit(flows.Stepwise, steps=1000, seconds=0.05, workspace=home)
    eventually(lambda: handle.row.owner)
    with quince_messaging.connect(location.broker) as communicator:
        processes = ProcessCommunicator(communicator)
        controller = RemoteProcessController(processes)
        assert (await controller.get_status(handle.pid))["state"] == "running"
        assert await controller.pause_process(handle.pid, "by plumpy") is True
        assert handle.paused
        assert await controller.play_process(handle.pid) is True
        threaded = RemoteProcessThreadController(processes)
        assert threaded.pause_process(handle.pid).result(10).result(10) is True
        threaded.play_all()
        eventually(lambda: not handle.paused)
        threaded.pause_all("everybody")
        eventually(lambda: handle.paused)
        assert await controller.kill_process(handle.pid) is True
    assert handle.state is ProcessState.KILLED


def test_a_program_without_the_database(
    home: Workspace, crew: Crew, location: Location, tmp_path: Path
) -> None:
    crew.start()
    handle = submit(flows.Timed, seconds=600.0, workspace=home)
    program = (
        "import sys\nfrom quince.client.remote import RemoteControl\n"
        "with RemoteControl(sys.argv[1]) as remote:\n    print(remote.kill(int(sys.argv[2]))['applied'])\n"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    said = subprocess.run(
        [sys.executable, "-c", program, location.broker, str(handle.pid)],
        cwd=elsewhere, check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip
    assert said == "True\n"
    assert list(elsewhere.iterdir()) == []
