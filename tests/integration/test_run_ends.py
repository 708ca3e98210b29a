"""However a `run()` ends, what it leaves goes on with whichever worker comes, without a command, at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from quince import ProcessExcepted, ProcessState, Workspace, get_process, run
from quince.worker.inline import RunInterrupted
from quince.workspace.location import Location
from quince_persistence.records import ProcessRow, Selection
from tests.crew import Crew, environment, eventually
from tests.integration.run_flows import Leaves
from tests.services import Postgres


def left(home: Workspace) -> dict[str, ProcessRow]:
    """What has not ended, by the names of the classes."""
    return {
        row.class_path.rpartition(":")[2]: row for row in home.store.select(Selection()) if not row.terminated
    }


def nobody_is_stranded(home: Workspace) -> None:
    assert home.store.owners() == {}
    assert home.store.workers() == []
    assert {row.queue for row in left(home).values()} <= {"default"}


def all_end(home: Workspace, crew: Crew) -> None:
    """With a worker that comes, and nothing else but the signal that one of them waits for."""
    (pid,) = (row.pid for name, row in left(home).items() if name == "Approval")
    get_process(pid, workspace=home).signal("approval")
    crew.start()
    eventually(lambda: not left(home), 20, "the end of all")
    states = {row.state for row in home.store.select(Selection()) if row.parent is not None}
    assert states == {ProcessState.FINISHED}


@pytest.mark.parametrize("then", ["return", "raise"])
def test_children_that_nobody_awaited_go_on(home: Workspace, crew: Crew, then: str) -> None:
    with pytest.raises(ProcessExcepted, match="early") if then == "raise" else contextlib.nullcontext():
        run(Leaves, then=then, workspace=home)
    assert {"Timed", "Approval", "Stepwise"} <= set(left(home))
    nobody_is_stranded(home)
    all_end(home, crew)


def test_ctrl_c_kills_its_process_with_the_children(home: Workspace) -> None:
    gate = home.location.folder / "gate"

    def interrupt() -> None:
        eventually(gate.with_name("gate.blocked").exists)
        os.kill(os.getpid(), signal.SIGINT)
        with contextlib.suppress(AssertionError):
            eventually(lambda: not left(home), 20, "the end of all")
        gate.touch()  # the thread of the step is left behind, and shall end

    threading.Thread(target=interrupt).start()
    with pytest.raises(RunInterrupted, match="is killed"):
        run(Leaves, then="wait", gate=str(gate), workspace=home)
    nobody_is_stranded(home)
    assert left(home) == {}


def test_runs_in_a_loop_beside_each_other_and_in_each_other(home: Workspace, crew: Crew) -> None:
    for _ in range(2):
        run(Leaves, then="return", workspace=home)
    with ThreadPoolExecutor(2) as threads:
        for one in [threads.submit(run, Leaves, then="return", workspace=home) for _ in range(2)]:
            one.result(60)
    program = "from quince import run\nfrom tests.integration.run_flows import Nested\nrun(Nested)\n"
    subprocess.run(
        [sys.executable, "-c", program], env=environment(home.location), cwd=home.location.folder, check=True
    )
    nobody_is_stranded(home)
    chosen = [row for row in home.store.select(Selection(classes=["Approval"])) if not row.terminated]
    assert len(chosen) == 5
    for row in chosen:
        get_process(row.pid, workspace=home).signal("approval")
    crew.start()
    eventually(lambda: not left(home), 30, "the end of all")
    assert {row.state for row in home.store.select(Selection())} == {ProcessState.FINISHED}


@contextlib.contextmanager
def store_away(location: Location, request: pytest.FixtureRequest) -> Iterator[None]:
    """Nobody can write to the store."""
    if location.store.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(location.store.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.rollback()
    else:
        server: Postgres = request.getfixturevalue("postgres_server")
        server.freeze()
        try:
            yield
        finally:
            server.thaw()


@pytest.mark.timeout(180)
def test_ctrl_c_while_the_store_is_away_leaves_all_to_who_comes(
    home: Workspace, crew: Crew, request: pytest.FixtureRequest
) -> None:
    """The program lives on, so that its lock alone, and not its death, tells that its worker is gone."""
    gate = home.location.folder / "gate"
    program = f"""
from quince import run
from quince.worker import inline, worker
from tests.integration.run_flows import Leaves
inline.KILL_SECONDS = worker.LAST_SECONDS = worker.PROGRAMS_SECONDS = 1.0
inline.LEAVE_SECONDS = 5.0
try:
    run(Leaves, then="wait", gate={str(gate)!r})
except KeyboardInterrupt as error:
    print(error, flush=True)
time.sleep(600)
"""
    victim = subprocess.Popen(
        [sys.executable, "-c", program], env=environment(home.location), cwd=home.location.folder,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        eventually(gate.with_name("gate.blocked").exists)
        assert victim.stdout is not None
        with store_away(home.location, request):
            victim.send_signal(signal.SIGINT)
            said = victim.stdout.readline()
        assert "is not killed yet" in said
        assert "quince kill" in said
        crew.start()
        eventually(
            lambda: not any(str(victim.pid) in (row.owner or row.queue) for row in left(home).values())
        )
        gate.touch()
        for row in left(home).values():  # none, if the kill came through when the store was back
            if row.class_path.endswith("Approval"):
                get_process(row.pid, workspace=home).signal("approval")
        eventually(lambda: not left(home), 30, "the end of all")
        states = {row.state for row in home.store.select(Selection())}
        assert states <= {ProcessState.FINISHED, ProcessState.KILLED}
    finally:
        victim.kill()
        victim.communicate()
