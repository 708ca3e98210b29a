"""Keeps a connection to the broker up: dials, notices its loss, dials again, and lets its parts restore."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiormq

from quince_messaging.contract import LinkState
from quince_messaging.errors import CommunicatorClosed, ConnectionFailed, MessagingError, ReconnectingError
from quince_messaging.side_tasks import SideTasks
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.amqp.connection import BrokerConnection
from quince_messaging.uri import BrokerUri

log = StructuredLogger(__name__)

PATIENCE = 5.0
"""Seconds that a call waits for a broker that is away, before ReconnectingError."""
BEFORE_CLOSE_TIMEOUT = 1.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 5.0

Restore = Callable[[BrokerConnection], Awaitable[None]]

LINK_ERRORS = (
    OSError,
    TimeoutError,
    aiormq.AMQPError,
    MessagingError,
    asyncio.InvalidStateError,
    RuntimeError,
)
"""What the driver raises when the connection goes away under a declaration."""


class Session:
    """The connection of one transport, renewed as often as needed.

    `restore` is called with every new connection before anybody may use it, so topology and consumers are
    back when `ready` returns; `before_close` with the last one, before it is closed in order; `enter` with
    each state of the link.
    """

    def __init__(
        self,
        uri: BrokerUri,
        name: str,
        *,
        restore: Restore,
        before_close: Restore,
        enter: Callable[[LinkState], None],
    ) -> None:
        self.uri = uri
        self.state = LinkState.CLOSED
        self.closed = False
        self.server: dict[str, Any] = {}
        self._name = name
        self._restore = restore
        self._before_close = before_close
        self._tell = enter
        self._connection: BrokerConnection | None = None
        self._ready = asyncio.Event()
        self.side = SideTasks(log, LINK_ERRORS)

    async def open(self) -> None:
        """Dial once; raises ConnectionFailed. From then on the connection is kept up."""
        connection = await self._dial()
        try:
            await self._adopt(connection)
        except LINK_ERRORS as error:
            await connection.close()
            raise ConnectionFailed(
                f"{self.uri.shown}: the broker hung up while being set up: {error}"
            ) from error
        self.side.keep("the connection to the broker", self._supervise, longest=LONGEST_PAUSE)

    async def close(self) -> None:
        """Disconnect and stop dialling."""
        if self.closed:
            return
        self.closed = True
        self._ready.set()
        # What they say at the end, to callers, leaves with the connection's last messages.
        await self.side.close(BEFORE_CLOSE_TIMEOUT)
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                await self._leave(connection)
        finally:  # also if the broker does not let us go in time
            self._enter(LinkState.CLOSED)

    async def _leave(self, connection: BrokerConnection) -> None:
        try:
            if connection.alive:
                async with asyncio.timeout(BEFORE_CLOSE_TIMEOUT):
                    await self._before_close(connection)
        except LINK_ERRORS as error:
            log.debug(
                "%(broker)s: what comes before its close was not done: %(error)r",
                broker=self.uri.shown,
                error=error,
            )
        finally:
            await connection.close()

    @property
    def live_connection(self) -> BrokerConnection | None:
        """The connection, if there is one that can be used just now."""
        return (
            self._connection
            if self._connection is not None and self._connection.alive and self._ready.is_set()
            else None
        )

    async def ready(self) -> BrokerConnection:
        """The connection, waited for if it is away. Raises ReconnectingError after `PATIENCE` seconds."""
        if (connection := self.live_connection) is not None:
            return connection
        try:
            async with asyncio.timeout(PATIENCE):
                while (connection := self.live_connection) is None:
                    if self.closed:
                        raise CommunicatorClosed("the communicator is closed; open a new one")
                    self._ready.clear()
                    await self._ready.wait()
        except TimeoutError as error:
            raise ReconnectingError(
                f"the broker at {self.uri.shown} is away; it is dialled again and again, try later"
            ) from error
        return connection

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a side task that ends with the session; its failure is logged."""
        self.side.spawn(f"something for {self.uri.shown}", coroutine)

    def broken(self, connection: BrokerConnection, why: str) -> None:
        """Something on this connection does not work: drop it and dial anew."""
        if connection.alive and not self.closed:
            log.warning("%(broker)s: %(reason)s; connecting anew", broker=self.uri.shown, reason=why)
            connection.abort()

    async def _supervise(self) -> None:
        """See to it that there is a connection. Begun again at whatever point it failed."""
        while True:
            if self._connection is not None:
                await asyncio.wait([self._connection.lost])
                error = self._connection.lost.result()
                self._ready.clear()
                self._connection = None
                self._enter(LinkState.RECONNECTING)
                log.warning(
                    "%(broker)s: the connection is lost (%(reason)s); connecting anew",
                    broker=self.uri.shown,
                    error=error,
                    reason=error or "closed",
                )
            await self._dial_again()
            log.warning("%(broker)s: connected again", broker=self.uri.shown)

    async def _dial_again(self) -> None:
        pause = SHORTEST_PAUSE
        while True:
            try:
                connection = await self._dial()
                try:
                    await self._adopt(connection)
                except BaseException:
                    connection.abort()
                    raise
            except LINK_ERRORS as error:
                log.debug("%(broker)s: %(error)s", broker=self.uri.shown, error=error)
            except Exception:  # whatever it is, the next attempt may work: never give up
                log.exception("%(broker)s: could not be set up", broker=self.uri.shown)
            else:
                return
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 1.6, LONGEST_PAUSE)

    async def _dial(self) -> BrokerConnection:
        connection = await BrokerConnection.dial(self.uri, self._name)
        try:
            connection.join(await BrokerConnection.dial(self.uri, f"{self._name}, sending"))
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _adopt(self, connection: BrokerConnection) -> None:
        await self._restore(connection)
        self._connection = connection
        self.server = connection.server
        connection.sending.on_blocked(self._blocked)
        self._ready.set()
        self._enter(LinkState.CONNECTED)

    def _blocked(self, reason: str | None) -> None:
        if reason is None:
            log.warning("%(broker)s: the broker takes messages again", broker=self.uri.shown)
            self._enter(LinkState.CONNECTED)
        else:
            log.warning(
                "%(broker)s: the broker takes no messages for now: %(reason)s",
                broker=self.uri.shown,
                reason=reason,
            )
            self._enter(LinkState.BLOCKED)

    def _enter(self, state: LinkState) -> None:
        self.state = state
        self._tell(state)
