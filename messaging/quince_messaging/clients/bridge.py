"""From blocking code to the hidden thread and back: waiting for an outcome, or for the first half of it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from quince_messaging.clients.backpressure import Backpressure, Share
from quince_messaging.clients.futures import Outcome, follow, settle
from quince_messaging.clients.loop_thread import LoopThread
from quince_messaging.contract import BroadcastMessage, LinkState
from quince_messaging.errors import CommunicatorClosed, MessageTimeout, MessagingError
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.wire.broadcasts import body_size, in_pieces

log = StructuredLogger(__name__)
T = TypeVar("T")

MOST_WAITING = 2_000
"""Messages on their way to the broker before those who send more must wait."""
MOST_WAITING_BYTES = 64 * 1024 * 1024
"""Bytes of their bodies, of broadcasts and of all others; a larger message passes alone."""
MOST_SECONDS = 60.0
"""Seconds that who sends more waits."""
MOST_HANDED_OVER = 4 * 1024 * 1024
"""Bytes of broadcasts that a transport gets at a time, so that it can wait for the broker in between."""


FirstStage = Callable[[], Coroutine[Any, Any, Awaitable[Any]]]
"""Begins something that answers in two stages: what it returns brings the second."""


class Bridge:
    """Runs coroutine functions of the hidden thread for callers on other threads."""

    def __init__(self, thread: LoopThread) -> None:
        self._thread = thread
        self._backpressure = Backpressure(MOST_WAITING, MOST_WAITING_BYTES)
        self._under_way: set[asyncio.Task[Any]] = set()
        self._not_begun = 0
        """Of those under way, the ones whose first step is still to come."""

    def wait(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        _timeout: float | None = None,
        **kwargs: Any,
    ) -> T:
        """Run a coroutine function there and wait for its outcome."""
        self._thread.refuse_here()
        running = self._thread.submit(function, *args, **kwargs)
        try:
            return running.result(_timeout)
        except concurrent.futures.TimeoutError as error:
            if running.done():
                raise
            running.cancel()
            raise MessageTimeout(f"the broker did not answer within {_timeout:g} s") from error

    def here(self, function: Callable[..., bool], *args: Any) -> Outcome | None:
        """Begin something on this thread, with what attends to its answer as the last argument.

        None if it could not be, or if something asked for before has not been begun yet: then `two_stages`.
        """
        if not self._thread.at_rest or self._under_way:
            return None
        outcome = Outcome(self._thread.refuse_here)
        return outcome if function(*args, functools.partial(follow, outcome=outcome)) else None

    def two_stages(
        self,
        function: Callable[..., Coroutine[Any, Any, Awaitable[Any]]],
        *args: Any,
        wait: bool = False,
        at_once: Callable[..., asyncio.Future[Any] | None] | None = None,
        size: int = 0,
        **kwargs: Any,
    ) -> Outcome:
        """Begin something that answers in two stages; the second comes in the future.

        With `wait` the first one is waited for, and its errors are raised here. Without, `at_once` is
        tried there before, with the same positional arguments: it costs no task; and it is here that those
        who send too much wait for the broker. The hidden thread itself may call it then, and does not wait.

        Args:
            size: Bytes of the message.
        """
        self._thread.check()
        outcome = Outcome(self._thread.refuse_here)
        begin = functools.partial(function, *args, **kwargs)
        if wait:
            self.wait(self._stages, outcome, begin)
            return outcome
        share = Share(size)
        try:
            if self._thread.here:
                self._backpressure.take_anyway(share)
            elif not self._backpressure.take(share, timeout=MOST_SECONDS):
                raise MessageTimeout(
                    f"{self._backpressure} wait, and too little left within {MOST_SECONDS:g} s"
                )
            self._thread.post(self._begin, outcome, share, begin, at_once, args)
        except BaseException:
            self._backpressure.give_back(share)
            raise
        return outcome

    def after_sends(
        self, look: Callable[..., Coroutine[Any, Any, T]], *, queue: str, timeout: float | None
    ) -> T:
        """Look at a queue when what is being sent from here has arrived there."""

        async def patiently() -> T:
            if self._under_way:
                await asyncio.wait(list(self._under_way))
            return await look(queue=queue)

        return self.wait(patiently, _timeout=timeout)

    async def _stages(self, outcome: Outcome, begin: FirstStage) -> None:
        follow(asyncio.ensure_future(await begin()), outcome)

    async def _stages_or_tell(self, outcome: Outcome, begin: FirstStage) -> None:
        """As `_stages`, when nobody waits for the first one: what goes wrong in it is told by the outcome."""
        self._not_begun -= 1
        try:
            await self._stages(outcome, begin)
        except asyncio.CancelledError:
            settle(outcome, None, CommunicatorClosed("the communicator was closed meanwhile"))
            raise
        except Exception as error:
            settle(outcome, None, error)

    def _begin(
        self,
        outcome: Outcome,
        share: Share,
        begin: FirstStage,
        at_once: Callable[..., asyncio.Future[Any] | None] | None,
        args: tuple[Any, ...],
    ) -> None:
        # What is begun at once must not overtake what was asked for before.
        if at_once is not None and not self._not_begun and self._begun_at_once(outcome, at_once, args):
            self._backpressure.give_back(share)
            return
        task = asyncio.get_running_loop().create_task(self._stages_or_tell(outcome, begin))
        self._not_begun += 1
        self._under_way.add(task)
        task.add_done_callback(functools.partial(self._first_stage_over, share))

    def _begun_at_once(
        self,
        outcome: Outcome,
        at_once: Callable[..., asyncio.Future[Any] | None],
        args: tuple[Any, ...],
    ) -> bool:
        try:
            answer = at_once(*args)
        except Exception as error:
            settle(outcome, None, error)
            return True
        if answer is None:
            return False
        follow(answer, outcome)
        return True

    def _first_stage_over(self, share: Share, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._backpressure.give_back(share)


class Outgoing:
    """Broadcasts on their way to the hidden thread: those of one burst are handed over together."""

    def __init__(self, thread: LoopThread, bridge: Bridge) -> None:
        self._thread = thread
        self._bridge = bridge
        self._transport = thread.transport
        self._waiting: deque[tuple[Sequence[BroadcastMessage], Share]] = deque()
        self._backpressure = Backpressure(MOST_WAITING, MOST_WAITING_BYTES)
        self._posted = False
        self._handing_over = asyncio.Lock()

    def send(self, messages: Sequence[BroadcastMessage]) -> None:
        """Send without waiting, unless the broker is away or too much waits already."""
        self._thread.check()
        share = Share(sum([body_size(message.body) for message in messages]), len(messages))
        try:
            if self._taken(share):
                self._waiting.append((messages, share))
                self._wake()
                return
        except BaseException:
            self._backpressure.give_back(share)
            raise
        self._bridge.wait(self._hand_over, messages)

    def flush(self) -> None:
        """Wait until all of them have been handed over."""
        self._bridge.wait(self._hand_over, ())

    def _taken(self, share: Share) -> bool:
        """Take a share without waiting for it; False if it is better to wait."""
        if self._thread.here:
            self._backpressure.take_anyway(share)
            return True
        return self._transport.state is LinkState.CONNECTED and self._backpressure.take(share)

    def _wake(self) -> None:
        if not self._posted:
            try:
                self._posted = True
                self._thread.post(lambda: self._thread.spawn(self._hand_over_or_tell()))
            except BaseException:
                self._posted = False  # the next one wakes it, be it for the second time
                raise

    async def _hand_over_or_tell(self) -> None:
        try:
            await self._hand_over(())
        except MessagingError as error:
            log.warning("broadcasts are lost: %(error)s", error=error)

    async def _hand_over(self, messages: Sequence[BroadcastMessage]) -> None:
        async with self._handing_over:
            self._posted = False
            together: list[BroadcastMessage] = []
            shares: list[Share] = []
            while self._waiting:
                some, share = self._waiting.popleft()
                together += some
                shares.append(share)
            together += messages
            try:
                await self._hand_over_in_pieces(together)
            finally:
                self._backpressure.give_back(*shares)

    async def _hand_over_in_pieces(self, messages: Sequence[BroadcastMessage]) -> None:
        for before, piece in enumerate(in_pieces(messages, MOST_HANDED_OVER)):
            if before:
                await asyncio.sleep(0)  # let the transport write what it writes at the end of a turn
            await self._transport.broadcast(piece)
