"""What runs for a worker stands still while that is not heard of, and ends with it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from quince import Workspace, submit
from quince.client.handle import ProcessHandle
from quince.hosts.standstill import SILENCE_SECONDS
from quince.workspace.location import Location
from tests import flows
from tests.crew import Crew, WorkerProcess, eventually


@pytest.fixture
def location(tmp_path: Path) -> Location:
    """The embedded one: stores and brokers have no part in this."""
    return Location(
        tmp_path, f"sqlite:///{tmp_path}/.quince/quince.db", f"local://{tmp_path}/.quince/messages"
    )


def begun(home: Workspace, folder: Path, leave: str = "nothing") -> ProcessHandle:
    """A process whose step writes, and what it has left behind does so, too."""
    folder.mkdir()
    handle = submit(flows.Ticks, folder=str(folder), leave=leave, workspace=home)
    for name in ["ticks"] if leave == "nothing" else ["ticks", "left"]:
        eventually(lambda name=name: lines(folder, name), what=name)  # type: ignore[misc]
    return handle


def lines(folder: Path, name: str = "ticks") -> list[int]:
    with suppress(FileNotFoundError):
        return [int(line) for line in (folder / name).read_text().split()]
    return []


def second(folder: Path, name: str) -> int:
    """How much has been written there after the first one's lines."""
    found = lines(folder, name)
    return len(found) - found.count(found[0])


def one_after_the_other(found: list[int]) -> bool:
    """Whether nobody wrote any more after another one had begun to."""
    return found == sorted(found, key=found.index)


def family(worker: WorkerProcess) -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process(worker.process.pid).children(recursive=True)
    return found


def test_a_worker_that_was_frozen_for_a_while(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    """If nobody has taken over, its steps go on where they stood."""
    (frozen,) = crew.start()
    folder = tmp_path / "run"
    handle = begun(home, folder)
    frozen.freeze()
    (host,) = set(lines(folder))
    eventually(lambda: psutil.Process(host).status() == psutil.STATUS_STOPPED, SILENCE_SECONDS + 3, "a stop")
    count = len(lines(folder))
    frozen.thaw()
    eventually(lambda: len(lines(folder)) > count, what="going on")
    (folder / "over").touch()
    assert handle.result(20) == {}
    assert set(lines(folder)) == {host}
    assert handle.row.epoch == 1


@pytest.mark.parametrize("leave", ["programs", "forks"])
@pytest.mark.parametrize("also", ["worker", "template"])
def test_a_worker_that_is_killed(home: Workspace, crew: Crew, tmp_path: Path, leave: str, also: str) -> None:
    """What its step has started ends before that is run again; also when nobody is left to see to it."""
    (killed,) = crew.start()
    folder = tmp_path / "run"
    handle = begun(home, folder, leave)
    (template,) = psutil.Process(killed.process.pid).children()
    crew.start()
    if also == "template":
        template.suspend()
    killed.kill()
    died = time.monotonic()
    if also == "template":
        template.kill()
    eventually(lambda: second(folder, "left") > 9, 20, "the second run")
    assert time.monotonic() - died < 5
    (folder / "over").touch()
    assert handle.result(20) == {}
    assert one_after_the_other(lines(folder))
    assert one_after_the_other(lines(folder, "left"))


def test_a_host_that_is_killed(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    """What it has left ends with it; nobody else's does."""
    (worker,) = crew.start()
    other, folder = tmp_path / "other", tmp_path / "run"
    neighbour = begun(home, other, "forks")
    handle = begun(home, folder, "forks")
    os.kill(lines(folder)[0], signal.SIGKILL)
    eventually(lambda: second(folder, "left") > 9, what="the second run")
    for one in (other, folder):
        (one / "over").touch()
    assert [handle.result(20), neighbour.result(20)] == [{}, {}]
    assert one_after_the_other(lines(folder, "left"))
    assert len(set(lines(other, "left"))) == 1
    assert neighbour.row.epoch == 1
    eventually(lambda: len(family(worker)) < 4, what="the end of what they left")
