"""Task queues: durable, confirmed, acknowledged by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from pamqp import commands

from quince_messaging.contract import LinkState, TaskBatchCallback
from quince_messaging.errors import DeliveryFailed, UnroutableError
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.amqp import topology
from quince_messaging.transports.amqp.channel import BrokerChannel, Receipt, needed
from quince_messaging.transports.amqp.connection import BrokerConnection
from quince_messaging.transports.amqp.consumer import Consumer
from quince_messaging.transports.amqp.dead_letters import DeadLetters
from quince_messaging.transports.amqp.deliveries import AmqpTask, Destinations, Puller
from quince_messaging.transports.amqp.rpc import Rpc
from quince_messaging.transports.amqp.session import Session
from quince_messaging.transports.amqp.task_results import TaskResults
from quince_messaging.transports.amqp.topology import Names
from quince_messaging.wire.envelope import Address, Task, encode

log = StructuredLogger(__name__)

CHUNK = 500
WINDOW = 4_000
CONFIRM_TIMEOUT = 30.0
"""Seconds that the broker may take to confirm, before its connection is given up."""


class TaskQueues:
    """The sending and the consuming side of one communicator."""

    def __init__(
        self, session: Session, names: Names, rpc: Rpc, dead: DeadLetters, renew_after: float
    ) -> None:
        self._session = session
        self._names = names
        self._results = TaskResults(session, names, rpc.calls.pending, rpc.received)
        self._dead = dead
        self._renew_after = renew_after
        self._out: BrokerChannel | None = None
        self._control: BrokerChannel | None = None
        self._declared: set[str] = set()
        self._groups: dict[tuple[str, int], tuple[list[bytes], asyncio.Future[None]]] = {}
        self._consumers: set[Consumer] = set()
        self._pullers: dict[str, Puller] = {}
        self._pulling = asyncio.Lock()
        self._destinations = Destinations(session, rpc.reply, self.dead_letter)

    async def restore(self, connection: BrokerConnection) -> None:
        """Open the channels on a new connection."""
        self._declared.clear()
        self._control = control = await connection.channel()
        await topology.declare_exchanges(control, self._names)
        await topology.declare_dead_queue(control, self._names)
        self._out = await connection.sending.channel(confirms=True)
        for channel in (self._control, self._out):
            channel.on_closed = lambda error: self._session.broken(
                connection, f"a channel of the task queues was closed ({error!r})"
            )

    async def restore_consumers(self, connection: BrokerConnection) -> None:
        """Consume again: the last thing on a new connection, for what is done with a task needs all of it."""
        await self._results.restore(connection)
        for consumer in list(self._consumers):
            await topology.declare_task_queue(needed(self._control), consumer.queue)
            await consumer.restore(connection)

    async def before_close(self) -> None:
        """Take away what nobody else needs."""
        await self._results.before_close()

    # Sending

    async def send(
        self, bodies: Sequence[Any], *, queue: str, priority: int, reply_to: Address | None = None
    ) -> None:
        """Put tasks on a queue; every one is on the broker's disk on return."""
        name = self._names.tasks(queue)
        encoded = [encode(Task(body, reply_to)) for body in bodies]
        await asyncio.shield(self._with_others(name, priority, encoded))

    def _with_others(self, name: str, priority: int, encoded: list[bytes]) -> asyncio.Future[None]:
        """Send tasks after the others of this turn of the loop, together with them."""
        group = self._groups.get((name, priority))
        if group is None:
            loop = asyncio.get_running_loop()
            group = self._groups[name, priority] = ([], loop.create_future())
            loop.call_soon(self._launch, name, priority)
        group[0].extend(encoded)
        return group[1]

    def _launch(self, name: str, priority: int) -> None:
        encoded, sent = self._groups.pop((name, priority))
        self._session.spawn(self._send_group(name, priority, encoded, sent))

    async def _send_group(
        self, name: str, priority: int, encoded: list[bytes], sent: asyncio.Future[None]
    ) -> None:
        try:
            await self._results.ready()
            await self._send_all(name, priority, encoded)
        except asyncio.CancelledError:
            sent.cancel()
            raise
        except Exception as error:
            sent.set_exception(error)
            sent.exception()  # those who wait may all be gone
        else:
            sent.set_result(None)

    async def _send_all(self, name: str, priority: int, encoded: list[bytes]) -> None:
        receipts: list[Receipt] = []
        for start in range(0, len(encoded), CHUNK):
            chunk = encoded[start : start + CHUNK]
            receipts.append(await self._publish(name, chunk, priority))
            while len(receipts) * CHUNK > WINDOW:
                await self._confirmed(receipts.pop(0))
        for receipt in receipts:
            await self._confirmed(receipt)

    async def call(self, body: Any, *, queue: str, priority: int) -> Awaitable[Any]:
        """Put one task on a queue; returns the future of its result."""
        reply_to, future = self._results.expect()
        try:
            await self.send([body], queue=queue, priority=priority, reply_to=reply_to)
        except BaseException:
            future.cancel()
            raise
        return future

    async def dead_letter(self, body: bytes, *, origin: str, reason: str, priority: int) -> None:
        """Put a message on the dead-letter queue, with where it was and why it is here."""
        connection = await self._session.ready()
        receipt = await self._dead.dead_letter(
            needed(self._out), body, origin=origin, reason=reason, priority=priority
        )
        await self._confirmed(receipt, connection)

    async def _publish(self, name: str, chunk: list[bytes], priority: int) -> Receipt:
        connection = await self._session.ready()
        await self._declare(name)
        await connection.sending.writable()
        channel = needed(self._out)
        receipt = Receipt(len(chunk))
        channel.publish("", name, chunk, receipt=receipt, mandatory=True, persistent=True, priority=priority)
        return receipt

    async def _confirmed(self, receipt: Receipt, connection: BrokerConnection | None = None) -> None:
        connection = connection or self._session.live_connection
        try:
            await self._patiently(receipt)
        except UnroutableError as error:
            self._declared.clear()
            raise DeliveryFailed("the task queue was deleted meanwhile; send again") from error
        except TimeoutError as error:
            if connection is not None:
                self._session.broken(connection, f"no confirmation within {CONFIRM_TIMEOUT:g} s")
            raise DeliveryFailed(f"the broker did not confirm within {CONFIRM_TIMEOUT:g} s") from error

    async def _patiently(self, receipt: Receipt) -> None:
        """Wait for a confirmation: as long as a broker in need takes no messages, without limit."""
        while True:
            was_blocked = self._session.state is LinkState.BLOCKED
            try:
                async with asyncio.timeout(CONFIRM_TIMEOUT):
                    return await asyncio.shield(receipt.future)
            except TimeoutError:
                if not was_blocked and self._session.state is not LinkState.BLOCKED:
                    raise

    # Consuming

    async def consume(self, deliver: TaskBatchCallback, *, queue: str, prefetch: int) -> Consumer:
        """Start a consumer; it comes back by itself on each new connection."""
        connection = await self._session.ready()
        name = self._names.tasks(queue)
        await self._declare(name)
        consumer = Consumer(self._destinations, name, prefetch, deliver, self._restart, self._renew_after)
        consumer.on_closed = self._consumers.discard
        await consumer.restore(connection)
        self._consumers.add(consumer)
        return consumer

    async def pull(self, *, queue: str) -> AmqpTask | None:
        """One task now, held until it is settled."""
        connection = await self._session.ready()
        name = self._names.tasks(queue)
        await self._declare(name)
        async with self._pulling:
            puller = self._pullers.get(name)
            if puller is None or not puller.usable:
                puller = self._pullers[name] = Puller(await connection.channel(), name, self._destinations)
            return await puller.pull()

    async def size(self, *, queue: str) -> int:
        """How many tasks wait."""
        await self._session.ready()
        return await topology.declare_task_queue(needed(self._control), self._names.tasks(queue))

    async def purge(self, *, queue: str) -> int:
        """Drop every waiting task."""
        await self._session.ready()
        name = self._names.tasks(queue)
        await self._declare(name)
        purged = await needed(self._control).rpc(commands.Queue.Purge(queue=name))
        return int(purged.message_count)

    async def _restart(self, consumer: Consumer) -> None:
        """The broker cancelled a consumer (its queue was deleted): declare and consume again."""
        connection = await self._session.ready()
        self._declared.discard(consumer.queue)
        await self._declare(consumer.queue)
        await consumer.restore(connection)

    async def _declare(self, name: str) -> None:
        if name not in self._declared:
            await topology.declare_task_queue(needed(self._control), name)
            self._declared.add(name)
