"""A check-up ends in time, whatever the store does."""

from __future__ import annotations

import pytest

from quince import Workspace
from quince.daemon.orphans import Orphan
from quince.diagnosis.doctor import doctor
from quince_persistence.errors import StoreBusy
from quince_persistence.store import Store


def test_a_table_that_somebody_locks_is_waited_for_once(
    quince_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[Store] = []

    def workers(self: Store) -> None:
        waits.append(self)
        raise StoreBusy("another session holds the lock")

    monkeypatch.setattr("quince.diagnosis.doctor.PATIENCE", 0.0)
    monkeypatch.setattr(Store, "workers", workers)
    (found,) = doctor(quince_workspace)
    assert (found.about, found.sentence) == ("store", "another session holds the lock")
    assert len(waits) <= 2, "and once more if somebody else is at work on the broker"


def test_workers_that_have_outlived_their_daemon_are_found(
    quince_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quince.daemon.operations.orphans", lambda *_: [Orphan("worker-1", 12)])
    (found,) = doctor(quince_workspace)
    assert (found.about, found.sentence) == (
        "daemon",
        "the daemon was killed; worker-1 (process 12) still lives",
    )
