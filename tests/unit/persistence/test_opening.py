"""Opening a store: every way in which it cannot be opened is one clear sentence."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from quince_persistence.errors import (
    InvalidUrl,
    MissingDriver,
    NotAStore,
    PersistenceError,
    SchemaOutdated,
    SchemaTooNew,
    StoreUnavailable,
)
from quince_persistence.migrations import upgrade
from quince_persistence.records import NewProcess
from quince_persistence.store import Store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "quince.sqlite"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "mysql://u:secret@host/db",
        "sqlite+aiosqlite:///x",
        "postgresql+asyncpg://u:secret@h/d",
        "amqp://a:secret@b",
    ],
)
def test_a_url_of_something_else(url: str) -> None:
    with pytest.raises(InvalidUrl, match=r"sqlite:///quince\.sqlite") as caught:
        Store(url)
    assert "secret" not in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///missing/quince.sqlite", f"sqlite:///{tmp_path}/missing/quince.sqlite"):
        with pytest.raises(InvalidUrl, match=r"there is no folder .*missing; make it first"):
            Store(url).open()
    with pytest.raises(InvalidUrl, match="is a folder"):
        Store(f"sqlite:///{tmp_path}").open()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_a_database(file: Path) -> None:
    file.write_bytes(b"This is a letter to my grandmother, and no database at all. " * 100)
    with pytest.raises(NotAStore, match="is not a database of Quince"):
        Store(f"sqlite:///{file}").open()
    assert file.read_bytes().startswith(b"This is a letter")


def test_a_database_of_somebody_else(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE events (what TEXT)")
    connection.close()
    for use in (Store(f"sqlite:///{file}").open, lambda: upgrade(f"sqlite:///{file}")):
        with pytest.raises(NotAStore, match=r"\(events\).*a database of its own"):
            use()


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="does not answer") as caught:
        Store("postgresql://user:secret@127.0.0.1:1/db").open()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_driver_is_named(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('no psycopg here')")
    code = (
        "from quince_persistence.store import Store\n"
        "from quince_persistence.errors import MissingDriver\n"
        "try: Store('postgresql://u:secret@127.0.0.1:1/db').open()\n"
        "except MissingDriver as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'pip install "quince[postgres]"' in done.stdout
    assert issubclass(MissingDriver, PersistenceError)


# Versions of the schema


def _set_version(file: Path, version: str) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE quince_schema SET version_num = ?", (version,))
    connection.close()


def test_an_older_store_is_refused_with_the_command(file: Path) -> None:
    Store(f"sqlite:///{file}").__enter__().close()
    _set_version(file, "0000")
    with pytest.raises(SchemaOutdated, match="quince init --upgrade"):
        Store(f"sqlite:///{file}").open()


def test_a_newer_store_is_refused_with_advice(file: Path) -> None:
    Store(f"sqlite:///{file}").__enter__().close()
    _set_version(file, "9999")
    with pytest.raises(SchemaTooNew, match="upgrade quince"):
        Store(f"sqlite:///{file}").open()
    with pytest.raises(SchemaTooNew, match="upgrade quince"):
        upgrade(f"sqlite:///{file}")


def test_many_programs_open_an_empty_database_at_once(file: Path) -> None:
    code = (
        "import sys\n"
        "from quince_persistence.store import Store\n"
        "sys.stdin.readline()\n"
        "with Store(sys.argv[1]) as store: print(store.allocate_pids(1)[0])\n"
    )
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", code, f"sqlite:///{file}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.flush()
    said = [program.communicate(timeout=60)[0] for program in programs]
    assert sorted(map(int, said)) == [1, 2, 3, 4]


def test_a_store_in_memory_ends_with_itself() -> None:
    with Store("sqlite://") as store, Store("sqlite://") as other:
        (pid,) = store.allocate_pids(1)
        store.insert([NewProcess(pid, "m:P", b"")]).result()
        assert store.get(pid) is not None
        assert other.get(pid) is None


def test_a_relative_path_and_strange_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store("sqlite:///a b%ü.sqlite") as store:
        assert list(store.allocate_pids(1)) == [1]
    assert (tmp_path / "a b%ü.sqlite").exists()
