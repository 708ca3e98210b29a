"""What is sent within one turn of the event loop travels together, by receiver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

MOST_TOGETHER = 128

Receiver = TypeVar("Receiver", bound=Hashable)
Item = TypeVar("Item")


class TurnBatches(Generic[Receiver, Item]):
    """Collects items on the loop, and sends those of one turn at its end.

    Args:
        send: Called with at most `MOST_TOGETHER` items of one receiver; raises nothing.
        sent: Called when all of them were sent.
    """

    def __init__(
        self, send: Callable[[Receiver, list[Item]], None], sent: Callable[[], None] = lambda: None
    ) -> None:
        self._send = send
        self._sent = sent
        self._collected: dict[Receiver, list[Item]] = {}

    def __bool__(self) -> bool:
        """Whether anything waits for the end of the turn."""
        return bool(self._collected)

    def add(self, receiver: Receiver, item: Item) -> None:
        """Send it at the end of this turn."""
        if not self._collected:
            asyncio.get_running_loop().call_soon(self.flush)
        self._collected.setdefault(receiver, []).append(item)

    def flush(self) -> None:
        """Send now what was collected."""
        collected, self._collected = self._collected, {}
        for receiver, items in collected.items():
            for start in range(0, len(items), MOST_TOGETHER):
                self._send(receiver, items[start : start + MOST_TOGETHER])
        self._sent()
