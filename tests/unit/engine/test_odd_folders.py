"""Workspaces in folders whose names mean something in a URL, or are no text: each is its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quince import Workspace, WorkspaceError, run, submit
from quince.cli.main import main
from quince.cli.session import session
from quince.workspace.location import locate
from quince_messaging.errors import InvalidUri
from quince_messaging.uri import folder_of, folder_uri, parse_uri
from quince_persistence.databases.database import parse, shown
from quince_persistence.databases.sqlite_url import file_of, file_url
from quince_persistence.errors import InvalidUrl
from quince_persistence.records import Selection
from quince_persistence.store import Store
from tests import flows

ODD = ["run A", "run%20A", "run%2520A", "what?now", "a#b", "new\nline", "\udcff", "%ff"]
NAMES = [
    *ODD, "what?a=b", "what%3Fnow", "100%", "a&b=c", "quo'te\"s", "tab\t", "back\\slash", "é", "[x]", "a@b:c",
    "file:x", ":memory:", "~", "$HOME", "-n",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the folder tells the workspace."""
    for name in ("QUINCE_STORE", "QUINCE_BROKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(session, "folder", None)


def files(folder: Path) -> set[Path]:
    """Every file below a folder that is a workspace's."""
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {path for path in found if ".quince" in path.parts or path.suffix == ".db"}


@pytest.mark.parametrize("name", NAMES)
def test_a_url_and_back(name: str) -> None:
    path = Path("/x") / name / "quince.db"
    assert file_of(file_url(path)) == path
    assert parse(file_url(path)).database == str(path)
    assert parse(shown(parse(file_url(path)))).database == str(path)
    assert folder_of(folder_uri(path)) == path
    assert parse_uri(folder_uri(path)).target == str(path)
    assert parse_uri(folder_uri(path) + "?prefix=p").prefix == "p"
    assert file_url(path).isprintable()


def test_each_folder_has_a_store_of_its_own(tmp_path: Path) -> None:
    for name in ODD:
        (tmp_path / name).mkdir()
    for number, name in enumerate(ODD):
        assert run(flows.add, x=number, workspace=tmp_path / name) == {"result": number + 1}
    for number, name in enumerate(ODD):
        with Workspace(locate(tmp_path / name)) as home:
            assert [home.store.inputs(row.pid) is not None for row in home.store.select(Selection())] == [
                True
            ]
            assert submit(flows.add, x=number, workspace=home).inputs["x"] == number
        assert (tmp_path / name / ".quince" / "quince.db").exists()
    assert {path.parts[0] for path in files(tmp_path)} == set(ODD)
    assert {path.parts[1] for path in files(tmp_path)} == {".quince"}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to an odd folder, and absolute, written down by `init` and found again."""
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit, match="0"):
        main(["init", "--store", "sqlite:///x.db", "--broker", "local://m"])
    assert (folder / "x.db").exists()
    assert (folder / "m").is_dir()
    assert not (folder / ".quince" / "quince.db").exists()
    monkeypatch.chdir(tmp_path)
    location = locate(folder)
    assert (file_of(location.store), folder_of(location.broker)) == (folder / "x.db", folder / "m")
    assert locate(tmp_path, store=location.store, broker=location.broker).store == location.store


def test_init_of_another_folder_means_the_file_that_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(SystemExit, match="0"):
        main(["-C", str(tmp_path / "there"), "init", "--store", "sqlite:///x.db"])
    assert (tmp_path / "here" / "x.db").exists()
    assert file_of(locate(tmp_path / "there").store) == tmp_path / "here" / "x.db"


@pytest.mark.parametrize("url", ["sqlite:////x/what?now/x.db", "sqlite:////x/what?a=b/x.db", "sqlite://x.db"])
def test_a_question_mark_is_no_silent_end_of_a_path(url: str) -> None:
    with pytest.raises(InvalidUrl, match=r"%3F|three slashes"):
        Store(url)


@pytest.mark.parametrize("uri", ["local:///x/what?now", "local:///x/what?a=b", "local:///x?prefix="])
def test_nor_of_a_folder(uri: str) -> None:
    with pytest.raises(InvalidUri, match="%3F"):
        parse_uri(uri)


def test_links_lead_to_one_store(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert locate(tmp_path / "link") == locate(tmp_path / "real")
    with Store(file_url(tmp_path / "real" / "x.db")):
        (tmp_path / "y.db").symlink_to(tmp_path / "real" / "x.db")
        with Store(file_url(tmp_path / "y.db")) as store:
            store.allocate_pids(1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real", "y.db"]


def test_a_path_that_is_too_long_is_told(tmp_path: Path) -> None:
    deep = tmp_path
    while len(os.fsencode(deep)) < 600:
        deep = deep / ("x" * 100)
    deep.mkdir(parents=True)
    with pytest.raises(InvalidUrl, match="bytes, and SQLite takes 503"), Workspace(locate(deep)) as home:
        _ = home.store


def test_a_long_path_works(tmp_path: Path) -> None:
    """Longer than what a Unix socket can have."""
    deep = tmp_path / ("x" * 120) / ("%" * 100)
    deep.mkdir(parents=True)
    assert run(flows.add, x=1, workspace=deep) == {"result": 2}


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"there is no folder .*typo"):
        submit(flows.add, x=1, workspace=tmp_path / "typo")
    assert not (tmp_path / "typo").exists()
