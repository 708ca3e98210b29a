"""What is refused when the writes of a transaction have been sent: by its name, and nothing of it is kept."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from quince_persistence.errors import PidTaken
from quince_persistence.records import Control, Selection
from quince_persistence.store import Store
from tests.contracts.store_backends import born, new, store_url, stores

__all__ = ["store_url", "stores"]

ROUNDS = 20
"""The refusal may be heard while more is being sent, or with the commit."""


def test_a_pid_that_is_taken_is_refused_and_the_store_goes_on(stores: tuple[Store, Store]) -> None:
    first, second = stores
    (taken,) = new(first)
    first.insert([taken]).result()
    for number in range(ROUNDS):
        (beside,) = new(second)
        with pytest.raises(PidTaken):
            second.insert([beside, replace(taken, key=f"other {number}")]).result()
        assert second.get(beside.pid) is None
        assert second.find_key(f"other {number}") is None
        (paused,) = second.control(Control.PAUSE, Selection(pids=[taken.pid]), author="ann").result()
        assert paused.applied
    assert [row.pid for row in second.select(Selection())] == [taken.pid]
    assert born(second) != [taken.pid]
