"""What `quince status` says of a store that answers and takes no writes."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from quince import Workspace
from quince.cli.status import overview
from quince.settings import host_name
from quince.workspace.location import Location
from quince_persistence.records.workers import WorkerRow


@pytest.mark.parametrize("troubles", [(), ("process 7: the store is away: the disk is full",)])
def test_a_store_that_takes_no_writes_is_told_if_a_worker_is_in_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, troubles: tuple[str, ...]
) -> None:
    monkeypatch.setattr("quince.cli.status.WRITE_SECONDS", 0.3)
    location = Location(tmp_path, f"sqlite:///{tmp_path}/quince.db", f"local://{tmp_path}/messages")
    with Workspace(location) as home:
        now = home.store.clock()
        row = WorkerRow("w", host_name(), 1, "worker-1", (), 1, None, "running", now, now)
        home.store.register_worker(dataclasses.replace(row, troubles=troubles)).result()
        home.store.heartbeat("w", troubles=troubles).result()
    with closing(sqlite3.connect(tmp_path / "quince.db")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        found = overview(location)
        assert (found.store_error is not None) == bool(troubles)
        assert found.identity is not None
        assert [worker.row.name for worker in found.workers] == ["worker-1"]
    assert overview(location).store_error is None
