"""Workspaces with stores of their own on one broker: neither sees, takes or ends what is the other's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import quince_messaging
from quince import ProcessState, Workspace, submit
from quince.cli.main import main
from quince.client.control import control
from quince.client.remote import ProcessCommunicator, RemoteControl
from quince.diagnosis.doctor import doctor
from quince.workspace.location import Location
from quince_messaging.uri import folder_uri
from quince_persistence.databases.sqlite_url import file_url
from quince_persistence.records import Control, Selection
from tests import flows
from tests.crew import Crew, eventually
from tests.forked import ForkServer

Homes = tuple[Workspace, Workspace]


@pytest.fixture(params=["local", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of a broker that both workspaces name."""
    if request.param == "local":
        return folder_uri(tmp_path / "shared")
    uri: str = request.getfixturevalue("rabbitmq_url")
    return uri


@pytest.fixture
def crews(broker: str, tmp_path: Path, worker_forks: ForkServer) -> Iterator[tuple[Crew, Crew]]:
    """Those of two workspaces."""
    with ExitStack() as stack:
        pair = []
        for name in ("a", "b"):
            folder = tmp_path / name
            folder.mkdir()
            crew = Crew(Location(folder, file_url(folder / "x.db"), broker), worker_forks)
            stack.callback(crew.close)
            crew.start(1)
            pair.append(crew)
        yield pair[0], pair[1]


@pytest.fixture
def homes(crews: tuple[Crew, Crew]) -> Iterator[Homes]:
    """Two workspaces, each with a worker, whose stores give the same pids."""
    with Workspace(crews[0].location) as one, Workspace(crews[1].location) as other:
        yield one, other


def test_each_runs_its_own(homes: Homes) -> None:
    handles = [submit(flows.add, x=x, workspace=home) for x in range(10) for home in homes]
    assert [handle.result(30)["result"] for handle in handles] == [x + 1 for x in range(10) for _ in homes]
    assert {handle.pid for handle in handles[::2]} == {handle.pid for handle in handles[1::2]}
    for home in homes:
        assert home.communicator.dead_letters() == []


def test_a_control_of_all_is_one_of_all_of_one_store(homes: Homes) -> None:
    mine, theirs = (submit(flows.Sleeper, seconds=60, workspace=home) for home in homes)
    for handle in (mine, theirs):
        eventually(lambda handle=handle: handle.row.owner)  # type: ignore[misc]
    before = theirs.row
    control(homes[0], Control.KILL, Selection(live=True), reason="tidy up")
    assert mine.wait(30).state is ProcessState.KILLED
    assert theirs.row == before, "its step was not cut off"


def test_remote_control_says_which_store_it_means(
    homes: Homes, crews: tuple[Crew, Crew], broker: str
) -> None:
    mine, theirs = (submit(flows.Timed, seconds=600.0, workspace=home) for home in homes)
    assert mine.pid == theirs.pid
    with (
        RemoteControl(broker) as remote,
        pytest.raises(quince_messaging.RemoteError, match="2 stores") as refused,
    ):
        remote.kill(mine.pid)
    for home in homes:
        assert f"{home.store.identity} ({home.location.folder} on " in str(refused.value)
    assert [handle.terminated for handle in (mine, theirs)] == [False, False]
    with RemoteControl(broker, homes[1].store.identity) as remote:
        assert remote.kill(theirs.pid)["applied"]
    assert [handle.terminated for handle in (mine, theirs)] == [False, True]
    with quince_messaging.connect(broker) as communicator:
        ProcessCommunicator(communicator).broadcast_send({"message": "whose?"}, subject="kill")
        ProcessCommunicator(communicator, homes[0].store.identity).broadcast_send({}, subject="pause")
        eventually(lambda: mine.paused)
    assert not mine.terminated
    crews[1].close()
    with RemoteControl(broker) as remote:
        assert remote.kill(mine.pid)["applied"], "alone it is meant without a word"


@pytest.mark.rabbitmq
@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_doctor_and_the_start_of_the_daemon_say_so(
    homes: Homes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = doctor(homes[0])
    assert found.note
    assert str(homes[1].location.folder) in found.sentence
    location = homes[0].location
    monkeypatch.setenv("QUINCE_STORE", location.store)
    monkeypatch.setenv("QUINCE_BROKER", location.broker)
    for words, told in (
        (["doctor"], "✔ all is well\n○ broker: 1 other workspace"),
        (["daemon", "start"], "1 other workspace"),
        (["daemon", "stop"], ""),
    ):
        with pytest.raises(SystemExit, match="0"):
            main(["-C", str(location.folder), *words])
        said = capsys.readouterr()
        assert told in said.out + said.err.replace("\n", " ")


@pytest.mark.parametrize("broker", ["local"], indirect=True)
def test_a_copy_is_found_and_made_another_store(
    homes: Homes, worker_forks: ForkServer, tmp_path: Path
) -> None:
    original, folder = homes[0], tmp_path / "copy"
    submit(flows.add, x=1, workspace=original).result(30)
    folder.mkdir()
    for name in ("x.db", "x.db-wal"):
        shutil.copy(original.location.folder / name, folder)
    location = Location(folder, file_url(folder / "x.db"), original.location.broker)
    crew = Crew(location, worker_forks)
    try:
        crew.start()
        (found,) = (one for one in doctor(original) if not one.note)
        assert "a copy" in found.sentence
        assert "--new-identity" in found.remedy
        with pytest.raises(SystemExit, match="1"):  # while its workers are at work
            main(["-C", str(folder), "init", "--new-identity", "--store", location.store])
    finally:
        crew.close()
    with Workspace(location) as copy:
        assert copy.store.identity == original.store.identity
        assert copy.store.change_identity() != original.store.identity
    with Workspace(location) as copy:
        assert copy.store.identity != original.store.identity
    assert all(one.note for one in doctor(original))
