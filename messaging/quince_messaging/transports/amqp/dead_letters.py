"""The dead-letter queue: put there with a reason, listed, and put back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiormq.abc import DeliveredMessage

from quince_messaging.contract import DeadLetter
from quince_messaging.limits import MAX_PRIORITY
from quince_messaging.transports.amqp import topology
from quince_messaging.transports.amqp.channel import BrokerChannel, Receipt
from quince_messaging.transports.amqp.frames import ack, text_field
from quince_messaging.transports.amqp.session import Session
from quince_messaging.transports.amqp.topology import Names

_QUEUE, _REASON, _AT = "x-quince-queue", "x-quince-reason", "x-quince-at"
_PRIORITY = "x-quince-priority"
_LONGEST_REASON = 4_000


class DeadLetters:
    """What nobody could read or wanted. Each call uses a channel of its own, which gives back
    whatever it took and did not settle."""

    def __init__(self, session: Session, names: Names) -> None:
        self._session = session
        self._names = names

    async def dead_letter(
        self, channel: BrokerChannel, body: bytes, *, origin: str, reason: str, priority: int
    ) -> Receipt:
        """Publish a message to the dead letters; the receipt tells when it is durable."""
        receipt = Receipt(1)
        headers = (
            (_QUEUE, text_field(origin)),
            (_REASON, text_field(reason[:_LONGEST_REASON])),
            (_AT, text_field(repr(time.time()))),
            (_PRIORITY, text_field(str(priority))),
        )
        channel.publish("", self._names.dead, [body], receipt=receipt, persistent=True, headers=headers)
        return receipt

    async def look(self, limit: int) -> Sequence[DeadLetter]:
        """The oldest ones; they stay where they are."""
        found: list[DeadLetter] = []
        connection = await self._session.ready()
        async with self._channel(await connection.channel()) as channel:
            while len(found) < limit and (message := await channel.get(self._names.dead)) is not None:
                found.append(self._letter(message))
        return found

    async def revive(self, queue: str | None) -> int:
        """Put them back on the queues they came from, if those are known; returns how many."""
        count = 0
        connection = await self._session.ready()
        async with self._channel(await connection.sending.channel(confirms=True)) as channel:
            waiting = await topology.declare_dead_queue(channel, self._names)
            for _ in range(waiting):
                message = await channel.get(self._names.dead)
                if message is None:
                    break
                letter = self._letter(message)
                if self._is_of(message, letter, queue):
                    await self._put_back(channel, letter)
                    channel.write(ack(channel.number, message.delivery_tag or 0))
                    count += 1
        return count

    async def _put_back(self, channel: BrokerChannel, letter: DeadLetter) -> None:
        name = self._names.tasks(letter.queue)
        await topology.declare_task_queue(channel, name)
        receipt = Receipt(1)
        channel.publish(
            "",
            name,
            [letter.raw],
            receipt=receipt,
            mandatory=True,
            persistent=True,
            priority=letter.priority,
        )
        await receipt.future

    @asynccontextmanager
    async def _channel(self, channel: BrokerChannel) -> AsyncIterator[BrokerChannel]:
        try:
            yield channel
        finally:
            await channel.close()

    def _is_of(self, message: DeliveredMessage, letter: DeadLetter, queue: str | None) -> bool:
        headers: dict[str, Any] = dict(message.header.properties.headers or {})
        known = str(headers.get(_QUEUE, "")).startswith(self._names.tasks(""))
        return known and queue in (None, letter.queue)

    def _letter(self, message: DeliveredMessage) -> DeadLetter:
        headers: dict[str, Any] = dict(message.header.properties.headers or {})
        origin = str(headers.get(_QUEUE, ""))
        try:
            at = float(str(headers.get(_AT, "")))
        except ValueError:
            at = 0.0
        return DeadLetter(
            queue=origin.removeprefix(self._names.tasks("")),
            reason=str(headers.get(_REASON, "unknown")),
            at=at,
            raw=bytes(message.body),
            priority=_as_priority(headers.get(_PRIORITY)),
        )


def _as_priority(text: Any) -> int:
    """What a header says; 0 if it says nothing, or no priority that there is."""
    return int(text) if str(text) in map(str, range(MAX_PRIORITY + 1)) else 0
