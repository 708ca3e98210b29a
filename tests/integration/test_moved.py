"""The workspace's own folder is moved or removed under those who use it: they end, and make no new one."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quince import Workspace, get_process, run, submit
from quince.daemon.files import DaemonFiles, Settings
from quince.daemon.operations import start, state, stop
from quince.errors import WorkspaceError
from quince.workspace.location import Location
from quince.workspace.workspace import make_store
from quince_messaging.uri import folder_uri
from quince_persistence.databases.sqlite_url import file_url
from quince_persistence.errors import StoreMoved
from quince_persistence.records import Selection
from quince_persistence.store import Store
from tests import flows
from tests.contracts.store_backends import born
from tests.crew import Crew, eventually
from tests.forked import ForkServer

Away = Callable[[Path], object]
WAYS: list[Away] = [shutil.rmtree, lambda folder: folder.rename(folder.with_name("moved"))]


@pytest.fixture
def location(tmp_path: Path) -> Location:
    """An embedded workspace."""
    folder = tmp_path / "p"
    folder.mkdir()
    return Location(folder, file_url(folder / ".quince/quince.db"), folder_uri(folder / ".quince/messages"))


@pytest.fixture(params=WAYS, ids=["removed", "renamed"])
def away(request: pytest.FixtureRequest) -> Away:
    way: Away = request.param
    return way


def test_a_store_writes_to_its_file_or_not_at_all(tmp_path: Path, away: Away) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    with Store(file_url(folder / "x.db")) as store:
        (pid,) = born(store)
        away(folder)
        for there in (False, True):  # nothing is there, and then another one's
            if there:
                folder.mkdir()
                with Store(file_url(folder / "x.db")) as other:
                    assert other.select(Selection()) == []
            with pytest.raises(StoreMoved, match="moved, removed or replaced"):
                store.insert([]).result(10)
            with pytest.raises(StoreMoved):
                store.get(pid)
        if (moved := folder.with_name("moved")).exists():
            shutil.rmtree(folder)
            moved.rename(folder)
            row = store.get(pid)
            assert row is not None, "it was put back"
            assert born(store)


def test_nothing_is_made_where_a_store_was(tmp_path: Path, away: Away) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    with Store(file_url(folder / "x.db")) as store:
        born(store)
        away(folder)
        folder.mkdir()
        with ThreadPoolExecutor(8) as pool:  # more than there are connections
            reads = [pool.submit(store.get, 1) for _ in range(8)]
        assert {type(read.exception()) for read in reads} == {StoreMoved}
        assert list(folder.iterdir()) == []


def test_run_raises(location: Location, away: Away) -> None:
    failed: list[BaseException] = []

    def work() -> None:
        with Workspace(location) as home:
            try:
                run(flows.Sleeper, seconds=60, workspace=home)
            except StoreMoved as error:
                failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    with Workspace(location) as home:
        eventually(
            lambda: location.state.is_dir() and any(row.owner for row in home.store.select(Selection()))
        )
    away(location.state)
    thread.join(30)
    assert failed
    assert not location.state.exists()


def test_a_worker_ends_in_order(location: Location, away: Away, worker_forks: ForkServer) -> None:
    crew = Crew(location, worker_forks)
    try:
        (worker,) = crew.start()
        with Workspace(location) as home:
            handle = submit(flows.Sleeper, seconds=60, workspace=home)
            eventually(lambda: handle.row.owner)
        away(location.state)
        assert worker.process.wait(20) == 0
        assert not location.state.exists()
    finally:
        crew.close()


def test_a_daemon_whose_store_alone_was_moved_makes_no_empty_one(location: Location) -> None:
    """All else of the workspace is there: the daemon tells, waits, and goes on when the store is put back."""
    make_store(location)
    start(location, Settings())
    try:
        with Workspace(location) as home:
            pid = submit(flows.Sleeper, seconds=0, workspace=home).pid
        files = list(location.state.glob("quince.db*"))
        (away := location.folder / "away").mkdir()
        for file in files:
            file.rename(away / file.name)
        eventually(lambda: any("moved or removed" in told for told in state(location).troubles), 30)
        with Workspace(location) as home, pytest.raises(WorkspaceError, match="moved or removed"):
            submit(flows.Sleeper, seconds=0, workspace=home)
        with pytest.raises(WorkspaceError, match="put it back"):
            location.require_made()
        assert not list(location.state.glob("quince.db*"))
        for file in files:
            (away / file.name).rename(file)
        eventually(lambda: not state(location).troubles)
        with Workspace(location) as home:
            assert get_process(pid, workspace=home).row.pid == pid
    finally:
        stop(location)


def test_the_daemon_ends_and_is_found_until_it_has(location: Location) -> None:
    make_store(location)
    ospid = start(location, Settings())
    files = DaemonFiles(location.folder)
    assert files.holder() == ospid
    location.state.rename(location.folder / "moved")
    assert files.holder() == state(location).ospid == ospid, "it has not ended yet"
    eventually(lambda: files.holder() is None)
    assert not stop(location)
    assert not location.state.exists()
    (location.folder / "moved").rename(location.state)
    assert not state(location).running
    assert "were moved or removed" in files.log("daemon").read_text()
