"""One consumer of a task queue."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from quince_messaging.contract import TaskBatchCallback
from quince_messaging.side_tasks import SideTask
from quince_messaging.transports.amqp.ack_renewal import RENEW_AFTER, AckRenewal
from quince_messaging.transports.amqp.channel import BrokerChannel
from quince_messaging.transports.amqp.connection import BrokerConnection
from quince_messaging.transports.amqp.deliveries import DeliveredTask, Holder, Ways
from quince_messaging.transports.amqp.frames import Delivery

log = logging.getLogger(__name__)

_TAG = "tasks"
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between attempts to consume anew."""


class Consumer:
    """A consumer that comes back on each new link, and may hold its tasks for as long as it likes."""

    def __init__(
        self,
        ways: Ways,
        queue: str,
        prefetch: int,
        deliver: TaskBatchCallback,
        restart: Callable[[Consumer], Awaitable[None]],
        renew_after: float = RENEW_AFTER,
    ) -> None:
        self.queue = queue
        self.on_closed: Callable[[Consumer], None] = lambda _consumer: None
        self._ways = ways
        self._session = ways.session
        self._restart = restart
        self._prefetch = prefetch
        self._credit = prefetch
        self._deliver = deliver
        self._renew_after = renew_after
        self._link: BrokerConnection | None = None
        self._holder: Holder | None = None
        self._parking: AckRenewal | None = None
        self._arrived: deque[DeliveredTask] = deque()
        self._handing_over = False
        self._regulating = asyncio.Lock()
        self._watch: SideTask | None = None
        self._paused = False
        self._closed = False

    async def restore(self, link: BrokerConnection) -> None:
        """Consume on a (new) link."""
        old, self._holder = self._holder, None
        if old is not None:
            await old.lane.close()
        self._arrived.clear()
        self._parking = None
        self._link = link
        self._credit = self._prefetch
        lane = await link.lane(prefetch=self._prefetch)
        lane.on_closed = lambda error: self._lane_closed(link, lane, error)
        lane.on_cancelled = lambda _tag: self._cancelled()
        self._holder = Holder(lane, self.queue, self._ways)
        self._holder.on_settled = self._settled
        if not self._paused:
            await self._consume(self._holder)
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
            if self._holder is not None and self._holder.lane.usable and self._credit:
                await self._holder.lane.cancel(_TAG)

    async def resume(self) -> None:
        async with self._regulating:
            if not self._paused or self._closed:
                return
            self._paused = False
            if self._holder is not None and self._holder.lane.usable and self._credit:
                await self._consume(self._holder)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.on_closed(self)
        if self._watch is not None:
            self._session.side.drop(self._watch)
        if self._parking is not None:
            await self._parking.close()
        holder, self._holder = self._holder, None
        if holder is not None:
            holder.settlements.flush()
            await holder.lane.close()

    async def _consume(self, holder: Holder) -> None:
        def received(about: Delivery, header: bytes, body: bytes) -> None:
            task = holder.received(about.tag, about.redelivered, header, body)
            if task is not None:
                self._arrived.append(task)
                self._hand_over_soon()

        await holder.lane.consume(self.queue, _TAG, received, no_ack=False)

    def _hand_over_soon(self) -> None:
        if not self._handing_over:
            self._handing_over = True
            asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        """Give the user what has arrived. While tasks are parked the broker may send more than there is
        room for; the rest stays here until there is."""
        self._handing_over = False
        if self._closed:
            return
        parked = self._parked
        if parked and self._holder is not None:
            room = self._prefetch - parked - (len(self._holder.tasks) - len(self._arrived))
            tasks = [self._arrived.popleft() for _ in range(min(room, len(self._arrived)))]
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
    def _parked(self) -> int:
        holder = self._parking.holder if self._parking is not None else None
        return len(holder.tasks) if holder is not None else 0

    async def _renew_old(self) -> None:
        link = self._link
        if self._holder is None or link is None or not link.alive:
            return
        holders = [self._holder]
        if self._parking is not None and self._parking.holder is not None:
            holders.append(self._parking.holder)
        limit = asyncio.get_running_loop().time() - self._renew_after
        old = [task for holder in holders for task in holder.tasks.values() if task.since <= limit]
        if old and self._parking is None:
            parking = AckRenewal(self.queue, self._ways)
            await parking.open(link)
            if parking.holder is not None:
                parking.holder.on_settled = self._parked_settled
            self._parking = parking
        for task in old:
            if self._parking is not None:
                await self._parking.park(task)
        await self._regulate()

    def _parked_settled(self) -> None:
        self._session.spawn(self._regulate())
        self._settled()

    async def _regulate(self) -> None:
        """Let the broker hold back one task for each that is parked, for it no longer counts those."""
        async with self._regulating:
            holder = self._holder
            credit = max(0, self._prefetch - self._parked)
            if holder is None or self._closed or credit == self._credit or not holder.lane.usable:
                return
            if self._credit and not self._paused:
                await holder.lane.cancel(_TAG)
            self._credit = credit
            if credit:
                await holder.lane.qos(credit)
                if not self._paused:
                    await self._consume(holder)
            else:
                while self._arrived:
                    self._arrived.pop().requeue()

    def _cancelled(self) -> None:
        if not self._closed:
            log.warning(
                "%s: the broker cancelled a consumer; consuming anew", self.queue, extra={"queue": self.queue}
            )
            self._session.spawn(self._consume_anew())

    async def _consume_anew(self) -> None:
        """Until it works, or a new link has brought it back: on this one nobody else would notice."""
        cancelled, pause, what = self._holder, SHORTEST_PAUSE, f"consuming {self.queue} anew"
        while not self._closed and self._holder is cancelled:
            try:
                await self._restart(self)
            except Exception as error:  # no rights just now, say
                self._session.side.failed(what, error)
                cancelled = self._holder
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._session.side.well(what)
                return

    def _lane_closed(self, link: BrokerConnection, lane: BrokerChannel, error: BaseException | None) -> None:
        if self._holder is not None and self._holder.lane is lane:
            self._holder = None
            self._session.broken(link, f"the channel of a consumer was closed ({error!r})")
