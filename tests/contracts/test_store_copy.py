"""A store is copied into another one, of either kind: whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select

from quince_persistence.databases.opening import database_of
from quince_persistence.errors import CopyRefused, InvalidUrl, StoreUnavailable
from quince_persistence.records import Control, NewEvent, NewSignal, Selection, State
from quince_persistence.records.workers import WorkerRow
from quince_persistence.schema.tables import checkpoints
from quince_persistence.store import Store
from quince_persistence.writing.operations import copy
from tests.contracts.store_backends import born, finish, held, step, store, store_url

__all__ = ["store", "store_url"]

ALIVE = 10.0


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def target_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'target.sqlite'}"
        return
    server = request.getfixturevalue("postgres_server")
    server.start()
    url = server.new_url()
    yield url
    server.drop(url)


def furnished(store: Store) -> dict[str, int]:
    """A process in every state, with all that a process may have. Returns their pids."""
    done, failed, stepped, waiting, signalled, dead = held(store, "w1", 6)
    finish(store, done)
    step(store, failed, State.EXCEPTED, error=b"error", exit_message="broken")
    step(
        store,
        stepped,
        State.RUNNING,
        checkpoint=b"c" * 3_000_000,
        step="two",
        events=[NewEvent("report", {"text": "é\n"})],
    )
    store.record_once(stepped.row.pid, "w1", stepped.row.epoch, "pay", b"receipt").result()
    step(store, waiting, State.WAITING, checkpoint=b"w", awaits=[signalled.row.pid], due=2e9)
    step(store, signalled, State.WAITING, checkpoint=b"s", signals=["word"])
    store.send([NewSignal(signalled.row.pid, "other", b"value")], author="me").result()
    (created,) = born(store, key="a key", queue="slow", priority=7)
    (paused,) = born(store)
    store.control(Control.PAUSE, Selection(pids=[paused]), author="me", reason="later").result()
    names = {"done": done, "failed": failed, "stepped": stepped, "waiting": waiting, "signalled": signalled}
    return {
        **{name: claim.row.pid for name, claim in names.items()},
        "dead": dead.row.pid,
        "created": created,
    }


def content(url: str) -> dict[str, list[Any]]:
    """All rows of all tables that are copied."""
    database = database_of(url)
    try:
        with database.engine().connect() as connection:
            return {
                table.name: list(connection.execute(select(table).order_by(*table.primary_key)))
                for table in copy.TABLES
            }
    finally:
        database.dispose()


def test_everything_arrives_as_it_was(store: Store, store_url: str, target_url: str) -> None:
    pids = furnished(store)
    before = content(store_url)
    counted = store.copy_to(target_url, alive=ALIVE, author="me", pause=False).result()
    assert content(target_url) == before == content(store_url)
    assert counted == {name: len(rows) for name, rows in before.items()}
    with Store(target_url) as target:
        assert target.get(pids["waiting"]) == store.get(pids["waiting"])
        assert target.find_key("a key") == store.get(pids["created"])
        assert target.checkpoint(pids["stepped"]) == b"c" * 3_000_000
        assert born(target)[0] > max(pids.values()), "new pids are new"
        last = target.events(pids["done"])[-1].seq
        target.report(pids["stepped"], [NewEvent("report", {"text": "next"})]).result()
        assert target.events(pids["stepped"])[-1].seq > last


def test_it_goes_on_there_and_not_here(store: Store, target_url: str) -> None:
    pids = furnished(store)
    store.copy_to(target_url, alive=ALIVE, author="me").result()
    assert store.claim(list(pids.values()), "w2").result() == []
    created = store.get(pids["created"])
    assert created is not None
    assert created.paused
    assert created.status is not None
    assert created.status.startswith("copied to ")
    with Store(target_url) as target:
        (claim,) = target.claim([pids["created"]], "w2").result()
        finish(target, claim)
        woken = target.release_worker("w1").result()
        assert pids["dead"] in {one.pid for one in woken}


def test_a_copy_that_is_cut_off_leaves_nothing(
    store: Store, store_url: str, target_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnished(store)
    before = content(store_url)
    copied = copy._copy_table

    def breaks(table: Table, *connections: Any) -> int:
        if table is checkpoints:
            raise ConnectionError("the cable")
        return copied(table, *connections)

    monkeypatch.setattr(copy, "PATIENCE", 0.1)
    monkeypatch.setattr(copy, "_copy_table", breaks)
    with pytest.raises(StoreUnavailable):
        store.copy_to(target_url, alive=ALIVE, author="me").result()
    assert content(store_url) == before
    assert not any(content(target_url).values())
    monkeypatch.undo()
    store.copy_to(target_url, alive=ALIVE, author="me").result()
    assert len(content(target_url)["processes"]) == len(before["processes"])


def test_the_store_itself_is_refused_however_it_is_spelt(tmp_path: Path) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(tmp_path / "quince.sqlite")
    match = "is the store that is to be copied"
    with Store(f"sqlite:///{tmp_path / 'quince.sqlite'}") as store, pytest.raises(CopyRefused, match=match):
        store.copy_to(f"sqlite:///{link}", alive=ALIVE, author="me").result()


def test_what_would_go_wrong_is_refused(store: Store, store_url: str, target_url: str) -> None:
    (pid,) = born(store)
    with pytest.raises(CopyRefused, match="itself"):
        store.copy_to(store_url, alive=ALIVE, author="me")
    with pytest.raises(InvalidUrl):
        store.copy_to("mysql://nowhere/x", alive=ALIVE, author="me")
    row = WorkerRow("w1", "host", 1, "worker-1", ("default",), 4, None, "running", 0.0, 0.0)
    store.register_worker(row).result()
    with pytest.raises(CopyRefused, match=r"worker-1 on host.*quince daemon stop"):
        store.copy_to(target_url, alive=ALIVE, author="me").result()
    store.release_worker("w1", died=False).result()
    with Store(target_url) as target:
        born(target)
    with pytest.raises(CopyRefused, match="1 processes of its own"):
        store.copy_to(target_url, alive=ALIVE, author="me").result()
    found = store.get(pid)
    assert found is not None
    assert not found.paused


@pytest.mark.parametrize("nowhere", ["sqlite:////nowhere/at/all.db", "postgresql://me:secret@127.0.0.1:1/x"])
def test_a_target_that_is_not_there_is_named(
    store: Store, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy, "PATIENCE", 0.1)
    born(store)
    with pytest.raises((InvalidUrl, StoreUnavailable)) as caught:
        store.copy_to(nowhere, alive=ALIVE, author="me").result()
    assert "secret" not in str(caught.value)


def test_more_than_a_page(store: Store, target_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy, "ROWS", 7)
    monkeypatch.setattr(copy, "ROWS_WITH_BLOBS", 3)
    born(store, 50)
    assert store.copy_to(target_url, alive=ALIVE, author="me", pause=False).result()["processes"] == 50
