"""A process in words."""

from __future__ import annotations

from quince.monitor.words import Shown, glance
from quince_persistence.records import State


def test_what_is_paused_is_counted_as_that_alone() -> None:
    counts = {State.RUNNING: 3, State.WAITING: 1, State.FINISHED: 9}
    seen = glance(counts, {State.RUNNING: 1, State.WAITING: 1})
    assert list(seen.items()) == [(Shown.RUNNING, 2), (Shown.PAUSED, 2), (Shown.FINISHED, 9)]
    assert glance({State.RUNNING: 0}, {State.RUNNING: 1}) == {Shown.PAUSED: 1}  # counted a moment later
