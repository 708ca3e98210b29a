"""What every transport refuses in the same words, in the caller, through both faces."""

from __future__ import annotations

from typing import Any

import pytest

import messaging
from tests.contracts.blocking_pairs import Pair, blocking_pair
from tests.contracts.brokers import broker

__all__ = ["blocking_pair", "broker"]


@pytest.mark.parametrize("priority", [-1, 10, 300, 2**70, 1.5, "5", None])
def test_a_priority_that_there_is_not_is_refused(pair: Pair, priority: Any) -> None:
    sender, _ = pair
    with pytest.raises(ValueError, match=f"priority {priority} is not between 0 and 9"):
        sender.send_tasks(["x"], queue="q", priority=priority)
    for options in ({}, {"no_reply": True}, {"no_reply": True, "wait": False}):
        with pytest.raises(ValueError, match=f"priority {priority} is not between 0 and 9"):
            sender.task_send("x", queue="q", priority=priority, **options)
    assert sender.queue_size(queue="q") == 0


async def test_coroutines_are_refused_it_too(broker: str) -> None:
    async with messaging.connect_async(broker) as sender:
        with pytest.raises(ValueError, match="is not between 0 and 9"):
            await sender.send_tasks(["x"], priority=10)
        with pytest.raises(ValueError, match="is not between 0 and 9"):
            await sender.task_send("x", priority=-1)
        assert await sender.queue_size() == 0
