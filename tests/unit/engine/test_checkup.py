"""A check-up ends in time, whatever the store does."""

from __future__ import annotations

import pytest

from quince import Workspace
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
