"""One honest sentence for each reason that a process does not move."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from quince import ProcessHandle, ProcessState, Workspace, submit
from quince.client.why import why
from quince.workspace.revision import revision_of
from tests import flows
from tests.crew import Crew, eventually


def says(handle: ProcessHandle, pattern: str) -> bool:
    return re.search(pattern, handle.why().sentence) is not None


class Deaf(flows.Blocker):
    """Is not ended by the signal that asks for it."""

    def run(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        super().run()


def test_without_workers_it_says_so(home: Workspace) -> None:
    handle = submit(flows.add, x=1, workspace=home)
    assert says(handle, "no worker consumes queue default")
    handle.pause("not yet", author="ada")
    assert says(handle, "ada paused it .* ago: not yet")
    handle.kill("never", author="bob")
    assert says(handle, "it was killed by bob .*: never")


def test_while_workers_run(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    (worker,) = crew.start(1, slots=1)
    gate = tmp_path / "gate"
    blocked = submit(Deaf, gate=str(gate), workspace=home)
    eventually(gate.with_name("gate.blocked").exists)
    assert says(blocked, "it runs: test-worker-1 is in step run")
    behind = submit(flows.add, x=1, workspace=home)
    assert says(behind, "it waits for a free slot on queue default")
    elsewhere = submit(flows.add, x=1, queue="far", workspace=home)
    assert says(elsewhere, "no worker consumes queue far")
    blocked.kill("enough", author="eve")
    assert says(blocked, "eve asked to kill it; test-worker-1 does so when step run ends")
    worker.freeze()
    worker.kill()
    eventually(lambda: says(blocked, "the worker that held it .* is dead, and no worker is running"))
    gate.touch()


def test_while_it_waits(home: Workspace, crew: Crew) -> None:
    crew.start()
    timed = submit(flows.Timed, seconds=600.0, workspace=home)
    parent = submit(flows.Family, children=2, seconds=3.0, workspace=home)
    eventually(lambda: timed.state is ProcessState.WAITING and parent.state is ProcessState.WAITING)
    assert says(timed, r"it waits for its timer, due in (10|9) min")
    assert says(parent, r"it waits for 2 processes to end \(\d+, \d+\)")
    eventually(lambda: any("Double is running" in line for line in why(home, parent.pid).evidence))
    failed = submit(flows.Fails, workspace=home)
    failed.wait(30)
    assert says(failed, "ended with an exception .* ZeroDivisionError: as asked")


async def test_events_are_pushed_until_the_end(home: Workspace, crew: Crew) -> None:
    crew.start()
    handle = submit(flows.Reporter, lines=5, workspace=home)
    events = [event async for event in handle.events()]
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    assert [event.body["text"] for event in events if event.kind == "report"] == [
        f"line {n}" for n in range(5)
    ]
    ran = revision_of("tests.flows:Reporter", home.location.folder)
    last = dict(events[-1].body)
    assert all(seconds >= 0 for _, _, seconds in last.pop("ran"))
    assert last == {"from": "running", "to": "finished", "revision": ran}
    assert [event.seq for event in handle.history()] == [event.seq for event in events]


def test_a_command_runs_and_dies_with_its_process(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    crew.start()
    assert submit(flows.Shell, script="echo hello", workspace=home).result(30) == {"said": "hello\n"}
    failed = submit(flows.Shell, script="echo oh no >&2; exit 3", workspace=home)
    failed.wait(30)
    assert failed.exit_message == "quince.processes.programs.CommandFailed: sh ended with status 3: oh no"
    mark = tmp_path / "pids"
    stuck = submit(flows.Shell, script=f"sleep 600 & echo $$ $! > {mark}; wait", workspace=home)
    pids = eventually(lambda: mark.read_text().split() if mark.exists() else [])
    assert stuck.kill().wait(20).applied
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 10, "the end of the group")
