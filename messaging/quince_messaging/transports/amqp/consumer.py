"""One consumer of a task queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from quince_messaging.contract import TaskBatchCallback
from quince_messaging.side_tasks import SideTask
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.amqp.ack_renewal import RENEW_AFTER, AckRenewal
from quince_messaging.transports.amqp.channel import BrokerChannel
from quince_messaging.transports.amqp.connection import BrokerConnection
from quince_messaging.transports.amqp.deliveries import AmqpTask, Deliveries, Destinations
from quince_messaging.transports.amqp.frames import Delivery

log = StructuredLogger(__name__)

_TAG = "tasks"
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between attempts to consume anew."""


class Consumer:
    """A consumer that comes back on each new connection, and may hold its tasks for as long as it likes."""

    def __init__(
        self,
        destinations: Destinations,
        queue: str,
        prefetch: int,
        deliver: TaskBatchCallback,
        restart: Callable[[Consumer], Awaitable[None]],
        renew_after: float = RENEW_AFTER,
    ) -> None:
        self.queue = queue
        self.on_closed: Callable[[Consumer], None] = lambda _consumer: None
        self._destinations = destinations
        self._session = destinations.session
        self._restart = restart
        self._prefetch = prefetch
        self._credit = prefetch
        self._deliver = deliver
        self._renew_after = renew_after
        self._connection: BrokerConnection | None = None
        self._deliveries: Deliveries | None = None
        self._renewal: AckRenewal | None = None
        self._arrived: deque[AmqpTask] = deque()
        self._handing_over = False
        self._regulating = asyncio.Lock()
        self._watch: SideTask | None = None
        self._paused = False
        self._closed = False

    async def restore(self, connection: BrokerConnection) -> None:
        """Consume on a (new) connection."""
        old, self._deliveries = self._deliveries, None
        if old is not None:
            await old.channel.close()
        self._arrived.clear()
        self._renewal = None
        self._connection = connection
        self._credit = self._prefetch
        channel = await connection.channel(prefetch=self._prefetch)
        channel.on_closed = lambda error: self._channel_closed(connection, channel, error)
        channel.on_cancelled = lambda _tag: self._cancelled()
        self._deliveries = Deliveries(channel, self.queue, self._destinations)
        self._deliveries.on_settled = self._settled
        if not self._paused:
            await self._consume(self._deliveries)
        if self._watch is None:
            self._watch = self._session.side.keep(
                f"renewing what is held of {self.queue}",
                self._renew_old,
                every=self._renew_after / 10,
            )

    async def pause(self) -> None:
        async with self._regulating:
            if self._paused or self._closed:
                return
            self._paused = True
            if self._deliveries is not None and self._deliveries.channel.usable and self._credit:
                await self._deliveries.channel.cancel(_TAG)

    async def resume(self) -> None:
        async with self._regulating:
            if not self._paused or self._closed:
                return
            self._paused = False
            if self._deliveries is not None and self._deliveries.channel.usable and self._credit:
                await self._consume(self._deliveries)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.on_closed(self)
        if self._watch is not None:
            self._session.side.drop(self._watch)
        if self._renewal is not None:
            await self._renewal.close()
        deliveries, self._deliveries = self._deliveries, None
        if deliveries is not None:
            deliveries.acks.flush()
            await deliveries.channel.close()

    async def _consume(self, deliveries: Deliveries) -> None:
        def received(about: Delivery, header: bytes, body: bytes) -> None:
            task = deliveries.received(about.tag, about.redelivered, header, body)
            if task is not None:
                self._arrived.append(task)
                self._hand_over_soon()

        await deliveries.channel.consume(self.queue, _TAG, received, no_ack=False)

    def _hand_over_soon(self) -> None:
        if not self._handing_over:
            self._handing_over = True
            asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        """Give the user what has arrived. While tasks are renewed the broker may send more than there is
        room for; the rest stays here until there is."""
        self._handing_over = False
        if self._closed:
            return
        renewed = self._renewed
        if renewed and self._deliveries is not None:
            free = self._prefetch - renewed - (len(self._deliveries.tasks) - len(self._arrived))
            tasks = [self._arrived.popleft() for _ in range(min(free, len(self._arrived)))]
        else:
            tasks = list(self._arrived)
            self._arrived.clear()
        if tasks:
            self._deliver(tasks)

    def _settled(self) -> None:
        if self._arrived:
            self._hand_over_soon()

    # Tasks held for long

    @property
    def _renewed(self) -> int:
        deliveries = self._renewal.deliveries if self._renewal is not None else None
        return len(deliveries.tasks) if deliveries is not None else 0

    async def _renew_old(self) -> None:
        connection = self._connection
        if self._deliveries is None or connection is None or not connection.alive:
            return
        groups = [self._deliveries]
        if self._renewal is not None and self._renewal.deliveries is not None:
            groups.append(self._renewal.deliveries)
        limit = asyncio.get_running_loop().time() - self._renew_after
        old = [task for deliveries in groups for task in deliveries.tasks.values() if task.since <= limit]
        if old and self._renewal is None:
            renewal = AckRenewal(self.queue, self._destinations)
            await renewal.open(connection)
            if renewal.deliveries is not None:
                renewal.deliveries.on_settled = self._renewed_settled
            self._renewal = renewal
        for task in old:
            if self._renewal is not None:
                await self._renewal.renew(task)
        await self._regulate()

    def _renewed_settled(self) -> None:
        self._session.spawn(self._regulate())
        self._settled()

    async def _regulate(self) -> None:
        """Let the broker hold back one task for each that is renewed, for it no longer counts those."""
        async with self._regulating:
            deliveries = self._deliveries
            credit = max(0, self._prefetch - self._renewed)
            if deliveries is None or self._closed or credit == self._credit or not deliveries.channel.usable:
                return
            if self._credit and not self._paused:
                await deliveries.channel.cancel(_TAG)
            self._credit = credit
            if credit:
                await deliveries.channel.qos(credit)
                if not self._paused:
                    await self._consume(deliveries)
            else:
                while self._arrived:
                    self._arrived.pop().requeue()

    def _cancelled(self) -> None:
        if not self._closed:
            log.warning("%(queue)s: the broker cancelled a consumer; consuming anew", queue=self.queue)
            self._session.spawn(self._consume_anew())

    async def _consume_anew(self) -> None:
        """Until it works, or a new connection has brought it back: on this one nobody else would notice."""
        cancelled, pause, what = self._deliveries, SHORTEST_PAUSE, f"consuming {self.queue} anew"
        while not self._closed and self._deliveries is cancelled:
            try:
                await self._restart(self)
            except Exception as error:  # no rights just now, say
                self._session.side.failed(what, error)
                cancelled = self._deliveries
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._session.side.well(what)
                return

    def _channel_closed(
        self, connection: BrokerConnection, channel: BrokerChannel, error: BaseException | None
    ) -> None:
        if self._deliveries is not None and self._deliveries.channel is channel:
            self._deliveries = None
            self._session.broken(connection, f"the channel of a consumer was closed ({error!r})")
