"""The broker of the simulated world: messages come late, twice, not at all, and in any order."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from quince_messaging.clients.awaitable import AwaitableCommunicator
from quince_messaging.clients.loop_thread import LoopThread
from quince_messaging.contract import BroadcastMessage, Transport
from quince_messaging.errors import ReconnectingError
from quince_messaging.loop_mailbox import LoopMailbox
from quince_messaging.transports.memory import MemoryTransport
from quince_messaging.wire.envelope import Task, encode
from tests.simulation.lane import Lane
from tests.simulation.world import Actor, World

HOP = 0.001


@dataclass
class Weather:
    """How messages fare.

    Attributes:
        lost, doubled: How probable it is for each message.
        slow: Seconds that a slow one is under way at most.
    """

    lost: float = 0.0
    doubled: float = 0.0
    slow: float = 0.0


class Link:
    """What leads from one actor to the broker.

    Attributes:
        cut_until: Nothing gets through before.
    """

    def __init__(self, world: World, weather: Weather) -> None:
        self.cut_until = 0.0
        self.world = world
        self.weather = weather

    @property
    def cut(self) -> bool:
        return self.cut_until > self.world.now

    def copies(self) -> Iterator[float]:
        """The delays with which one message arrives: none, one or two."""
        world, weather = self.world, self.weather
        if world.random.random() < weather.lost:
            return
        yield world.delay(HOP, weather.slow)
        if world.random.random() < weather.doubled:
            yield world.delay(HOP, weather.slow)


class FaultyTransport(MemoryTransport):
    """A communicator in memory whose link is bad."""

    def __init__(self, name: str, actor: Actor, lane: Lane, link: Link) -> None:
        super().__init__(name)
        self._actor, self._lane, self._link = actor, lane, link

    async def send_tasks(self, bodies: Sequence[Any], *, queue: str, priority: int = 0) -> None:
        self._check()
        hub = self._connected
        for body in bodies:
            data = encode(Task(body))
            for delay in self._link.copies():
                self._link.world.after(
                    delay,
                    None,
                    f"task {body} to {queue}",
                    lambda data=data: hub.put(queue, priority, [data]),  # type: ignore[misc]
                )

    async def queue_size(self, *, queue: str) -> int:
        self._check()
        return await super().queue_size(queue=queue)

    async def cast(self, identifier: str, body: Any) -> None:
        self._check()
        await super().cast(identifier, body)

    async def broadcast(self, messages: Sequence[BroadcastMessage]) -> None:
        self._check()
        await super().broadcast(messages)

    def receive(self, data: bytes) -> None:
        if not self._link.cut:
            for delay in self._link.copies():
                self._link.world.after(delay, self._actor, "message", lambda: self._received(data))

    def _received(self, data: bytes) -> None:
        self._lane.call_soon(super().receive, data)

    def _check(self) -> None:
        if self._link.cut:
            raise ReconnectingError("the simulated broker is away")


class LaneThread(LoopThread):
    """The hidden thread of a communicator, as a lane of the simulated world."""

    def __init__(self, transport: Transport, lane: Lane) -> None:
        super().__init__(transport, "lane")
        self._lane = lane

    def start(self) -> Any:
        self._mailbox = LoopMailbox(self._lane)
        self._lane.on_stop = self._stopped
        return self.submit(self.transport.open)

    def _stopped(self) -> None:
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)


class LaneCommunicator(AwaitableCommunicator):
    """The awaitable face, its transport on a lane."""

    def __init__(self, transport: Transport, lane: Lane) -> None:
        super().__init__(transport)
        self._thread = self._bridge.thread = LaneThread(transport, lane)


class BlockingCommunicator:
    """As much of the blocking face as submitting and controlling need."""

    def __init__(self, transport: FaultyTransport, lane: Lane) -> None:
        self._transport, self._lane = transport, lane
        self._now(transport.open())

    def send_tasks(self, bodies: Sequence[Any], *, queue: str = "default", priority: int = 0) -> None:
        self._now(self._transport.send_tasks(bodies, queue=queue, priority=priority))

    def rpc_cast(self, recipient_id: Any, msg: Any) -> None:
        self._now(self._transport.cast(str(recipient_id), msg))

    def broadcast_many(self, messages: Sequence[BroadcastMessage]) -> None:
        self._now(self._transport.broadcast(messages))

    def broadcast_send(
        self, body: Any, sender: Any = None, subject: Any = None, correlation_id: Any = None
    ) -> None:
        self.broadcast_many([BroadcastMessage(body, sender, subject, correlation_id)])

    def close(self) -> None:
        self._now(self._transport.close())

    def _now(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._lane.visit(lambda: at_once(coroutine))


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The outcome of a coroutine that awaits nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError(f"{coroutine} waits for something")
