"""What leads from a worker of the simulated world to one of its step hosts, and back: bytes, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from quince.hosts.protocol import Frames, ToHost, ToWorker, frame
from tests.simulation.lane import Lane
from tests.simulation.world import Actor, World

HOP = 0.00005
SLOW_HOP = 0.2


class Wire:
    """One direction. What was sent before its sender died still arrives; what is sent to the dead does not.

    Args:
        of: What the messages are; they travel encoded.
    """

    def __init__(self, world: World, sender: Actor, receiver: Actor, of: Any) -> None:
        self.deliver: Callable[[Any], None] = lambda _message: None
        self.on_closed: Callable[[], None] = lambda: None
        self._world, self._sender, self._receiver = world, sender, receiver
        self._frames = Frames(of)
        self._under_way: deque[bytes] = deque()
        self._closed = self._coming = False

    def send(self, messages: list[Any]) -> None:
        if not (self._sender.dead or self._closed):
            self._put(frame(messages))

    def close(self) -> None:
        """Nothing more comes, as the receiver sees in its turn."""
        if not self._closed:
            self._closed = True
            self._put(b"")

    def look(self) -> None:
        """What is under way is there already, for a receiver that looks."""
        while self._under_way:
            self._take()

    def _put(self, data: bytes) -> None:
        self._under_way.append(data)
        if not self._coming:
            self._next()

    def _next(self) -> None:
        self._coming = True
        delay = self._world.delay(HOP, SLOW_HOP)
        self._world.after(delay, self._receiver, "a frame", self._arrive)

    def _arrive(self) -> None:
        self._coming = False
        if self._under_way:
            self._take()
        if self._under_way and not self._coming:
            self._next()

    def _take(self) -> None:
        data = self._under_way.popleft()
        if not data:
            self.on_closed()
        for message in self._frames.feed(data):
            self.deliver(message)


class WiredLink:
    """In the place of `WorkerLink`: the worker's end. In the place of the socket there is the host."""

    sent = 0
    """Nothing is counted: no code here reads another's files."""

    def __init__(
        self, pair: Any, on_message: Callable[[ToWorker], None], on_closed: Callable[[bool], None]
    ) -> None:
        self._out: list[ToHost] = []
        self._pair = pair
        self._lane: Lane = asyncio.get_running_loop()  # type: ignore[assignment]
        self._open = True
        pair.to_worker.deliver = lambda message: self._lane.visit(lambda: self._heard(on_message, message))
        pair.to_worker.on_closed = lambda: self._lane.visit(lambda: self._end(on_closed))

    def send(self, message: ToHost) -> None:
        if not self._out:
            self._lane.call_soon(self.flush)
        self._out.append(message)

    def flush(self) -> bool:
        out, self._out = self._out, []
        if out and self._open:
            self._pair.from_worker.send(out)
        return True

    def close(self) -> None:
        self._open = False
        self._pair.from_worker.close()

    def _heard(self, on_message: Callable[[ToWorker], None], message: ToWorker) -> None:
        if self._open:
            on_message(message)

    def _end(self, on_closed: Callable[[bool], None]) -> None:
        if self._open:
            self.close()
            on_closed(False)
