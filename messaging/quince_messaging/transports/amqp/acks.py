"""Acknowledgements of one consumer, joined: many tasks, few frames."""

from __future__ import annotations

import asyncio

from quince_messaging.transports.amqp import frames
from quince_messaging.transports.amqp.channel import BrokerChannel


class Acks:
    """What a consumer has settled and not yet told the broker.

    Acks of one turn of the loop go out together; a run from the oldest open delivery on is one frame
    with `multiple`. What is given back goes to the head of its queue, or without `requeue` to where the
    queue sends its dead letters.
    """

    def __init__(self, channel: BrokerChannel, *, requeue: bool = True) -> None:
        self._channel = channel
        self._requeue = requeue
        self._open: dict[int, bool] = {}  # delivery tag, ascending -> acknowledged
        self._waiting: list[int] = []

    def opened(self, tag: int) -> None:
        """A delivery came."""
        self._open[tag] = False

    def ack(self, tag: int) -> None:
        """Done with it."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._open[tag] = True
        self._waiting.append(tag)

    def requeue(self, tag: int) -> None:
        """Give it back."""
        self._open.pop(tag, None)
        self._channel.write(frames.nack(self._channel.number, tag, requeue=self._requeue))

    def flush(self) -> None:
        """Tell the broker now."""
        if not self._waiting:
            return
        last = 0
        run = 0
        for tag, acknowledged in self._open.items():
            if not acknowledged:
                break
            last, run = tag, run + 1
        number = self._channel.number
        out: list[bytes] = []
        if run:
            out.append(frames.ack(number, last, multiple=run > 1))
        out += [frames.ack(number, tag) for tag in self._waiting if tag > last]
        for tag in self._waiting:
            self._open.pop(tag, None)
        self._waiting.clear()
        self._channel.write(b"".join(out))
