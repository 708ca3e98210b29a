"""What a worker takes for a task of this engine."""

from __future__ import annotations

from typing import Any

import pytest

from quince.messages import LARGEST_PID, pid_of, task_for


@pytest.mark.parametrize("pid", [1, LARGEST_PID])
def test_a_task_names_its_process(pid: int) -> None:
    assert pid_of(task_for(pid)) == pid


@pytest.mark.parametrize(
    "body", [None, 7, {}, {"pid": "7"}, {"pid": True}, {"pid": 0}, {"pid": -1}, {"pid": LARGEST_PID + 1}]
)
def test_what_no_store_can_hold_is_not_a_task(body: Any) -> None:
    assert pid_of(body) is None
